// Manifests: canonical JSON that lists an object version's payload chunks, in order. A Manifest is itself a chunk.
// Past CHUNKS_PER_MANIFEST_MAX chunks it lists parts, each a child manifest that lists the chunks.

import * as v from "valibot";
import { encodeCanonical, parseCanonical } from "./canonical-json.ts";
import { HoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { countSchema, hashSchema, parseWith, positiveSchema } from "./schema.ts";

export const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
export const CHUNKS_PER_MANIFEST_MAX = 8000;
export const PARTS_PER_MANIFEST_MAX = 8000;
/** A Manifest is a chunk, and the name's shard keeps a copy in one row (2 MB). */
export const MANIFEST_BYTES_MAX = 1_500_000;
export const CONTENT_TYPE_MAX = 255;
export const METADATA_ENTRIES_MAX = 32;
export const METADATA_VALUE_MAX = 1024;
export const REPLICAS_MAX = 32;
export const DEFAULT_REPLICAS = 3;
export const DEFAULT_CONTENT_TYPE = "application/octet-stream";

const MANIFEST_TYPE = "holdfast-manifest-1";
const PART_TYPE = "holdfast-manifest-part-1";
// A header value must carry it as it stands: printable ASCII, a type and a subtype.
const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+( *; *[\x20-\x7e]*)?$/;
const METADATA_KEY = /^[a-z0-9-]{1,64}$/;

const chunkSchema = v.strictObject({
  hash: hashSchema,
  size: v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX)),
});
const chunkListSchema = v.pipe(v.array(chunkSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX));
const partSchema = v.strictObject({ hash: hashSchema, size: positiveSchema });
const headSchema = {
  type: v.literal(MANIFEST_TYPE),
  size: countSchema,
  digest: hashSchema,
  contentType: v.pipe(v.string(), v.maxLength(CONTENT_TYPE_MAX), v.regex(CONTENT_TYPE)),
  metadata: v.pipe(
    v.record(v.pipe(v.string(), v.regex(METADATA_KEY)), v.pipe(v.string(), v.maxLength(METADATA_VALUE_MAX))),
    v.check((entries) => Object.keys(entries).length <= METADATA_ENTRIES_MAX, "too many metadata entries"),
  ),
  redundancy: v.strictObject({ replicas: v.pipe(positiveSchema, v.maxValue(REPLICAS_MAX)) }),
};
const manifestSchema = v.union([
  v.strictObject({ ...headSchema, chunks: chunkListSchema }),
  v.strictObject({
    ...headSchema,
    parts: v.pipe(v.array(partSchema), v.minLength(1), v.maxLength(PARTS_PER_MANIFEST_MAX)),
  }),
]);
const manifestPartSchema = v.strictObject({
  type: v.literal(PART_TYPE),
  size: positiveSchema,
  chunks: v.pipe(chunkListSchema, v.minLength(1)),
});

/** A payload chunk's Content Hash and size in bytes. */
export type ChunkRef = v.InferOutput<typeof chunkSchema>;
/** A child manifest's Content Hash and the payload bytes that it stands for. */
export type PartRef = v.InferOutput<typeof partSchema>;
export type Redundancy = v.InferOutput<typeof headSchema.redundancy>;
export type Manifest = v.InferOutput<typeof manifestSchema>;
export type ManifestPart = v.InferOutput<typeof manifestPartSchema>;
export type ManifestHead = Omit<Manifest, "type" | "chunks" | "parts">;

/** A Manifest's canonical bytes. Throws `invalid-manifest` where its own parser would refuse them. */
export function encodeManifest(
  head: ManifestHead,
  list: { chunks: ChunkRef[] } | { parts: PartRef[] },
): Uint8Array<ArrayBuffer> {
  return encodeChecked(checkManifest({ type: MANIFEST_TYPE, ...head, ...list }));
}

export function encodeManifestPart(chunks: ChunkRef[]): Uint8Array<ArrayBuffer> {
  return encodeChecked(checkManifestPart({ type: PART_TYPE, size: totalSize(chunks), chunks }));
}

/** Throws `body-too-large`, `not-canonical` or `invalid-manifest`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  return checkManifest(parseCanonical(bytes, MANIFEST_BYTES_MAX));
}

export function parseManifestPart(bytes: Uint8Array): ManifestPart {
  return checkManifestPart(parseCanonical(bytes, MANIFEST_BYTES_MAX));
}

function checkManifest(value: unknown): Manifest {
  const manifest = parseWith(manifestSchema, value, "invalid-manifest");
  checkTotal(manifest.size, "chunks" in manifest ? manifest.chunks : manifest.parts);
  return manifest;
}

function checkManifestPart(value: unknown): ManifestPart {
  const part = parseWith(manifestPartSchema, value, "invalid-manifest");
  checkTotal(part.size, part.chunks);
  return part;
}

/** Canonical by construction, so its own parser has nothing more to ask than the length. */
function encodeChecked(value: Manifest | ManifestPart): Uint8Array<ArrayBuffer> {
  const bytes = encodeCanonical(value);
  if (bytes.length <= MANIFEST_BYTES_MAX) return bytes;
  throw new HoldfastError("body-too-large", `the Manifest has ${bytes.length} bytes`);
}

/** The chunks that a Manifest names itself: payload chunks, or its parts (whose sizes on disk it does not say). */
export function namedHashes(manifest: Manifest): Hash[] {
  return ("chunks" in manifest ? manifest.chunks : manifest.parts).map((entry) => entry.hash);
}

/** A payload chunk and where its bytes stand in the object. */
export interface PlacedChunk extends ChunkRef {
  offset: number;
}

/** An inclusive byte range of an object. */
export interface ByteRange {
  first: number;
  last: number;
}

/**
 * The payload chunks that overlap `range` (the whole object where it is left out), in order. Parts outside the
 * range are not loaded. `loadChunk` gives verified bytes of a chunk.
 */
export async function* chunksOf(
  manifest: Manifest,
  loadChunk: (hash: Hash) => Promise<Uint8Array>,
  range: ByteRange = { first: 0, last: manifest.size - 1 },
): AsyncGenerator<PlacedChunk> {
  if ("chunks" in manifest) {
    yield* overlapping(manifest.chunks, 0, range);
    return;
  }
  for (const part of overlapping(manifest.parts, 0, range)) {
    const child = parseManifestPart(await loadChunk(part.hash));
    if (child.size !== part.size)
      throw new HoldfastError("invalid-manifest", "a part's size is not what its parent says");
    yield* overlapping(child.chunks, part.offset, range);
  }
}

function* overlapping<T extends { size: number }>(
  entries: T[],
  start: number,
  range: ByteRange,
): Generator<T & { offset: number }> {
  let offset = start;
  for (const entry of entries) {
    if (offset > range.last) return;
    if (offset + entry.size > range.first) yield { ...entry, offset };
    offset += entry.size;
  }
}

function checkTotal(size: number, entries: { size: number }[]): void {
  if (totalSize(entries) !== size)
    throw new HoldfastError("invalid-manifest", "size is not the sum of what is listed");
}

function totalSize(entries: { size: number }[]): number {
  return entries.reduce((sum, entry) => sum + entry.size, 0);
}
