// An object's bytes on their way from home nodes to a reader. Holders are looked up a window of chunks ahead, chunks
// are read a few ahead, and each is verified before its first byte is released; one that nobody gives is made anew from its
// stripe. A failure midway breaks the stream,
// so that a short answer never looks like a whole one; a reader who leaves ends the reading ahead.

import { digest } from "../durable-objects/digest.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { type ByteRange, chunksOf, type Manifest, type PlacedChunk } from "../lib/manifest.ts";
import { Recoverer } from "../lib/redundancy/recoverer.ts";
import { findHolders, readChunk } from "./chunk-reader.ts";
import { type BodySection, bodyLength, type ObjectBody, plainBody } from "./object-body.ts";
import { flatten, onceInARow, runAhead, windowsOf } from "./run-ahead.ts";

/** Chunks looked up together: one call to each shard concerned. */
export const LOOKUP_WINDOW = 64;
/** Windows looked up while an earlier one is read. */
export const LOOKUP_AHEAD = 1;
/** Chunks read ahead of the one being sent: with it, 10 MiB of an isolate's 128 at most. */
export const FETCH_AHEAD = 4;

type Holders = Parameters<typeof readChunk>[2];

/** A chunk of a section: which of its bytes are wanted, and what stands before them. */
interface WantedChunk {
  chunk: PlacedChunk;
  range: ByteRange;
  lead: Uint8Array | null;
}

interface LocatedChunk extends WantedChunk {
  holders: Holders;
}

/** A stream of exactly the body's bytes. Its first chunk is verified before the stream is handed out. */
export async function streamBody(
  context: Pick<ExecutionContext, "waitUntil">,
  index: IndexClient,
  manifest: Manifest,
  body: ObjectBody,
): Promise<ReadableStream> {
  const pieces = piecesOf(index, manifest, body);
  const first = await pieces.next();
  const { readable, writable } = new FixedLengthStream(bodyLength(body));
  context.waitUntil(pump(first, pieces, writable));
  return readable;
}

/** A small object, whole. */
export async function readObject(index: IndexClient, manifest: Manifest): Promise<Uint8Array<ArrayBuffer>> {
  const whole = plainBody({ first: 0, last: manifest.size - 1 });
  const bytes = new Uint8Array(manifest.size);
  let offset = 0;
  for await (const piece of flatten(piecesOf(index, manifest, whole))) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

async function pump(
  first: IteratorResult<Uint8Array[], void>,
  rest: AsyncGenerator<Uint8Array[], void>,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    for (let piece = first; !piece.done; piece = await rest.next())
      for (const bytes of piece.value) await writer.write(bytes);
    await writer.close();
  } catch (error) {
    console.warn(`an object's stream was broken off: ${error}`);
    await writer.abort(error).catch((reason: unknown) => console.warn(`and its reader had gone: ${reason}`));
  } finally {
    await rest.return();
  }
}

/** The body's verified pieces, in order. */
async function* piecesOf(
  index: IndexClient,
  manifest: Manifest,
  body: ObjectBody,
): AsyncGenerator<Uint8Array[], void> {
  const windows = windowsOf(wantedChunks(index, manifest, body.sections), LOOKUP_WINDOW);
  const located = runAhead(windows, LOOKUP_AHEAD, (window) => locate(index, window));
  // Neighbouring ranges often lie in one chunk, and an object of zeros is one chunk many times over.
  const read = onceInARow((hash: Hash, size: number, holders: Holders) =>
    readChunk(index, { hash, size }, holders),
  );
  const recoverer = recovererOf(index);
  yield* runAhead(flatten(located), FETCH_AHEAD, async ({ chunk, range, lead, holders }) => {
    const bytes = await recoverer.get(chunk, () => read(chunk.hash, chunk.size, holders));
    const piece = cut(bytes, chunk, range);
    return lead === null ? [piece] : [lead, piece];
  });
  yield [body.trail];
}

/** One for each request: it reads a whole stripe at most, beside what is read ahead. */
function recovererOf(index: IndexClient): Recoverer {
  const located = new Map<Hash, Holders>();
  return new Recoverer({
    hasher: { digest },
    get: ({ hash, size }) => readChunk(index, { hash, size }, located.get(hash) ?? []),
    locate: async (chunks) => {
      located.clear();
      for (const [hash, holders] of await findHolders(index, [...chunks])) located.set(hash, holders);
    },
  });
}

async function* wantedChunks(
  index: IndexClient,
  manifest: Manifest,
  sections: BodySection[],
): AsyncGenerator<WantedChunk, void> {
  const loadPart = onceInARow(async (hash: Hash) => {
    const holders = await findHolders(index, [hash]);
    return readChunk(index, { hash }, holders.get(hash) ?? []);
  });
  for (const { lead, range } of sections) {
    let isFirst = true;
    for await (const chunk of chunksOf(manifest, loadPart, range)) {
      yield { chunk, range, lead: isFirst ? lead : null };
      isFirst = false;
    }
  }
}

async function locate(index: IndexClient, window: WantedChunk[]): Promise<LocatedChunk[]> {
  const holders = await findHolders(
    index,
    window.map(({ chunk }) => chunk.hash),
  );
  return window.map((wanted) => ({ ...wanted, holders: holders.get(wanted.chunk.hash) ?? [] }));
}

function cut(bytes: Uint8Array, chunk: PlacedChunk, range: ByteRange): Uint8Array {
  if (bytes.length !== chunk.size)
    throw new HoldfastError("length-mismatch", `chunk ${chunk.hash} has another size`);
  return bytes.subarray(Math.max(0, range.first - chunk.offset), range.last + 1 - chunk.offset);
}
