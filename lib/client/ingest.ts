// From a stream of bytes to a Manifest whose chunks are all stored: cut, hash, upload in windows, list. One window is
// read and hashed while the one before it is uploaded, and its memory is used again for the one after, so that memory
// stays constant however large the object is.

import { BufferPool } from "../buffer-pool.ts";
import { CHUNK_BYTES_MIN, chunkStream } from "../chunker.ts";
import type { Hash, Hasher } from "../hash.ts";
import { joinBytes } from "../join-bytes.ts";
import { CHUNK_BYTES_MAX, type ManifestHead, type Redundancy } from "../manifest.ts";
import { handled } from "../promise.ts";
import { CHUNKS_PER_UPLOAD_MAX } from "../upload.ts";
import { ManifestBuilder, type PendingPart } from "./manifest-builder.ts";
import { StripeMaker } from "./stripe-maker.ts";
import type { UploadChunk } from "./uploader.ts";

/** With the window being read, two windows and a few chunks are in memory. */
export const WINDOW_BYTES_MAX = 20 * 1024 * 1024;
/** Where parity is made, a stripe's copies take of the windows' memory; this much is left to each. */
export const WINDOW_BYTES_MIN = 8 * 1024 * 1024;
/** One upload statement for each node names a whole window. */
export const WINDOW_CHUNKS_MAX = CHUNKS_PER_UPLOAD_MAX;

/** Stores a window of distinct chunks, or throws. Their bytes are overwritten after it has returned. */
export type StoreChunks = (chunks: readonly UploadChunk[]) => Promise<void>;

export interface IngestOptions {
  hasher: Hasher;
  store: StoreChunks;
  /** Chunks that one Manifest lists; past it come parts. */
  chunksPerManifest?: number | undefined;
  /** Bytes read so far. */
  onRead?: ((bytes: number) => void) | undefined;
}

export interface Ingested {
  manifest: Hash;
  manifestBytes: Uint8Array<ArrayBuffer>;
  sizeBytes: number;
}

/** Stores the object's chunks, its parts and its Manifest. `head` is the Manifest but for what the bytes tell. */
export async function ingest(
  blocks: AsyncIterable<Uint8Array>,
  head: Omit<ManifestHead, "size" | "digest">,
  options: IngestOptions,
): Promise<Ingested> {
  const { redundancy, ...texts } = head;
  const builder = new ManifestBuilder(redundancy, options.chunksPerManifest);
  const start = await startOf(blocks);
  const read =
    "whole" in start
      ? await storeWhole(start.whole, builder, options)
      : await storeStream(start.blocks, builder, options);
  const manifestBytes = builder.finish({ ...texts, ...read });
  const manifest = await asChunk(manifestBytes, options.hasher);
  await options.store([manifest]);
  return { manifest: manifest.hash, manifestBytes, sizeBytes: read.size };
}

/** What only the bytes tell. */
type Read = Pick<ManifestHead, "size" | "digest">;

/** All bytes of an object that is one chunk at most; else its blocks from the first on. */
async function startOf(
  blocks: AsyncIterable<Uint8Array>,
): Promise<{ whole: Uint8Array<ArrayBuffer> } | { blocks: AsyncIterable<Uint8Array> }> {
  const iterator = blocks[Symbol.asyncIterator]();
  const before: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await iterator.next();
    if (done === true) return { whole: joinBytes(before) };
    length += value.length;
    if (length > CHUNK_BYTES_MIN) return { blocks: continued([...before, value], iterator) };
    // The next block may come in the same memory.
    before.push(value.slice());
  }
}

async function* continued(
  before: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* before;
    yield* { [Symbol.asyncIterator]: () => rest };
  } finally {
    await rest.return?.();
  }
}

/** A small object without windows and parts: among thousands of them these would take half of the time. */
async function storeWhole(
  bytes: Uint8Array<ArrayBuffer>,
  builder: ManifestBuilder,
  { hasher, store, onRead }: IngestOptions,
): Promise<Read> {
  onRead?.(bytes.length);
  const chunk = await asChunk(bytes, hasher);
  if (chunk.size > 0) {
    const ref = { hash: chunk.hash, size: chunk.size };
    builder.addChunk(ref);
    // The parity of one chunk is copies of it.
    const { redundancy } = builder;
    if ("parity" in redundancy) for (let i = 0; i < redundancy.parity; i++) builder.addParity(ref);
    await store([chunk]);
  }
  return { size: chunk.size, digest: chunk.hash };
}

