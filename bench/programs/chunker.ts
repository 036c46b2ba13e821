// The chunker and the hash by themselves, over random bytes in memory.

import { nodeHasher } from "../../cli/node-host.ts";
import { chunkStream } from "../../lib/chunker.ts";
import { randomBlocks } from "../random-file.ts";
import { inputOf, report, secondsOf } from "./program.ts";

async function* asStream(blocks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* blocks;
}

async function chunk(blocks: readonly Uint8Array[]): Promise<void> {
  for await (const _ of chunkStream(asStream(blocks)));
}

async function hash(blocks: readonly Uint8Array[]): Promise<void> {
  for (const block of blocks) await nodeHasher.digest(block);
}

const { work, sizeBytes } = inputOf<{ work: "chunk" | "hash"; sizeBytes: number }>();
const blocks = [...randomBlocks(work, sizeBytes)];
report({ seconds: await secondsOf(() => (work === "chunk" ? chunk(blocks) : hash(blocks))) });
