import { sha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHUNK_BYTES_MIN, CHUNK_BYTES_NORMAL, chunkStream, cutPoint } from "../../lib/chunker.ts";
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

  // Byte 0 holds the hash where it is; byte 1 makes it zero there, and only there. So a boundary shows that the hash
  // has been carried to this byte.
  const step = 0x9e37_79b1;
  const table = new Uint32Array(256);
  table[0] = step;
  table[1] = (2 * step) % 2 ** 32;
  const bytesToSettle = 70;
  const marks = [CHUNK_BYTES_MIN + bytesToSettle, CHUNK_BYTES_NORMAL, CHUNK_BYTES_MAX - bytesToSettle];

  test.each(marks.flatMap((mark) => [-34, -33, -2, -1, 0, 1, 2, 31, 32, 33].map((shift) => mark + shift)))(
    "cuts after byte %i where its private table says so, in data of any length",
    (at) => {
      for (const size of [at + 1, at + 2, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX]) {
        const data = new Uint8Array(size);
        data[at] = 1;
        expect(cutPoint(data, table)).toBe(at + 1);
        expect(cutPoint(new Uint8Array(size), table)).toBe(size);
      }
    },
  );

  test("forgets the bytes before the least size", () => {
    const data = new Uint8Array(CHUNK_BYTES_NORMAL);
    data.fill(1, 0, CHUNK_BYTES_MIN);
    expect(cutPoint(data, table)).toBe(CHUNK_BYTES_NORMAL);
  });

  test("may be given the same block again with other bytes, and hands out chunks that stay as they are", async () => {
    const data = testData("reused", 5 * 1024 * 1024);
    async function* oneBlock(): AsyncGenerator<Uint8Array> {
      const block = new Uint8Array(300_000);
      for (let i = 0; i < data.length; i += block.length) {
        const piece = data.subarray(i, i + block.length);
        block.set(piece);
        yield block.subarray(0, piece.length);
        block.fill(0);
      }
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of chunkStream(oneBlock())) chunks.push(chunk);
    expect(concat(chunks)).toEqual(data);
  });

  test("fills the memory that it is given for each chunk", async () => {
    const data = testData("allocated", 3 * 1024 * 1024);
    const given: Uint8Array[] = [];
    const allocate = (length: number) => {
      const memory = new Uint8Array(new ArrayBuffer(CHUNK_BYTES_MAX), 0, length).fill(7);
      given.push(memory);
      return memory;
    };
    const chunks: Uint8Array[] = [];
    for await (const chunk of chunkStream(blocksOf(data, 1_000_000), { allocate })) chunks.push(chunk);
    expect(chunks.every((chunk, i) => chunk === given[i])).toBe(true);
    expect(concat(chunks)).toEqual(data);
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
