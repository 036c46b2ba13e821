// The limit for publishing: one process that reads a file, hashes it, writes a copy and syncs that once, at the end.
// A block is written while the next one is read and hashed.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { inputOf, report, secondsOf } from "./program.ts";

const BLOCK_BYTES = 1024 * 1024;

async function hashAndCopy(from: string, to: string): Promise<string> {
  const digest = createHash("sha256");
  const copy = await open(to, "w");
  let writing: Promise<unknown> = Promise.resolve();
  for await (const block of createReadStream(from, { highWaterMark: BLOCK_BYTES })) {
    digest.update(block);
    await writing;
    writing = copy.writeFile(block);
  }
  await writing;
  await copy.sync();
  await copy.close();
  return digest.digest("hex");
}

const { from, to } = inputOf<{ from: string; to: string }>();
report({ seconds: await secondsOf(() => hashAndCopy(from, to)) });
