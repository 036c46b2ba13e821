import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import type { ChunkRef, StripedList, Striping } from "../../lib/manifest.ts";
import { RECOVERED_AT_ONCE_MAX, recoverChunk, recoverChunks } from "../../lib/redundancy/recovery.ts";
import { ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { stripesOf } from "../../lib/redundancy/stripes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A list and what nodes keep of it. */
interface Kept {
  list: StripedList;
  store: Map<Hash, Bytes>;
}

function keep(chunks: readonly Bytes[], redundancy: Striping): Kept {
  const store = new Map<Hash, Bytes>();
  const put = (bytes: Bytes): ChunkRef => {
    const hash = hashBytes(bytes);
    store.set(hash, bytes);
    return { hash, size: bytes.length };
  };
  const refs = chunks.map(put);
  const list: StripedList = { chunks: refs, parity: [], redundancy };
  const encoder = new ParityEncoder(redundancy.parity, 100);
  for (const { data } of stripesOf(list)) {
    for (const { hash } of data) encoder.add(store.get(hash) ?? new Uint8Array());
    list.parity.push(...encoder.finish().map(put));
  }
  return { list, store };
}

/** What a reader gets: the bytes, or null where they are lost; counts the loads, and how many there were at a time. */
function loader({ store }: Kept, lost: ReadonlySet<Hash>) {
  const seen = { loads: 0, underWay: 0, most: 0 };
  const load = async ({ hash }: ChunkRef) => {
    seen.loads++;
    seen.most = Math.max(seen.most, ++seen.underWay);
    await Promise.resolve();
    seen.underWay--;
    return lost.has(hash) ? null : (store.get(hash) ?? null);
  };
  return { load, seen };
}

const chunkOf = (i: number, size = 20 + i) =>
  new Uint8Array(size).map((_, at) => (i * 31 + at * 7 + 1) & 255);
const numbered = (count: number) => Array.from({ length: count }, (_, i) => chunkOf(i));

describe("a chunk that nobody gives", () => {
  test("comes from the others of its stripe, for each of its chunks and any `parity` losses", async () => {
    const schemes = fc.record({
      count: fc.integer({ min: 1, max: 14 }),
      data: fc.integer({ min: 1, max: 6 }),
      parity: fc.integer({ min: 1, max: 4 }),
      pick: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(schemes, fc.infiniteStream(fc.nat()), async ({ count, data, parity, pick }, draws) => {
        const kept = keep(numbered(count), { data, parity });
        const stripes = stripesOf(kept.list);
        const stripe = stripes[pick % stripes.length];
        if (stripe === undefined) throw new RangeError("there is a stripe");
        // One chunk at `parity + 1` positions has as many holders: it is lost as a whole or not at all.
        fc.pre(stripe.data.length > 1);
        const left = [...stripe.data, ...stripe.parity];
        const lost = new Set<Hash>();
        while (lost.size < parity) lost.add(left[(draws.next().value ?? 0) % left.length]?.hash as Hash);
        for (const hash of lost) {
          const bytes = await recoverChunk(kept.list, hash, loader(kept, lost).load);
          expect(hashBytes(bytes)).toBe(hash);
          expect(bytes).toEqual(kept.store.get(hash));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("is refused past `parity` losses, in words that say why", async () => {
    const kept = keep(numbered(5), { data: 5, parity: 2 });
    const lost = new Set(kept.list.chunks.slice(0, 3).map(({ hash }) => hash));
    const [wanted = hashBytes(new Uint8Array())] = lost;
    await expect(recoverChunk(kept.list, wanted, loader(kept, lost).load)).rejects.toMatchObject({
      code: "no-holder",
      message: expect.stringContaining("4 of the 5 others of its stripe"),
    });
  });

  test("costs as many loads as it takes, a few at a time, and gives others that were found missing", async () => {
    const kept = keep(numbered(10), { data: 10, parity: 6 });
    const lost = new Set(kept.list.chunks.slice(0, 6).map(({ hash }) => hash));
    const [wanted = hashBytes(new Uint8Array())] = lost;
    const { load, seen } = loader(kept, lost);
    const { bytes: made, others } = await recoverChunks(kept.list, wanted, load);
    expect(others.size).toBe(RECOVERED_AT_ONCE_MAX - 1);
    for (const [hash, bytes] of [[wanted, made] as const, ...others]) expect(hashBytes(bytes)).toBe(hash);
    // Five others are missing, ten come.
    expect(seen.loads).toBe(15);
    expect(seen.most).toBe(4);
    const healthy = loader(kept, new Set([wanted]));
    await recoverChunk(kept.list, wanted, healthy.load);
    expect(healthy.seen.loads).toBe(10);
  });

  test("is refused where the parity that was listed does not fit the data", async () => {
    const kept = keep(numbered(4), { data: 4, parity: 2 });
    const false_ = chunkOf(77, kept.list.parity[0]?.size);
    kept.list.parity = kept.list.parity.map(({ size }) => ({ hash: hashBytes(false_), size }));
    kept.store.set(hashBytes(false_), false_);
    const wanted = kept.list.chunks[0]?.hash ?? hashBytes(false_);
    await expect(recoverChunk(kept.list, wanted, loader(kept, new Set([wanted])).load)).rejects.toMatchObject(
      {
        code: "no-holder",
        message: expect.stringContaining("does not fit"),
      },
    );
  });

  test("is refused where the list does not name it", async () => {
    const kept = keep(numbered(4), { data: 4, parity: 2 });
    const stranger = hashBytes(new Uint8Array([1]));
    await expect(recoverChunk(kept.list, stranger, loader(kept, new Set()).load)).rejects.toMatchObject({
      code: "no-holder",
    });
  });
});
