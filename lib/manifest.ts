// Manifests: canonical JSON that lists an object version's payload chunks, in order. A Manifest is itself a chunk.
// Past CHUNKS_PER_MANIFEST_MAX chunks it lists parts, each a child manifest that lists the chunks. With Reed-Solomon,
// whoever lists chunks lists the parity chunks of their stripes as well (redundancy/stripes.ts).

import * as v from "valibot";
import { encodeCanonical, parseCanonical } from "./canonical-json.ts";
import { HoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { stripesOf } from "./redundancy/stripes.ts";
import { countSchema, hashSchema, parseWith, positiveSchema } from "./schema.ts";

export const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
export const CHUNKS_PER_MANIFEST_MAX = 8000;
/** Chunks and parity chunks that one list has together: in canonical form at most 1.4 MB. */
export const LISTED_PER_MANIFEST_MAX = 15_000;
export const PARTS_PER_MANIFEST_MAX = 8000;
/** A Manifest is a chunk, and the name's shard keeps a copy in one row (2 MB). */
export const MANIFEST_BYTES_MAX = 1_500_000;
export const CONTENT_TYPE_MAX = 255;
export const METADATA_ENTRIES_MAX = 32;
export const METADATA_VALUE_MAX = 1024;
export const REPLICAS_MAX = 32;
export const DEFAULT_REPLICAS = 3;
/** Data chunks of one stripe: whoever recovers a chunk holds so many, 40 MiB of the 128 that an isolate has. */
export const STRIPE_DATA_MAX = 20;
/** Parity chunks of one stripe. */
export const STRIPE_PARITY_MAX = 16;
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
const parityListSchema = v.optional(v.pipe(v.array(chunkSchema), v.maxLength(LISTED_PER_MANIFEST_MAX)));
const partSchema = v.strictObject({ hash: hashSchema, size: positiveSchema });
export const redundancySchema = v.union([
  v.strictObject({ replicas: v.pipe(positiveSchema, v.maxValue(REPLICAS_MAX)) }),
  v.strictObject({
    data: v.pipe(positiveSchema, v.maxValue(STRIPE_DATA_MAX)),
    parity: v.pipe(positiveSchema, v.maxValue(STRIPE_PARITY_MAX)),
  }),
]);
const headSchema = {
  type: v.literal(MANIFEST_TYPE),
  size: countSchema,
  digest: hashSchema,
  contentType: v.pipe(v.string(), v.maxLength(CONTENT_TYPE_MAX), v.regex(CONTENT_TYPE)),
  metadata: v.pipe(
    v.record(v.pipe(v.string(), v.regex(METADATA_KEY)), v.pipe(v.string(), v.maxLength(METADATA_VALUE_MAX))),
    v.check((entries) => Object.keys(entries).length <= METADATA_ENTRIES_MAX, "too many metadata entries"),
  ),
  redundancy: redundancySchema,
};
const manifestSchema = v.union([
  v.strictObject({ ...headSchema, chunks: chunkListSchema, parity: parityListSchema }),
  v.strictObject({
    ...headSchema,
    parts: v.pipe(v.array(partSchema), v.minLength(1), v.maxLength(PARTS_PER_MANIFEST_MAX)),
  }),
]);
const manifestPartSchema = v.strictObject({
  type: v.literal(PART_TYPE),
  size: positiveSchema,
  chunks: v.pipe(chunkListSchema, v.minLength(1)),
  parity: parityListSchema,
});

/** A payload chunk's Content Hash and size in bytes. */
export type ChunkRef = v.InferOutput<typeof chunkSchema>;
/** A child manifest's Content Hash and the payload bytes that it stands for. */
export type PartRef = v.InferOutput<typeof partSchema>;
/** So many whole copies, or `parity` chunks beside each `data` ones: any `data` of them give the others. */
export type Redundancy = v.InferOutput<typeof redundancySchema>;
export type Striping = Extract<Redundancy, { data: number }>;
export type Manifest = v.InferOutput<typeof manifestSchema>;
export type ManifestPart = v.InferOutput<typeof manifestPartSchema>;
export type ManifestHead = Omit<Manifest, "type" | "chunks" | "parity" | "parts">;
/** Chunks in the order of their bytes and, where they are striped, the parity of each stripe. */
export type ChunkList = Pick<ManifestPart, "chunks" | "parity">;

/** A Manifest's canonical bytes. Throws `invalid-manifest` where its own parser would refuse them. */
export function encodeManifest(
  head: ManifestHead,
  list: ChunkList | { parts: PartRef[] },
): Uint8Array<ArrayBuffer> {
  return encodeChecked(checkManifest({ type: MANIFEST_TYPE, ...head, ...list }));
}

export function encodeManifestPart(list: ChunkList): Uint8Array<ArrayBuffer> {
  return encodeChecked(checkManifestPart({ type: PART_TYPE, size: totalSize(list.chunks), ...list }));
}

/** Throws `body-too-large`, `not-canonical` or `invalid-manifest`. */
export function parseManifest(bytes: Uint8Array): Manifest {
  return checkManifest(parseCanonical(bytes, MANIFEST_BYTES_MAX));
}

/** A part does not say how its chunks are striped: `checkStriping` holds it against the Manifest that lists it. */
export function parseManifestPart(bytes: Uint8Array): ManifestPart {
  return checkManifestPart(parseCanonical(bytes, MANIFEST_BYTES_MAX));
}

/** How many failure domains keep a Manifest and its parts, so that they outlast what the payload does. */
export function copiesOf(redundancy: Redundancy): number {
  return "replicas" in redundancy ? redundancy.replicas : redundancy.parity + 1;
}

/** Throws `invalid-manifest` where a list has other parity than its Manifest's redundancy asks for. */
export function checkStriping(list: ChunkList, redundancy: Redundancy): void {
  const { chunks, parity } = list;
  if ("replicas" in redundancy) {
    if (parity === undefined) return;
    throw new HoldfastError("invalid-manifest", "parity is listed where replicas are asked for");
  }
  if (parity === undefined) throw new HoldfastError("invalid-manifest", "the parity is missing");
  if (chunks.length + parity.length > LISTED_PER_MANIFEST_MAX)
    throw new HoldfastError("invalid-manifest", "chunks and parity are too many for one list");
  const stripes = stripesOf({ chunks, parity, redundancy });
  if (parity.length !== stripes.length * redundancy.parity)
    throw new HoldfastError("invalid-manifest", "the parity is not what the stripes have");
  for (const stripe of stripes) {
    const largest = Math.max(...stripe.data.map(({ size }) => size));
    if (stripe.parity.some(({ size }) => size !== largest))
      throw new HoldfastError("invalid-manifest", "a parity chunk has not the size of its stripe's largest");
  }
}

function checkManifest(value: unknown): Manifest {
  const manifest = parseWith(manifestSchema, value, "invalid-manifest");
  checkTotal(manifest.size, "chunks" in manifest ? manifest.chunks : manifest.parts);
  if ("chunks" in manifest) checkStriping(manifest, manifest.redundancy);
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

/** The chunks that a Manifest names itself: payload chunks and parity, or its parts (whose sizes on disk it does not say). */
export function namedHashes(manifest: Manifest): Hash[] {
  return ("chunks" in manifest ? listedChunks(manifest) : manifest.parts).map((entry) => entry.hash);
}

/** Payload chunks, then parity. */
export function listedChunks({ chunks, parity = [] }: ChunkList): ChunkRef[] {
  return [...chunks, ...parity];
}

/** A payload chunk and where its bytes stand in the object. */
export interface PlacedChunk extends ChunkRef {
  offset: number;
  /** The list whose stripes it is in, where there are any. */
  list?: StripedList;
}

/** A list of chunks with the parity of their stripes. */
export interface StripedList {
  chunks: ChunkRef[];
  parity: ChunkRef[];
  redundancy: Striping;
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
    yield* placedChunks(manifest, manifest.redundancy, 0, range);
    return;
  }
  for (const part of overlapping(manifest.parts, 0, range)) {
    const child = parseManifestPart(await loadChunk(part.hash));
    if (child.size !== part.size)
      throw new HoldfastError("invalid-manifest", "a part's size is not what its parent says");
    checkStriping(child, manifest.redundancy);
    yield* placedChunks(child, manifest.redundancy, part.offset, range);
  }
}

/** A checked list as stripes; null where its chunks are replicated. */
export function stripedList({ chunks, parity }: ChunkList, redundancy: Redundancy): StripedList | null {
  return parity === undefined || "replicas" in redundancy ? null : { chunks, parity, redundancy };
}

function* placedChunks(
  list: ChunkList,
  redundancy: Redundancy,
  start: number,
  range: ByteRange,
): Generator<PlacedChunk> {
  const striped = stripedList(list, redundancy);
  for (const chunk of overlapping(list.chunks, start, range)) {
    yield striped === null ? chunk : { ...chunk, list: striped };
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
