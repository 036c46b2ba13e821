// What it takes to make a file where the rows make theirs. ext4 without a journal passes over each inode that was freed in the last
// minutes, one by one, for every file that it makes: a home node that takes in a tree then takes several times as long.

import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp } from "node:fs/promises";
import { join } from "node:path";

/** Files made to see what one costs, in as many folders as a home node has for each kind. */
const PROBE_FILES = 2048;
const PROBE_FOLDERS = 256;
/** A file costs 15 to 50 microseconds of system time where nothing stands in the way. */
const CHEAP_US = 80;
const POLL_MS = 20_000;
/** The kernel's own limit: after 60 seconds, or 360 where the inode is not yet written back, a freed inode is taken again. */
const PATIENCE_MS = 400_000;

/** Returns when making files in `dir` is cheap, or after PATIENCE_MS; what is made stays there. */
export async function settleFileMaking(dir: string, say: (line: string) => void): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const costUs = await costOfFile(dir);
    if (costUs < CHEAP_US) return;
    const isOver = Date.now() > deadline;
    say(`making a file takes ${costUs.toFixed(0)} us: ${isOver ? "going on all the same" : "waiting"}`);
    if (isOver) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Microseconds of system time, on average. */
async function costOfFile(dir: string): Promise<number> {
  const root = await mkdtemp(join(dir, "probe-"));
  for (let i = 0; i < PROBE_FOLDERS; i++) await mkdir(join(root, String(i)));
  const before = process.cpuUsage();
  for (let i = 0; i < PROBE_FILES; i++)
    closeSync(openSync(join(root, String(i % PROBE_FOLDERS), String(i)), "wx"));
  return process.cpuUsage(before).system / PROBE_FILES;
}
