import { hexToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashBytes } from "../../lib/hash.ts";
import { joinBytes } from "../../lib/join-bytes.ts";
import { STRIPE_DATA_MAX, STRIPE_PARITY_MAX } from "../../lib/manifest.ts";
import { invertMatrix, multiply } from "../../lib/redundancy/galois.ts";
import { coefficient, decode, type Member, ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import vectors from "../vectors/reed-solomon.json" with { type: "json" };

type Bytes = Uint8Array<ArrayBuffer>;

/** As make_reed_solomon.py has it. */
function chunkOf(seed: string, size: number): Bytes {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, i) =>
    hexToBytes(hashBytes(new TextEncoder().encode(`${seed}/${i}`))),
  );
  return joinBytes(blocks.map((block) => new Uint8Array(block))).slice(0, size);
}

function parityOf(data: readonly Bytes[], parity: number): Bytes[] {
  const encoder = new ParityEncoder(parity, Math.max(...data.map(({ length }) => length)));
  for (const chunk of data) encoder.add(chunk);
  return encoder.finish();
}

function stripeOf(data: readonly Bytes[], parity: number): Member[] {
  return [...data, ...parityOf(data, parity)].map((bytes, position) => ({ position, bytes }));
}

/** A stripe of random chunks, and an order in which its members are lost. */
const stripes = fc
  .record({
    data: fc.integer({ min: 1, max: STRIPE_DATA_MAX }),
    parity: fc.integer({ min: 1, max: STRIPE_PARITY_MAX }),
  })
  .chain(({ data, parity }) =>
    fc.record({
      data: fc.array(
        fc.uint8Array({ minLength: 1, maxLength: 90 }).map((bytes) => new Uint8Array(bytes)),
        { minLength: data, maxLength: data },
      ),
      parity: fc.constant(parity),
      order: fc.shuffledSubarray(
        Array.from({ length: data + parity }, (_, i) => i),
        { minLength: data + parity },
      ),
      losses: fc.integer({ min: 1, max: parity }),
    }),
  );

describe("Reed-Solomon", () => {
  test("its coefficients are those of an independent implementation", () => {
    const ours = Array.from({ length: STRIPE_PARITY_MAX }, (_, row) =>
      Array.from({ length: STRIPE_DATA_MAX }, (_, column) => coefficient(row, column)),
    );
    expect(ours).toEqual(vectors.coefficients);
  });

  test.each(vectors.cases)(
    "its parity is that of an independent implementation: $name",
    ({ data, parity }) => {
      const chunks = data.map(({ seed, size }) => chunkOf(seed, size));
      expect(chunks.map(hashBytes)).toEqual(data.map(({ hash }) => hash));
      const ours = parityOf(chunks, parity.length);
      expect(ours.map((bytes) => ({ hash: hashBytes(bytes), size: bytes.length }))).toEqual(
        parity.map(({ hash, size }) => ({ hash, size })),
      );
      for (const [i, { hex }] of parity.entries()) {
        const start = hexToBytes(hex);
        expect(ours[i]?.slice(0, start.length)).toEqual(new Uint8Array(start));
      }
    },
  );

  test("any k of a stripe's chunks give all others, for random schemes, sizes and losses", () => {
    fc.assert(
      fc.property(stripes, ({ data, parity, order, losses }) => {
        const all = stripeOf(data, parity);
        const lost = order.slice(0, losses);
        const left = order.slice(losses).flatMap((position) => all[position] ?? []);
        const longest = Math.max(...data.map(({ length }) => length));
        const sizeOf = (position: number) => data[position]?.length ?? longest;
        decode(data.length, left, lost).forEach((bytes, i) => {
          const position = lost[i] ?? -1;
          expect(bytes.subarray(0, sizeOf(position))).toEqual(all[position]?.bytes);
        });
      }),
      { numRuns: 60 },
    );
  });

  test("one flipped byte in a member changes what comes out", () => {
    fc.assert(
      fc.property(stripes, fc.nat(), ({ data, parity, order }, seed) => {
        const [lost = 0, ...rest] = order;
        const all = stripeOf(data, parity);
        const used = rest.slice(0, data.length).flatMap((position) => all[position] ?? []);
        const flipped = used[seed % used.length];
        if (flipped === undefined) throw new RangeError("a stripe has members");
        const before = decode(data.length, used, [lost])[0];
        flipped.bytes[seed % flipped.bytes.length] = (flipped.bytes[seed % flipped.bytes.length] ?? 0) ^ 1;
        const after = decode(data.length, used, [lost])[0];
        // No member is idle: else fewer than k would do.
        expect(after).not.toEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  test("memory that is not at a multiple of four bytes makes no difference", () => {
    const data = [chunkOf("a", 30), chunkOf("b", 29)];
    const shifted = data.map((bytes) => {
      const place = new Uint8Array(bytes.length + 1);
      place.set(bytes, 1);
      return place.subarray(1);
    });
    expect(parityOf(shifted, 5)).toEqual(parityOf(data, 5));
  });

  test("an encoder begins anew after each stripe", () => {
    const encoder = new ParityEncoder(2, 100);
    const [first, second] = [chunkOf("first", 100), chunkOf("second", 7)];
    encoder.add(first);
    encoder.finish();
    encoder.add(second);
    expect(encoder.finish()).toEqual([second, second]);
  });

  test("too few chunks, and the same one twice, are refused", () => {
    const [a, b] = stripeOf([chunkOf("a", 8), chunkOf("b", 8)], 2);
    if (a === undefined || b === undefined) throw new RangeError("a stripe has members");
    expect(() => decode(2, [a], [1])).toThrow(RangeError);
    expect(() => decode(2, [a, a], [1])).toThrow(RangeError);
    expect(decode(2, [a, b], [0])).toEqual([a.bytes]);
  });

  test("an inverse matrix times the matrix is one", () => {
    const matrix = Array.from({ length: 6 }, (_, row) =>
      Array.from({ length: 6 }, (_, column) => coefficient(row, column)),
    );
    const inverse = invertMatrix(matrix);
    const product = matrix.map((row) =>
      row.map((_, column) =>
        row.reduce((sum, factor, i) => sum ^ multiply(factor, inverse[i]?.[column] ?? 0), 0),
      ),
    );
    expect(product).toEqual(matrix.map((row, i) => row.map((_, j) => (i === j ? 1 : 0))));
  });
});
