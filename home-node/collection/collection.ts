// Deletes chunks that nobody needs: every day the node asks each edge that it serves about all that it has held for a day.
// What every one of them lets go of, in two rounds a day apart, and what did not come again meanwhile, is deleted. An edge
// that does not answer, or answers strangely, keeps everything; a node that serves no edge deletes nothing.

import type { Logger } from "pino";
import type { Hash } from "../../lib/hash.ts";
import { CHUNKS_PER_INVENTORY_MAX } from "../../lib/inventory.ts";
import { RECEIPT_AGE_MAX_MS } from "../../lib/upload.ts";
import { CLOCK_SKEW_MAX_MS } from "../../lib/version.ts";
import type { Counters } from "../counters/counters.ts";
import { askReleased, type LinkedEdge, type QuestionDeps } from "../edge-questions.ts";
import { type ChunkStore, RENEWED_AFTER_MS, type StoredChunk } from "../store/chunk-store.ts";
import { VerdictFile } from "./verdict-file.ts";

/**
 * A chunk that has not come for so long has no receipt that an edge still takes: by the time of its file, which may be that
 * much older than the receipt, and by clocks that differ as much as an edge puts up with.
 */
export const COLLECT_AGE_MS = RECEIPT_AGE_MAX_MS + RENEWED_AFTER_MS + 2 * CLOCK_SKEW_MAX_MS;
/** Of the time between rounds, added at random: nodes that started together do not go on asking together. */
const JITTER = 0.1;
/** A round that an edge has stopped is tried again after this part of the time between rounds. */
const RETRY_PART = 1 / 24;
/** Verdicts that no round has confirmed for so many rounds are forgotten. */
const ROUNDS_REMEMBERED = 30;

export interface CollectionDeps extends Omit<QuestionDeps, "signal"> {
  dir: string;
  chunks: ChunkStore;
  counters: Counters;
  log: Logger;
  random: () => number;
  /** Milliseconds between two rounds, and so between the two verdicts that a deletion takes; 0: nothing is ever deleted. */
  everyMs: number;
  /** The edges that the node is configured for; null for one that it is not linked with now. */
  edges: () => (LinkedEdge | null)[];
}

export class Collection {
  readonly #deps: CollectionDeps;
  readonly #file: VerdictFile;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: CollectionDeps) {
    this.#deps = deps;
    this.#file = new VerdictFile(deps);
  }

  async start(): Promise<void> {
    if (this.#deps.everyMs === 0 || this.#deps.edges().length === 0) return;
    await this.#file.load();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, everyMs, random } = this.#deps;
    const { signal } = this.#stopping;
    const pauseMs = everyMs * (1 + JITTER * random());
    const firstMs = everyMs * RETRY_PART * random();
    let dueMs = Math.max(clock.now() + firstMs, this.#file.roundMs + everyMs);
    for (;;) {
      await clock.sleep(dueMs - clock.now(), signal);
      if (signal.aborted) return;
      const startedMs = Math.floor(clock.now());
      const isWhole = await this.#tryRound(startedMs);
      dueMs = isWhole ? startedMs + pauseMs : clock.now() + everyMs * RETRY_PART;
    }
  }

  /** False where it could not go through. What it has learned by then is kept. */
  async #tryRound(startedMs: number): Promise<boolean> {
    const { log } = this.#deps;
    let isWhole = false;
    try {
      await this.#round(startedMs);
      this.#file.roundMs = startedMs;
      this.#file.forgetBefore(startedMs - ROUNDS_REMEMBERED * this.#deps.everyMs);
      isWhole = true;
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        log.warn({ err: error }, "not every edge said what it needs: nothing more is deleted for now");
    }
    await this.#file.save().catch((error: unknown) => {
      log.warn({ err: error }, "what edges let go of could not be written down");
    });
    return isWhole;
  }

  async #round(startedMs: number): Promise<void> {
    let batch: StoredChunk[] = [];
    for await (const chunk of this.#deps.chunks.list()) {
      if (chunk.storedMs > startedMs - COLLECT_AGE_MS) continue;
      batch.push(chunk);
      if (batch.length < CHUNKS_PER_INVENTORY_MAX) continue;
      await this.#settle(batch, startedMs);
      batch = [];
    }
    if (batch.length > 0) await this.#settle(batch, startedMs);
  }

  async #settle(batch: StoredChunk[], roundMs: number): Promise<void> {
    const released = new Set(await this.#releasedByAll(batch, roundMs));
    for (const chunk of batch) {
      if (released.has(chunk)) await this.#release(chunk, roundMs);
      else this.#file.forget(chunk.hash);
    }
  }

  /** Each edge is asked about what those before it have let go of. Throws where one is not there, or does not say. */
  async #releasedByAll(batch: StoredChunk[], nowMs: number): Promise<StoredChunk[]> {
    let left = batch;
    for (const edge of this.#deps.edges()) {
      if (edge === null) throw new Error("an edge is not linked");
      if (left.length === 0) break;
      const askedSinceMs = this.#file.askedSince(edge.edge, nowMs);
      const asked = left.map(({ hash, storedMs }) => ({
        hash,
        since: isoTime(Math.max(storedMs, askedSinceMs)),
      }));
      const released = await askReleased(edge, asked, { ...this.#deps, signal: this.#stopping.signal });
      left = left.filter(({ hash }) => released.has(hash));
    }
    return left;
  }

  /** The second time, a day after the first, the chunk goes: unless it came again, which its file says. */
  async #release({ hash, storedMs }: StoredChunk, roundMs: number): Promise<void> {
    const first = this.#file.verdictOn(hash);
    if (first === null || first.storedMs !== storedMs || first.atMs > roundMs)
      return this.#file.note(hash, { atMs: roundMs, storedMs });
    if (roundMs - first.atMs < this.#deps.everyMs) return;
    await this.#delete(hash, storedMs);
  }

  async #delete(hash: Hash, storedMs: number): Promise<void> {
    const bytes = await this.#deps.chunks.deleteStored(hash, storedMs);
    this.#file.forget(hash);
    if (bytes === null) return;
    this.#deps.counters.reclaim(bytes);
    this.#deps.log.info({ chunk: hash, bytes }, "deleted a chunk that no edge needs any more");
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
