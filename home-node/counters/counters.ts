// What the node counts, over restarts: traffic, what was accepted for whom, receipts given. On disk in one small file,
// written a minute after a change and at the stop: often enough that a crash loses a minute, rarely enough that a
// volunteer's disk does not notice.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import type { Domain } from "../../lib/names.ts";
import { countSchema, parseWith } from "../../lib/schema.ts";
import type { Clock } from "../clock.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";
import { Accepted, type AcceptedRecord, acceptedSchema } from "./accepted.ts";
import { type Direction, type Flow, Traffic, trafficSchema, type Way } from "./traffic.ts";

export const COUNTERS_FILE = "counters.json";
export const COUNTERS_WRITE_MS = 60_000;
const COUNTERS_MODE = 0o600;
/** 31 days and 256 domains come to some 50 KB. */
const COUNTERS_FILE_BYTES_MAX = 256 * 1024;

const fileSchema = v.strictObject({
  type: v.literal("holdfast-counters-1"),
  traffic: trafficSchema,
  accepted: acceptedSchema,
  /** Receipts given to publishers. */
  receipts: countSchema,
  /** Chunks that no edge needed any more, and that were deleted. */
  reclaimed: v.optional(v.strictObject({ chunks: countSchema, bytes: countSchema })),
});
type CountersRecord = v.InferOutput<typeof fileSchema>;

export interface CountersReport {
  traffic: ReturnType<Traffic["report"]>;
  accepted: AcceptedRecord;
  receipts: number;
  reclaimed: { chunks: number; bytes: number };
}

export interface CountersDeps {
  dir: string;
  clock: Clock;
  log: Logger;
}

export class Counters {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #traffic: Traffic;
  #accepted = new Accepted(null);
  #receipts = 0;
  #reclaimed = { chunks: 0, bytes: 0 };
  /** Something is counted that is not on disk, and will be brought there. */
  #isDirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor({ dir, clock, log }: CountersDeps) {
    this.#path = join(dir, COUNTERS_FILE);
    this.#clock = clock;
    this.#log = log;
    this.#traffic = new Traffic(clock, null);
  }

  /** Goes on from the file. One that cannot be read is put aside, and counting begins anew: it never stops the node. */
  async start(): Promise<void> {
    const saved = await this.#load();
    if (saved === null) return;
    this.#traffic = new Traffic(this.#clock, saved.traffic);
    this.#accepted = new Accepted(saved.accepted);
    this.#receipts = saved.receipts;
    this.#reclaimed = saved.reclaimed ?? this.#reclaimed;
  }

  /** Writes what is not on disk yet. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#isDirty) this.#write();
    await this.#writing;
  }

  count(way: Way, direction: Direction, flow: Partial<Flow>): void {
    this.#traffic.count(way, direction, flow);
    this.#changed();
  }

  /** A chunk was newly stored for a domain. */
  accept(domain: Domain, bytes: number): void {
    this.#accepted.add(domain, bytes);
    this.#changed();
  }

  receipt(): void {
    this.#receipts += 1;
    this.#changed();
  }

  /** A chunk was deleted because no edge needed it any more. */
  reclaim(bytes: number): void {
    const { chunks, bytes: before } = this.#reclaimed;
    this.#reclaimed = { chunks: chunks + 1, bytes: before + bytes };
    this.#changed();
  }

  report(): CountersReport {
    return {
      traffic: this.#traffic.report(),
      accepted: this.#accepted.record(),
      receipts: this.#receipts,
      reclaimed: this.#reclaimed,
    };
  }

  #changed(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    void this.#writeLater();
  }

  async #writeLater(): Promise<void> {
    await this.#clock.sleep(COUNTERS_WRITE_MS, this.#stopping.signal);
    if (!this.#stopping.signal.aborted) this.#write();
  }

  #write(): void {
    this.#isDirty = false;
    const record: CountersRecord = {
      type: "holdfast-counters-1",
      traffic: this.#traffic.record(),
      accepted: this.#accepted.record(),
      receipts: this.#receipts,
      reclaimed: this.#reclaimed,
    };
    const bytes = new TextEncoder().encode(JSON.stringify(record));
    this.#writing = this.#writing
      .then(() => writeDurably(`${this.#path}.new`, this.#path, [bytes], { mode: COUNTERS_MODE }))
      .catch((error: unknown) => {
        this.#log.warn({ err: error }, "the counters could not be written");
        if (!this.#stopping.signal.aborted) this.#changed();
      });
  }

  async #load(): Promise<CountersRecord | null> {
    try {
      const value = parseJson(await readFile(this.#path), COUNTERS_FILE_BYTES_MAX);
      return parseWith(fileSchema, value, "invalid-request");
    } catch (error) {
      if (isFileError(error, "ENOENT")) return null;
      await this.#putAside(error);
      return null;
    }
  }

  async #putAside(error: unknown): Promise<void> {
    const aside = `${this.#path}.damaged`;
    await rename(this.#path, aside);
    this.#log.warn({ err: error, path: aside }, "the counters could not be read: counting begins anew");
  }
}
