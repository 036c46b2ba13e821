// A node that is leaving: it asks its edges, again and again, which of its chunks are not yet kept by enough others, until
// there is none. Asking has the edges copy what is short. Nothing is deleted here.

import type { Logger } from "pino";
import { CHUNKS_PER_KEPT_MAX } from "../../lib/durability/kept.ts";
import type { Fetch } from "../../lib/fetch.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Clock } from "../clock.ts";
import { askKept, type LinkedEdge } from "../edge-questions.ts";
import type { Identity } from "../identity.ts";
import type { ChunkStore } from "../store/chunk-store.ts";

/** Between two rounds of questions about what is short, */
export const DRAIN_PAUSE_MS = 2_000;
/** and from when on nothing is: others may fail while the node waits to be switched off. */
export const DRAINED_PAUSE_MS = 10 * 60_000;
/** Chunks that are short and remembered: what is beyond is found by the next look at all of them. */
export const SHORT_REMEMBERED_MAX = 100_000;

export interface DrainDeps {
  identity: Identity;
  chunks: ChunkStore;
  clock: Clock;
  log: Logger;
  fetch: Fetch;
  /** Those that the node is configured for; null for one that it is not linked with now. */
  edges: () => (LinkedEdge | null)[];
}

export interface DrainProgress {
  /** Chunks that the node holds, and those of them that too few others keep, as far as it has asked. */
  chunks: number;
  asked: number;
  short: number;
  /** All of them are kept without this node: it can be switched off. */
  isSafe: boolean;
  /** Why it does not know, in words; null where it does. */
  problem: string | null;
}

export class Drain {
  readonly #deps: DrainDeps;
  #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** Chunks that were short when last asked about; null: all have to be asked about. */
  #short: Set<Hash> | null = null;
  #asked = 0;
  #isSafe = false;
  #problem: string | null = null;

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  get progress(): DrainProgress {
    const { chunks } = this.#deps.chunks.totals;
    const short = this.#short?.size ?? 0;
    return { chunks, asked: this.#asked, short, isSafe: this.#isSafe, problem: this.#problem };
  }

  start(): void {
    this.#stopping.abort();
    this.#stopping = new AbortController();
    this.#short = null;
    this.#isSafe = false;
    this.#running = this.#run(this.#running, this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(before: Promise<void>, signal: AbortSignal): Promise<void> {
    await before;
    while (!signal.aborted) {
      await this.#tryRound(signal);
      await this.#deps.clock.sleep(this.#isSafe ? DRAINED_PAUSE_MS : DRAIN_PAUSE_MS, signal);
    }
  }

  async #tryRound(signal: AbortSignal): Promise<void> {
    try {
      await this.#round(signal);
      this.#problem = null;
    } catch (error) {
      if (signal.aborted) return;
      this.#isSafe = false;
      this.#short = null;
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#deps.log.warn({ err: error }, "not every edge said what others keep");
    }
  }

  /** What was short is asked about until none of it is; then all that the node holds, once more, before it says so. */
  async #round(signal: AbortSignal): Promise<void> {
    const isWhole = this.#short === null || this.#short.size === 0;
    if (isWhole) {
      this.#short = new Set();
      this.#asked = 0;
    }
    const short = this.#short ?? new Set();
    for await (const batch of batches(isWhole ? hashesOf(this.#deps.chunks) : [...short])) {
      if (signal.aborted) return;
      const lacking = await this.#shortOf(batch, signal);
      for (const hash of batch) {
        if (!lacking.has(hash)) short.delete(hash);
        else if (short.size < SHORT_REMEMBERED_MAX) short.add(hash);
      }
      if (isWhole) this.#asked += batch.length;
    }
    this.#isSafe = isWhole && short.size === 0;
  }

  /** Those that one of the edges has on too few others. Throws where one is not there, or does not say. */
  async #shortOf(batch: Hash[], signal: AbortSignal): Promise<Set<Hash>> {
    const edges = this.#deps.edges();
    if (edges.length === 0) throw new Error("no edge is set: nobody knows who else keeps what");
    const short = new Set<Hash>();
    for (const edge of edges) {
      if (edge === null) throw new Error("an edge is not linked");
      for (const { hash, copies, target } of await askKept(edge, batch, { ...this.#deps, signal }))
        if (copies < target) short.add(hash);
    }
    return short;
  }
}

async function* hashesOf(chunks: ChunkStore): AsyncGenerator<Hash> {
  for await (const { hash } of chunks.list()) yield hash;
}

async function* batches(hashes: AsyncIterable<Hash> | Iterable<Hash>): AsyncGenerator<Hash[]> {
  let batch: Hash[] = [];
  for await (const hash of hashes) {
    batch.push(hash);
    if (batch.length < CHUNKS_PER_KEPT_MAX) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
