// Reads a testnet's chunks and objects while some of its nodes are bad, and counts what came of it. The short test and
// the long run are this code with other numbers.

import pLimit from "p-limit";
import { nodeHasher } from "../../cli/node-host.ts";
import type { WantedChunk } from "../../lib/client/chunk-fetch.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import type { ChunkSource, HolderFailure } from "../../lib/client/chunk-source.ts";
import { DOWNLOAD_WINDOW, download, type Sink } from "../../lib/client/download.ts";
import { isHoldfastError } from "../../lib/error.ts";
import { parseManifest } from "../../lib/manifest.ts";
import { SeededRandom } from "../random.ts";
import { BAD_ANSWER_NAMES, type BadAnswer } from "./bad-answers.ts";
import { type Faults, LIMITS, type StoredObject, type Testnet } from "./testnet.ts";

/** Seeds that are run side by side: most of a seed's time is waiting for holders that stall. */
const SEEDS_AT_ONCE = 6;

export interface Figures {
  /** Chunk reads asked for, and given. */
  reads: number;
  succeeded: number;
  /** Reads that failed although a holder was honest. */
  failedInVain: number;
  /** Holders that were given up on for a chunk: by what they did, and by what the client took it for. */
  passedOver: Map<BadAnswer, Map<string, number>>;
  /** Honest holders that were given up on: the machine was too slow for LIMITS. */
  falseAlarms: number;
  /** Bytes that the client let out and that were not the chunk's or object's. */
  corruptBytes: number;
  /** Objects read as a whole: complete, or ended by `no-holder`. */
  complete: number;
  ended: number;
}

/** `count` of the net's nodes, drawn by the seed, each bad in one way; with enough of them every way occurs. */
export function drawFaults(net: Testnet, seed: number, count: number): Faults {
  const random = new SeededRandom("faults", seed);
  const ways = random.shuffled(BAD_ANSWER_NAMES);
  const bad = random.shuffled(net.nodes).slice(0, count);
  return new Map(bad.map(({ number }, i) => [number, ways[i % ways.length] ?? random.pick(ways)]));
}

/** Reads everything once for each seed, with `bad` nodes drawn anew. */
export async function readUnderFaults(
  net: Testnet,
  seeds: readonly number[],
  bad: number,
): Promise<Map<number, Figures>> {
  const limit = pLimit(SEEDS_AT_ONCE);
  const read = async (seed: number) => [seed, await readAll(net, drawFaults(net, seed, bad), seed)] as const;
  return new Map(await Promise.all(seeds.map((seed) => limit(() => read(seed)))));
}

/** Reads every chunk by itself, then every object as a whole, each by a client that knows nothing of the holders yet. */
export async function readAll(
  net: Testnet,
  faults: Faults,
  seed: number,
  objects: readonly StoredObject[] = net.objects,
): Promise<Figures> {
  const figures = noFigures();
  const fetch = net.fetchWith(faults, seed);
  const onHolderFailed = (failure: HolderFailure) => note(figures, net, faults, failure);
  const chunks = new SeededRandom("order", seed).shuffled(objects.flatMap(wantedChunks));
  await readChunks(net, net.sourceWith(fetch, { onHolderFailed }), faults, chunks, figures);
  const source = net.sourceWith(fetch);
  for (const object of objects) await readObject(object, source, figures);
  return figures;
}

/** The same answers taken without a check: how many chunks a reader would have wrong who believes their first bad holder. */
export async function countUncheckedWrong(
  net: Testnet,
  faults: Faults,
  seed: number,
  objects: readonly StoredObject[],
): Promise<number> {
  const fetchChunk = createChunkFetch(net.fetchWith(faults, seed), LIMITS);
  const take = async ({ hash }: WantedChunk): Promise<number> => {
    const bad = net.holdersOf(hash).find((number) => faults.has(number));
    if (bad === undefined) return 0;
    const url = `${net.originOf(bad)}/chunk/${hash}`;
    const taken = await orNull(fetchChunk(url, { hash, sizeBytes: null }, { redirectsMax: 0 }));
    return taken !== null && countWrong(taken, net.bytesOf(hash)) > 0 ? 1 : 0;
  };
  const wrong = await Promise.all(objects.flatMap(wantedChunks).map(take));
  return wrong.reduce((sum, one) => sum + one, 0);
}

