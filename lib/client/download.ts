// An object's bytes, in order, each chunk verified before the sink sees it, the whole digest at the end. Chunks are
// fetched ahead in a window, from several holders at once; the window bounds memory. A chunk of a stripe that nobody gives is
// made anew from the others.

import type { BufferPool } from "../buffer-pool.ts";
import { HoldfastError } from "../error.ts";
import type { Hasher } from "../hash.ts";
import { chunksOf, type Manifest, type PlacedChunk } from "../manifest.ts";
import { handled } from "../promise.ts";
import { Recoverer } from "../redundancy/recoverer.ts";
import { type ChunkSource, LOCATE_BATCH } from "./chunk-source.ts";

/** Chunks in flight or waiting their turn: at most 24 MiB, about half of that on the average. A recovery adds a stripe. */
export const DOWNLOAD_WINDOW = 12;

const OVER = new HoldfastError("internal", "the download is over");

/** Where verified bytes go. */
export interface Sink {
  /** Called in order, without gaps, one call at a time. The bytes may be overwritten once it has returned. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Bytes that are there from an earlier attempt; null where there are not that many. They are verified like any others. */
  read?(offset: number, length: number): Promise<Uint8Array<ArrayBuffer> | null>;
}

export type DownloadEvent = { type: "chunk"; offset: number; sizeBytes: number; origin: "network" | "kept" };

export interface DownloadOptions {
  source: ChunkSource;
  hasher: Hasher;
  /** Takes back the memory of chunks that were written. */
  pool?: BufferPool | undefined;
  onEvent?: (event: DownloadEvent) => void;
}

interface Ready {
  chunk: PlacedChunk;
  bytes: Uint8Array<ArrayBuffer>;
  origin: "network" | "kept";
}

/** Delivers the object to `sink`. Throws `no-holder`, `digest-mismatch`, or what the sink throws. */
export async function download(manifest: Manifest, sink: Sink, options: DownloadOptions): Promise<void> {
  const digest = options.hasher.start();
  for await (const { chunk, bytes, origin } of inOrder(manifest, sink, options)) {
    digest.update(bytes);
    if (origin === "network") await sink.write(bytes, chunk.offset);
    options.onEvent?.({ type: "chunk", offset: chunk.offset, sizeBytes: chunk.size, origin });
    options.pool?.give(bytes);
  }
  if (digest.digest() !== manifest.digest) {
    throw new HoldfastError(
      "digest-mismatch",
      "the chunks verify, but not the whole: the Manifest contradicts itself; ask its publisher to publish again",
    );
  }
}

async function* inOrder(manifest: Manifest, sink: Sink, options: DownloadOptions): AsyncGenerator<Ready> {
  const window: Promise<Ready>[] = [];
  const stop = new AbortController();
  const recoverer = recovererOf(options, stop.signal);
  try {
    for await (const chunk of locatedChunks(manifest, options.source)) {
      const head = window.length < DOWNLOAD_WINDOW ? undefined : window.shift();
      if (head !== undefined) yield await head;
      window.push(handled(prepare(chunk, sink, options, recoverer, stop.signal)));
    }
    for (let head = window.shift(); head !== undefined; head = window.shift()) yield await head;
  } finally {
    // A reason of its own: without one, each download makes an exception with a stack, for nobody to read.
    stop.abort(OVER);
  }
}

async function prepare(
  chunk: PlacedChunk,
  sink: Sink,
  options: DownloadOptions,
  recoverer: Recoverer,
  signal: AbortSignal,
): Promise<Ready> {
  const kept = (await sink.read?.(chunk.offset, chunk.size)) ?? null;
  if (kept !== null && (await options.hasher.digest(kept)) === chunk.hash) {
    return { chunk, bytes: kept, origin: "kept" };
  }
  const wanted = { hash: chunk.hash, sizeBytes: chunk.size };
  const bytes = await recoverer.get(chunk, () => options.source.get(wanted, signal));
  return { chunk, bytes, origin: "network" };
}

function recovererOf({ source, hasher }: DownloadOptions, signal: AbortSignal): Recoverer {
  return new Recoverer({
    hasher,
    get: ({ hash, size }) => source.get({ hash, sizeBytes: size }, signal),
    locate: (chunks) => source.locate(chunks),
  });
}

/** The object's chunks, each after its holders were asked for; one batch is asked for ahead. */
async function* locatedChunks(manifest: Manifest, source: ChunkSource): AsyncGenerator<PlacedChunk> {
  const chunks = chunksOf(manifest, (hash) => source.get({ hash, sizeBytes: null }));
  let ahead = handled(nextBatch(chunks, source));
  for (;;) {
    const batch = await ahead;
    if (batch.length === 0) return;
    ahead = handled(nextBatch(chunks, source));
    yield* batch;
  }
}

async function nextBatch(chunks: AsyncGenerator<PlacedChunk>, source: ChunkSource): Promise<PlacedChunk[]> {
  const batch: PlacedChunk[] = [];
  while (batch.length < LOCATE_BATCH) {
    const next = await chunks.next();
    if (next.done === true) break;
    batch.push(next.value);
  }
  await source.locate(batch.map((chunk) => chunk.hash));
  return batch;
}
