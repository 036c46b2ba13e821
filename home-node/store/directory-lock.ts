// One process for each folder of state: two would count the same room twice and speak with one identity. The lock is
// a file that names the process; one whose process is gone is taken over. Process ids come again, after a reboot and in
// every container, so where Linux tells it the lock also says when its process was born.

import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isFileError } from "./durable-file.ts";

const LOCK_FILE = "lock";
const TAKEOVERS_MAX = 3;
/** Of the fields of /proc/<pid>/stat after the name, which may hold spaces: the clock tick of the start (proc(5)). */
const START_FIELD = 19;

interface Holder {
  pid: number;
  /** The boot's id and the tick in it; null where the system has no /proc. */
  boot: string | null;
  start: string | null;
}

/** Returns how to release the lock. Throws an Error that says who has it. */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, LOCK_FILE);
  for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt++) {
    if (await tryCreate(path)) return () => rm(path, { force: true });
    const holder = await readHolder(path);
    if (holder !== null && (await isRunning(holder))) throw inUse(dir, holder.pid, path);
    await rm(path, { force: true });
  }
  throw new Error(`${path} cannot be taken: others are starting in the same folder`);
}

/** The process that has the folder; null where none does. */
export async function runningHolder(dir: string): Promise<number | null> {
  const holder = await readHolder(join(dir, LOCK_FILE));
  return holder !== null && (await isRunning(holder)) ? holder.pid : null;
}

/** Linked into place, so that nobody ever reads a lock without its process id. */
async function tryCreate(path: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`;
  const words = [process.pid, await bootId(), await startOf(process.pid)];
  await writeFile(own, `${words.filter((word) => word !== null).join(" ")}\n`);
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

/** Who is in the lock; null where the lock is gone, or names nobody. */
async function readHolder(path: string): Promise<Holder | null> {
  const [pidText, boot = null, start = null] = (await readIfThere(path))?.trim().split(" ") ?? [];
  const pid = Number(pidText);
  return Number.isInteger(pid) && pid > 0 ? { pid, boot, start } : null;
}

async function isRunning({ pid, boot, start }: Holder): Promise<boolean> {
  if (boot !== null && boot !== (await bootId())) return false;
  const startNow = await startOf(pid);
  return start !== null && startNow !== null ? start === startNow : exists(pid);
}

async function bootId(): Promise<string | null> {
  return (await readIfThere("/proc/sys/kernel/random/boot_id"))?.trim() ?? null;
}

async function startOf(pid: number): Promise<string | null> {
  const text = await readIfThere(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[START_FIELD] ?? null;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isFileError(error, "EPERM");
  }
}

/** ESRCH: a process ended while its file was read. */
async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isFileError(error, "ENOENT", "ESRCH", "EACCES")) return null;
    throw error;
  }
}

function inUse(dir: string, pid: number, path: string): Error {
  return new Error(
    `${dir} is in use by process ${pid}: end it first, or choose another folder (if that is not Holdfast, remove ${path})`,
  );
}