/** An object's chunks, and its Manifest, whose size nobody vouches for. */
function wantedChunks({ manifest, manifestHash }: StoredObject): WantedChunk[] {
  const payload = "chunks" in manifest ? manifest.chunks : [];
  const chunks = payload.map(({ hash, size }) => ({ hash, sizeBytes: size }));
  return [...chunks, { hash: manifestHash, sizeBytes: null }];
}

export function addUp(figures: Iterable<Figures>): Figures {
  const sum = noFigures();
  for (const one of figures) {
    for (const key of NUMBERS) sum[key] += one[key];
    for (const [way, codes] of one.passedOver) {
      for (const [code, times] of codes) count(sum, way, code, times);
    }
  }
  return sum;
}

const NUMBERS = [
  "reads",
  "succeeded",
  "failedInVain",
  "falseAlarms",
  "corruptBytes",
  "complete",
  "ended",
] as const;

function noFigures(): Figures {
  const numbers = {
    reads: 0,
    succeeded: 0,
    failedInVain: 0,
    falseAlarms: 0,
    corruptBytes: 0,
    complete: 0,
    ended: 0,
  };
  return { ...numbers, passedOver: new Map() };
}

async function readChunks(
  net: Testnet,
  source: ChunkSource,
  faults: Faults,
  chunks: readonly WantedChunk[],
  figures: Figures,
): Promise<void> {
  const limit = pLimit(DOWNLOAD_WINDOW);
  const read = async (chunk: WantedChunk): Promise<void> => {
    figures.reads += 1;
    const bytes = await orNull(source.get(chunk));
    if (bytes !== null) {
      figures.succeeded += 1;
      figures.corruptBytes += countWrong(bytes, net.bytesOf(chunk.hash));
    } else if (net.holdersOf(chunk.hash).some((number) => !faults.has(number))) {
      figures.failedInVain += 1;
    }
  };
  await Promise.all(chunks.map((chunk) => limit(() => read(chunk))));
}

async function readObject(
  { bytes, manifestHash }: StoredObject,
  source: ChunkSource,
  figures: Figures,
): Promise<void> {
  const sink = new ComparingSink(bytes);
  const deliver = async (): Promise<true> => {
    const manifest = parseManifest(await source.get({ hash: manifestHash, sizeBytes: null }));
    await download(manifest, sink, { source, hasher: nodeHasher });
    return true;
  };
  const isComplete = (await orNull(deliver())) ?? false;
  if (isComplete) figures.complete += 1;
  else figures.ended += 1;
  figures.corruptBytes += sink.wrongBytes;
  // An object that ends early without an error is as wrong as other bytes.
  if (isComplete) figures.corruptBytes += bytes.length - sink.length;
}

/** Null for a failure that the client has words for; a test fails on any other. */
async function orNull<T>(read: Promise<T>): Promise<T | null> {
  try {
    return await read;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** Compares what it is given with what it should be; what comes out of place counts as wrong. */
class ComparingSink implements Sink {
  readonly #expected: Buffer;
  length = 0;
  wrongBytes = 0;

  constructor(expected: Buffer) {
    this.#expected = expected;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    this.wrongBytes +=
      offset === this.length
        ? countWrong(bytes, this.#expected.subarray(offset, offset + bytes.length))
        : bytes.length;
    this.length += bytes.length;
  }
}

/** Bytes of `given` that differ from `expected`, and those that are missing or too many. */
function countWrong(given: Uint8Array, expected: Uint8Array): number {
  if (Buffer.compare(given, expected) === 0) return 0;
  let wrong = Math.abs(given.length - expected.length);
  for (let i = 0; i < Math.min(given.length, expected.length); i++) wrong += given[i] === expected[i] ? 0 : 1;
  return wrong;
}

function note(figures: Figures, net: Testnet, faults: Faults, { url, error }: HolderFailure): void {
  const number = net.numberAt(url);
  const way = number === null ? undefined : faults.get(number);
  if (way !== undefined) count(figures, way, error.code, 1);
  else if (number !== null) figures.falseAlarms += 1;
}

function count({ passedOver }: Figures, way: BadAnswer, code: string, times: number): void {
  const codes = passedOver.get(way) ?? new Map<string, number>();
  passedOver.set(way, codes);
  codes.set(code, (codes.get(code) ?? 0) + times);
}
