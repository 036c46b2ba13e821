import { randomBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { chunkStream } from "../../lib/chunker.ts";

const MiB = 1024 * 1024;
const SIZE_BYTES = 64 * MiB;
const RANDOM_CALL_MAX = 65_536;

function randomData(size: number): Uint8Array {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i += RANDOM_CALL_MAX)
    data.set(randomBytes(Math.min(RANDOM_CALL_MAX, size - i)), i);
  return data;
}

/** Chunks by their first bytes: random data does not repeat. */
async function chunkSizes(...pieces: Uint8Array[]): Promise<Map<string, number>> {
  async function* blocks() {
    yield* pieces;
  }
  const sizes = new Map<string, number>();
  for await (const chunk of chunkStream(blocks())) {
    const ends = [...chunk.subarray(0, 16), ...chunk.subarray(-16)];
    sizes.set(`${chunk.length}:${ends.join()}`, chunk.length);
  }
  return sizes;
}

test("two versions of 64 MiB that differ by 1 KiB near the start share at least 95 % of their bytes", async () => {
  const data = randomData(SIZE_BYTES);
  const before = await chunkSizes(data);
  const after = await chunkSizes(data.subarray(0, 5000), randomBytes(1024), data.subarray(5000));
  let shared = 0;
  for (const [id, size] of after) if (before.has(id)) shared += size;
  expect(shared / (SIZE_BYTES + 1024)).toBeGreaterThanOrEqual(0.95);
});
