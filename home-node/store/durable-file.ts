// Files that are there after a crash, whole or not at all: written beside their place, synced, renamed, and the
// directory synced. Errors of the disk being full become `disk-full`; nothing half-written is left.

import { execFile } from "node:child_process";
import { closeSync, fsync, open, openSync, readdirSync, writeFile } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { HoldfastError } from "../../lib/error.ts";

// Descriptors, not file handles: to close one that is synced takes no time, a trip to another thread and back does.
const openDescriptor = promisify(open);
const writeDescriptor = promisify(writeFile);
const syncDescriptor = promisify(fsync);
const run = promisify(execFile);

const FULL = ["ENOSPC", "EDQUOT"];

/** True for a file system error with one of these codes, such as "ENOENT". */
export function isFileError(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** Writes `pieces` to `path` by way of `temporary`, on the same file system. On return the file survives a power cut. */
export async function writeDurably(
  temporary: string,
  path: string,
  pieces: Uint8Array[],
  options: { mode?: number } = {},
): Promise<void> {
  try {
    await writeSynced(temporary, pieces, options.mode ?? 0o644);
    await makeDirectory(dirname(path));
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw isDiskFull(error) ? diskFull(error) : error;
  }
}

export function isDiskFull(error: unknown): boolean {
  return isFileError(error, ...FULL);
}

export function diskFull(cause: unknown): HoldfastError {
  return new HoldfastError("disk-full", "the home node's disk is full", { cause });
}

async function writeSynced(path: string, pieces: Uint8Array[], mode: number): Promise<void> {
  const file = await openDescriptor(path, "w", mode);
  try {
    for (const piece of pieces) await writeDescriptor(file, piece);
    await syncDescriptor(file);
  } finally {
    closeSync(file);
  }
}

// A directory that another write is just making counts as made only once its parent is synced.
const making = new Map<string, Promise<void>>();

/** Makes a directory and its missing parents, each durably. */
export function makeDirectory(path: string): Promise<void> {
  return joinRunning(making, path, async () => {
    const first = await mkdir(path, { recursive: true });
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made))
      await syncDirectory(dirname(made));
  });
}

// A sync that has begun may miss an entry added since, so a caller joins only one that has not.
const queuedSyncs = new Map<string, Promise<void>>();
const runningSyncs = new Map<string, Promise<void>>();

/** Syncs a directory's entries; calls that come while it is being synced share the next one. */
export function syncDirectory(path: string): Promise<void> {
  return joinRunning(queuedSyncs, path, async () => {
    await runningSyncs.get(path)?.catch(() => undefined); // its failure is reported to those who asked for it
    queuedSyncs.delete(path);
    await joinRunning(runningSyncs, path, () => syncFile(path));
  });
}

/** Brings a file's bytes, or a directory's entries, to disk. It was just written, so it is opened without a wait. */
export async function syncFile(path: string): Promise<void> {
  const file = openSync(path, "r");
  try {
    await syncDescriptor(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Brings everything written to the file system that `path` lies on to disk, by sync(1): Node has no syncfs(2). One call for
 * thousands of small files, which would cost two or three writes of the journal each. False where it is not to be had.
 */
export async function syncFileSystem(path: string): Promise<boolean> {
  if (process.platform !== "linux") return false;
  try {
    await run("sync", ["-f", path]);
    return true;
  } catch (error) {
    // No such program, one without -f, or a disk that fails: which of them, syncing file by file will tell.
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}

async function joinRunning(
  running: Map<string, Promise<void>>,
  path: string,
  run: () => Promise<void>,
): Promise<void> {
  const known = running.get(path);
  if (known !== undefined) return known;
  const begun = run().finally(() => {
    if (running.get(path) === begun) running.delete(path);
  });
  running.set(path, begun);
  return begun;
}

/** The folders of two hex digits in a folder: what else lies there is not the store's. */
export function hexDirectories(path: string): string[] {
  const isHexPair = (name: string) => /^[0-9a-f]{2}$/.test(name);
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isHexPair(entry.name))
    .map((entry) => entry.name);
}

/** Removes what a crash left in the directory of temporary files. */
export async function emptyDirectory(path: string): Promise<number> {
  const names = await readdir(path);
  for (const name of names) await rm(join(path, name), { recursive: true, force: true });
  return names.length;
}
