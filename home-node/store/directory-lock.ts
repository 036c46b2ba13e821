// One process for each folder of state: two would count the same room twice and speak with one identity. The lock is
// a file that holds the process id; one whose process is gone is taken over.

import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isFileError } from "./durable-file.ts";

const LOCK_FILE = "lock";
const TAKEOVERS_MAX = 3;

/** Returns how to release the lock. Throws an Error that says who has it. */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, LOCK_FILE);
  for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt++) {
    if (await tryCreate(path)) return () => rm(path, { force: true });
    const holder = await readHolder(path);
    if (holder !== null && isRunning(holder)) throw inUse(dir, holder, path);
    await rm(path, { force: true });
  }
  throw new Error(`${path} cannot be taken: others are starting in the same folder`);
}

/** The process that has the folder; null where none does. */
export async function runningHolder(dir: string): Promise<number | null> {
  const holder = await readHolder(join(dir, LOCK_FILE));
  return holder !== null && isRunning(holder) ? holder : null;
}

/** Linked into place, so that nobody ever reads a lock without its process id. */
async function tryCreate(path: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, `${process.pid}\n`);
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (isFileError(error, "EEXIST")) return false;
    throw error;
  } finally {
    await rm(own);
  }
}

/** The process id in the lock; null where the lock is gone, or holds none. */
async function readHolder(path: string): Promise<number | null> {
  try {
    const pid = Number((await readFile(path, "utf8")).trim());
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch (error) {
    if (isFileError(error, "ENOENT")) return null;
    throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isFileError(error, "EPERM");
  }
}

function inUse(dir: string, pid: number, path: string): Error {
  return new Error(
    `${dir} is in use by process ${pid}: end it first, or choose another folder (if that is not Holdfast, remove ${path})`,
  );
}
