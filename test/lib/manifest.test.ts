import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashBytes } from "../../lib/hash.ts";
import {
  type ChunkRef,
  chunksOf,
  encodeManifest,
  encodeManifestPart,
  MANIFEST_BYTES_MAX,
  type PlacedChunk,
  parseManifest,
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
          .map(encodeManifestPart);
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
    const part = encodeManifestPart([ref(0, 5)]);
    const manifest = parseManifest(encodeManifest(head(6), { parts: [{ hash: hashBytes(part), size: 6 }] }));
    await expect(collect(chunksOf(manifest, async () => part))).rejects.toMatchObject({
      code: "invalid-manifest",
    });
  });
});
