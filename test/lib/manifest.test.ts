import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { hashBytes } from "../../lib/hash.ts";
import {
  CHUNK_BYTES_MAX,
  type ChunkRef,
  chunksOf,
  copiesOf,
  encodeManifest,
  encodeManifestPart,
  MANIFEST_BYTES_MAX,
  namedHashes,
  type PlacedChunk,
  parseManifest,
  STRIPE_DATA_MAX,
  STRIPE_PARITY_MAX,
} from "../../lib/manifest.ts";
import vectors from "../vectors/manifests.json" with { type: "json" };

const bytesOf = (text: string) => new TextEncoder().encode(text);
const ref = (i: number, size: number): ChunkRef => ({ hash: hashBytes(bytesOf(`chunk ${i}`)), size });
const head = (size: number) => ({
  size,
  digest: hashBytes(bytesOf("all")),
  contentType: "text/plain",
  metadata: {},
  redundancy: { replicas: 3 },
});

async function collect(chunks: AsyncIterable<PlacedChunk>): Promise<PlacedChunk[]> {
  const all: PlacedChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

describe("Manifests", () => {
  test.each(vectors.valid)(
    "$why: is read, and has the Content Hash that sha256sum gives",
    ({ text, hash }) => {
      expect(parseManifest(bytesOf(text)).size).toBeGreaterThanOrEqual(0);
      expect(hashBytes(bytesOf(text))).toBe(hash);
    },
  );

  test.each(vectors.invalid)("it is refused: $why", ({ text }) => {
    expect(() => parseManifest(bytesOf(text))).toThrowError(
      expect.objectContaining({ code: "invalid-manifest" }),
    );
  });

  test("one that is not canonical or too large is refused", () => {
    const text = vectors.valid[0]?.text ?? "";
    expect(() => parseManifest(bytesOf(`${text}\n`))).toThrowError(
      expect.objectContaining({ code: "not-canonical" }),
    );
    const huge = new Uint8Array(MANIFEST_BYTES_MAX + 1).fill(0x20);
    expect(() => parseManifest(huge)).toThrowError(expect.objectContaining({ code: "body-too-large" }));
  });

  test("what is written reads back the same", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 2 * 1024 * 1024 }), { maxLength: 50 });
    fc.assert(
      fc.property(sizes, (list) => {
        const chunks = list.map((size, i) => ref(i, size));
        const total = list.reduce((sum, size) => sum + size, 0);
        const bytes = encodeManifest(head(total), { chunks });
        expect(parseManifest(bytes)).toEqual({ type: "holdfast-manifest-1", ...head(total), chunks });
      }),
    );
  });

  test("the chunks of a range are those that overlap it, with and without parts", async () => {
    const list = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(list, fc.nat(), fc.nat(), async (sizes, a, b) => {
        const chunks = sizes.map((size, i) => ref(i, size));
        const total = sizes.reduce((sum, size) => sum + size, 0);
        const [first = 0, last = 0] = [a % total, b % total].sort((x, y) => x - y);
        const half = Math.ceil(chunks.length / 2);
        const parts = [chunks.slice(0, half), chunks.slice(half)]
          .filter((part) => part.length > 0)
          .map((part) => encodeManifestPart({ chunks: part }));
        const store = new Map(parts.map((bytes) => [hashBytes(bytes), bytes]));
        const partRefs = parts.map((bytes) => ({
          hash: hashBytes(bytes),
          size: JSON.parse(new TextDecoder().decode(bytes)).size,
        }));
        const load = async (hash: string) => store.get(hash as never) ?? new Uint8Array();
        const flat = parseManifest(encodeManifest(head(total), { chunks }));
        const nested = parseManifest(encodeManifest(head(total), { parts: partRefs }));
        let offset = 0;
        const placed = chunks.map((chunk) => {
          const at = { ...chunk, offset };
          offset += chunk.size;
          return at;
        });
        const expected = placed.filter((chunk) => chunk.offset <= last && chunk.offset + chunk.size > first);
        expect(await collect(chunksOf(flat, load, { first, last }))).toEqual(expected);
        expect(await collect(chunksOf(nested, load, { first, last }))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("a part whose size is not what its parent says is refused", async () => {
    const part = encodeManifestPart({ chunks: [ref(0, 5)] });
    const manifest = parseManifest(encodeManifest(head(6), { parts: [{ hash: hashBytes(part), size: 6 }] }));
    await expect(collect(chunksOf(manifest, async () => part))).rejects.toMatchObject({
      code: "invalid-manifest",
    });
  });

  test("striped chunks come with their list, which a part may not stripe otherwise than its Manifest says", async () => {
    const redundancy = { data: 2, parity: 1 };
    const list = { chunks: [ref(0, 5), ref(1, 9), ref(0, 5), ref(2, 3)], parity: [ref(10, 9), ref(11, 3)] };
    const part = encodeManifestPart(list);
    const parts = [{ hash: hashBytes(part), size: 22 }];
    const load = async () => part;
    const striped = parseManifest(encodeManifest({ ...head(22), redundancy }, { parts }));
    const placed = await collect(chunksOf(striped, load));
    expect(placed.map(({ hash, offset, list: its }) => ({ hash, offset, its }))).toEqual(
      list.chunks.map(({ hash }, i) => ({
        hash,
        offset: [0, 5, 14, 19][i],
        its: { ...list, redundancy },
      })),
    );
    for (const other of [{ data: 2, parity: 2 }, { data: 3, parity: 1 }, { replicas: 2 }]) {
      const manifest = parseManifest(encodeManifest({ ...head(22), redundancy: other }, { parts }));
      await expect(collect(chunksOf(manifest, load))).rejects.toMatchObject({ code: "invalid-manifest" });
    }
  });
});

describe("a Manifest with stripes", () => {
  const redundancy = { data: 2, parity: 1 };
  const chunks = [ref(0, 5), ref(1, 9), ref(0, 5), ref(2, 3)];
  const parity = [ref(10, 9), ref(11, 3)];
  const striped = { ...head(22), redundancy };

  test("lists the parity of each stripe of distinct chunks, and names all of them", () => {
    const manifest = parseManifest(encodeManifest(striped, { chunks, parity }));
    expect(manifest).toEqual({ type: "holdfast-manifest-1", ...striped, chunks, parity });
    expect(namedHashes(manifest)).toEqual([...chunks, ...parity].map(({ hash }) => hash));
    expect(copiesOf(manifest.redundancy)).toBe(2);
  });

  test("an empty object has no stripe", () => {
    const empty = encodeManifest({ ...head(0), redundancy }, { chunks: [], parity: [] });
    expect(parseManifest(empty)).toMatchObject({ parity: [] });
  });

  test.each([
    ["no parity", { chunks }],
    ["too few parity chunks", { chunks, parity: parity.slice(1) }],
    ["too many parity chunks", { chunks, parity: [...parity, ref(12, 3)] }],
    [
      "a parity chunk that is smaller than its stripe's largest",
      { chunks, parity: [ref(10, 8), ref(11, 3)] },
    ],
    ["a parity chunk that is larger", { chunks, parity: [ref(10, 9), ref(11, 4)] }],
  ])("with %s is refused", (_, list) => {
    expect(() => encodeManifest(striped, list)).toThrow(
      expect.objectContaining({ code: "invalid-manifest" }),
    );
  });

  test.each([
    ["parity beside replicas", { replicas: 3 }],
    ["no data", { data: 0, parity: 1 }],
    ["no parity", { data: 2, parity: 0 }],
    ["more data than a stripe may have", { data: STRIPE_DATA_MAX + 1, parity: 1 }],
    ["more parity than a stripe may have", { data: 2, parity: STRIPE_PARITY_MAX + 1 }],
    ["both at once", { data: 2, parity: 1, replicas: 3 }],
  ])("and a redundancy of %s is refused", (_, other) => {
    const bytes = encodeCanonical({
      type: "holdfast-manifest-1",
      ...striped,
      redundancy: other,
      chunks,
      parity,
    });
    expect(() => parseManifest(bytes)).toThrow(expect.objectContaining({ code: "invalid-manifest" }));
  });

  test("with as many chunks and parity as one list may have fits a Manifest's bytes; with more it is refused", () => {
    const many = (count: number, from: number) =>
      Array.from({ length: count }, (_, i) => ref(from + i, CHUNK_BYTES_MAX));
    const size = 7500 * CHUNK_BYTES_MAX;
    const list = { chunks: many(7500, 0), parity: many(7500, 7500) };
    const bytes = encodeManifest({ ...head(size), redundancy: { data: 1, parity: 1 } }, list);
    expect(bytes.length).toBeLessThan(MANIFEST_BYTES_MAX);
    const more = { chunks: many(7501, 0), parity: many(7501, 8000) };
    expect(() =>
      encodeManifest({ ...head(size + CHUNK_BYTES_MAX), redundancy: { data: 1, parity: 1 } }, more),
    ).toThrow(expect.objectContaining({ code: "invalid-manifest" }));
  });
});
