// Reads every chunk once in a while, slowly, to see whether the disk still gives what it was given; and soon where one was
// found that it does not give. Such a chunk is deleted by the store, which tells the edges: better missed now, while others
// have it, than when they have not.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { isHoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { countSchema, hashSchema, parseWith } from "../../lib/schema.ts";
import type { Clock } from "../clock.ts";
import { RateLimit } from "../server/rate.ts";
import type { ChunkStore } from "./chunk-store.ts";
import { isFileError, writeDurably } from "./durable-file.ts";

/** From the start of one look at everything to the start of the next. */
export const SCRUB_PERIOD_MS = 30 * 24 * 3600 * 1000;
/** After the node has started, or a look has ended that found something: the disk has other things to do then. */
export const SCRUB_DELAY_MS = 60_000;
/** After a chunk was found bad otherwise, however many more are found meanwhile. */
export const LOSS_DELAY_MS = 5_000;
/** Chunks read between two notes of how far it came. */
const NOTED_EVERY = 256;
const SCRUB_FILE = "scrub.json";
const SCRUB_BYTES_MAX = 4096;

const scrubSchema = v.strictObject({
  type: v.literal("holdfast-scrub-1"),
  startedMs: countSchema,
  /** The last chunk that was read; null once all have been. */
  after: v.nullable(hashSchema),
  read: countSchema,
  bad: countSchema,
});
type ScrubRecord = v.InferOutput<typeof scrubSchema>;

export interface ScrubDeps {
  dir: string;
  chunks: ChunkStore;
  clock: Clock;
  log: Logger;
  /** Bytes a second; null: nothing is read. */
  rate: number | null;
}

/** How it goes: null before the first. */
export interface ScrubReport {
  startedAt: string;
  isDone: boolean;
  read: number;
  bad: number;
}

export class Scrub {
  readonly #deps: ScrubDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #record: ScrubRecord | null = null;
  /** A chunk was lost since the last look began. */
  #isWanted = false;
  #wake = new AbortController();

  constructor(deps: ScrubDeps) {
    this.#deps = deps;
  }

  get report(): ScrubReport | null {
    if (this.#record === null) return null;
    const { startedMs, after, read, bad } = this.#record;
    return { startedAt: new Date(startedMs).toISOString(), isDone: after === null, read, bad };
  }

  async start(): Promise<void> {
    this.#record = await this.#load();
    if (this.#deps.rate !== null) this.#running = this.#run(this.#deps.rate);
  }

  /** A chunk could not be read back: where one is bad, more may be. */
  want(): void {
    this.#isWanted = true;
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(rate: number): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    const pace = new RateLimit(rate, clock);
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const waitMs = Math.max(SCRUB_DELAY_MS, this.#dueMs() - clock.now());
      await clock.sleep(waitMs, AbortSignal.any([signal, this.#wake.signal]));
      if (this.#wake.signal.aborted) await clock.sleep(LOSS_DELAY_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#readAll(pace);
      } catch (error) {
        log.error({ err: error }, "the chunks could not be looked through");
      }
    }
  }

  /** One that was broken off goes on at once; and where something was lost, looks follow each other until one finds nothing. */
  #dueMs(): number {
    if (this.#record === null || this.#record.after !== null || this.#isWanted) return 0;
    return this.#record.startedMs + SCRUB_PERIOD_MS;
  }

  async #readAll(pace: RateLimit): Promise<void> {
    const { chunks, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    const unfinished = this.#record?.after === null ? null : this.#record;
    const record = unfinished ?? { ...fresh(), startedMs: clock.now() };
    this.#isWanted = false;
    for await (const { hash } of chunks.list(record.after ?? "")) {
      await pace.take((await chunks.size(hash)) ?? 0, signal);
      if (signal.aborted) break;
      if (!(await this.#isIntact(hash))) record.bad += 1;
      record.read += 1;
      record.after = hash;
      this.#record = record;
      if (record.read % NOTED_EVERY === 0) await this.#save(record);
    }
    if (!signal.aborted) {
      record.after = null;
      this.#record = record;
    }
    // One that was broken off before its first chunk has not begun.
    if (this.#record === record) await this.#save(record);
    if (!signal.aborted) log.info({ read: record.read, bad: record.bad }, "looked through all chunks");
  }

  /** What cannot be read is as lost as what is corrupt. One that went meanwhile was let go of, not lost. */
  async #isIntact(hash: Hash): Promise<boolean> {
    const { chunks, log } = this.#deps;
    const lostBefore = chunks.lost;
    try {
      return (await chunks.verify(hash)) !== null || chunks.lost === lostBefore;
    } catch (error) {
      log.error({ err: error, chunk: hash }, "a chunk cannot be read");
      await chunks.lose(hash);
      return false;
    }
  }

  async #save(record: ScrubRecord): Promise<void> {
    const path = join(this.#deps.dir, SCRUB_FILE);
    const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    await writeDurably(`${path}.${randomUUID()}`, path, [bytes]);
  }

  /** A file that is not one of ours is as good as none: all is read again. */
  async #load(): Promise<ScrubRecord | null> {
    try {
      const bytes = await readFile(join(this.#deps.dir, SCRUB_FILE));
      return parseWith(scrubSchema, parseJson(bytes, SCRUB_BYTES_MAX), "invalid-request");
    } catch (error) {
      if (isFileError(error, "ENOENT") || isHoldfastError(error)) return null;
      throw error;
    }
  }
}

function fresh(): ScrubRecord {
  return { type: "holdfast-scrub-1", startedMs: 0, after: null, read: 0, bad: 0 };
}
