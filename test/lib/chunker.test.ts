import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHUNK_BYTES_MIN, chunkStream, cutPoint } from "../../lib/chunker.ts";
import { makeGearTable } from "../../lib/gear-table.ts";
import { hashBytes } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import vectors from "../vectors/chunker.json" with { type: "json" };

function testData(seed: string, size: number): Uint8Array {
  const data = new Uint8Array(size + 32);
  for (let i = 0; i * 32 < size; i++) data.set(sha256(new TextEncoder().encode(`${seed}:${i}`)), i * 32);
  return data.subarray(0, size);
}

function lengthsOf(data: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let start = 0; start < data.length; ) {
    const length = cutPoint(data.subarray(start));
    lengths.push(length);
    start += length;
  }
  return lengths;
}

async function* blocksOf(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < data.length; i += size) yield data.subarray(i, i + size);
}

async function streamed(data: Uint8Array, blockSize: number): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunkStream(blocksOf(data, blockSize))) chunks.push(chunk);
  return chunks;
}

describe("the chunker", () => {
  test("its gear table is the one that the seed gives", () => {
    const table = makeGearTable();
    expect([...table.slice(0, 8)]).toEqual(vectors.gear);
    const bytes = new DataView(new ArrayBuffer(4 * table.length));
    table.forEach((entry, i) => {
      bytes.setUint32(4 * i, entry);
    });
    expect(hashBytes(new Uint8Array(bytes.buffer))).toBe(vectors.gearSha256);
  });

  test.each(vectors.cases)(
    "cuts where an independent implementation cuts: $why",
    ({ seed, size, lengths }) => {
      expect(lengthsOf(testData(seed, size))).toEqual(lengths);
    },
  );

  test("cuts data without any boundary at the largest size", () => {
    expect(lengthsOf(new Uint8Array(5 * 1024 * 1024))).toEqual(vectors.zeros5MiB);
  });

  test("cuts a stream as it cuts the whole, however the stream comes in blocks", async () => {
    const data = testData("stream", 6 * 1024 * 1024 + 17);
    const expected = lengthsOf(data);
    for (const blockSize of [65_536, 1_000_003, 3 * CHUNK_BYTES_MAX]) {
      const chunks = await streamed(data, blockSize);
      expect(chunks.map((chunk) => chunk.length)).toEqual(expected);
      expect(concat(chunks)).toEqual(data);
    }
  });

  test("an empty stream has no chunks", async () => {
    expect(await streamed(new Uint8Array(), 1)).toEqual([]);
  });

  test("every chunk but the last is between the least and the largest size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3 * CHUNK_BYTES_MAX }), fc.string(), (size, seed) => {
        const lengths = lengthsOf(testData(seed, size));
        expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(size);
        for (const length of lengths.slice(0, -1)) {
          expect(length).toBeGreaterThan(CHUNK_BYTES_MIN);
          expect(length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
        }
      }),
      { numRuns: 10 },
    );
  });
});

function concat(chunks: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}