async function storeStream(
  blocks: AsyncIterable<Uint8Array>,
  builder: ManifestBuilder,
  options: IngestOptions,
): Promise<Read> {
  const { hasher, store } = options;
  const { redundancy } = builder;
  const stream = new HashedStream(blocks, options);
  const { pool } = stream;
  const striper = "replicas" in redundancy ? null : new StripeMaker(redundancy, builder, hasher, pool);
  const listed = withParts(stream.chunks(), builder, striper, hasher);
  const windowBytes = windowBytesFor(redundancy);
  await storeInWindows(windowsOf(listed, windowBytes, pool), pool, store);
  return { size: stream.sizeBytes, digest: stream.digest() };
}

function windowBytesFor(redundancy: Redundancy): number {
  const copies = "replicas" in redundancy ? 0 : redundancy.data;
  return Math.max(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX - copies * CHUNK_BYTES_MAX);
}

/** The payload chunks of a byte stream, hashed one by one and as a whole. */
class HashedStream {
  readonly #blocks: AsyncIterable<Uint8Array>;
  readonly #options: IngestOptions;
  readonly #whole;
  readonly pool = new BufferPool();
  sizeBytes = 0;

  constructor(blocks: AsyncIterable<Uint8Array>, options: IngestOptions) {
    this.#blocks = blocks;
    this.#options = options;
    this.#whole = options.hasher.start();
  }

  /** A chunk is cut while the hasher, which may have a thread of its own, is at work on the one before. */
  async *chunks(): AsyncGenerator<UploadChunk> {
    let before: Promise<UploadChunk> | null = null;
    for await (const bytes of chunkStream(this.#blocks, { allocate: (length) => this.pool.take(length) })) {
      const chunk = handled(asChunk(bytes, this.#options.hasher));
      this.#whole.update(bytes);
      this.sizeBytes += bytes.length;
      this.#options.onRead?.(this.sizeBytes);
      if (before !== null) yield await before;
      before = chunk;
    }
    if (before !== null) yield await before;
  }

  digest(): Hash {
    return this.#whole.digest();
  }
}

/** Lists each chunk as it passes, and lets the parity of its stripe and the parts that fill up follow as chunks of their own. */
async function* withParts(
  chunks: AsyncIterable<UploadChunk>,
  builder: ManifestBuilder,
  striper: StripeMaker | null,
  hasher: Hasher,
): AsyncGenerator<UploadChunk> {
  for await (const chunk of chunks) {
    if (builder.isFull) {
      if (striper !== null) yield* striper.finishList();
      yield await addPart(builder.takePart(), builder, hasher);
    }
    builder.addChunk({ hash: chunk.hash, size: chunk.size });
    if (striper === null) yield chunk;
    else yield* striper.add(chunk);
  }
  if (striper !== null) yield* striper.finishList();
  const last = builder.lastPart();
  if (last !== null) yield await addPart(last, builder, hasher);
}

async function addPart(part: PendingPart, builder: ManifestBuilder, hasher: Hasher): Promise<UploadChunk> {
  const chunk = await asChunk(part.bytes, hasher);
  builder.addPart(chunk.hash, part);
  return chunk;
}

async function storeInWindows(
  windows: AsyncIterable<UploadChunk[]>,
  pool: BufferPool,
  store: StoreChunks,
): Promise<void> {
  let storing: Promise<void> = Promise.resolve();
  for await (const window of windows) {
    await storing;
    // Awaited before the next window.
    storing = handled(storeAndGiveBack(window, pool, store));
  }
  await storing;
}

/** After a failure nothing is given back: a send that was given up may not have ended yet. */
async function storeAndGiveBack(
  window: readonly UploadChunk[],
  pool: BufferPool,
  store: StoreChunks,
): Promise<void> {
  await store(window);
  for (const { bytes } of window) pool.give(bytes);
}

/** Distinct chunks in groups that fit a window, each in one stripe at most. */
async function* windowsOf(
  chunks: AsyncIterable<UploadChunk>,
  bytesMax: number,
  pool: BufferPool,
): AsyncGenerator<UploadChunk[]> {
  let window = new Map<Hash, UploadChunk>();
  let bytes = 0;
  for await (const chunk of chunks) {
    const same = window.get(chunk.hash);
    if (same !== undefined && same.stripe === chunk.stripe) {
      pool.give(chunk.bytes);
      continue;
    }
    if (same !== undefined || bytes + chunk.size > bytesMax || window.size === WINDOW_CHUNKS_MAX) {
      yield [...window.values()];
      window = new Map();
      bytes = 0;
    }
    window.set(chunk.hash, chunk);
    bytes += chunk.size;
  }
  if (window.size > 0) yield [...window.values()];
}

async function asChunk(bytes: Uint8Array<ArrayBuffer>, hasher: Hasher): Promise<UploadChunk> {
  return { hash: await hasher.digest(bytes), size: bytes.length, bytes };
}
