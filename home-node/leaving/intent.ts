// What the volunteer means to do: be away until some day, or leave for good; and whether the disk was lost. Kept in the
// node's folder, because it holds until it is taken back, whatever is restarted.

import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError } from "../../lib/error.ts";
import { VACATION_MAX_MS } from "../../lib/registration.ts";
import { parseWith, timeSchema } from "../../lib/schema.ts";
import type { Clock } from "../clock.ts";
import { EDGES_MAX } from "../config.ts";
import { IDENTITY_FILE } from "../identity.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";

const INTENT_FILE = "intent.json";
const INTENT_BYTES_MAX = 64 * 1024;

const intentSchema = v.strictObject({
  type: v.literal("holdfast-intent-1"),
  awayUntil: v.nullable(timeSchema),
  leavingSince: v.nullable(timeSchema),
  /** When the node found itself without the chunks that it had, and the URLs of edges that have heard of it. */
  lost: v.nullable(
    v.strictObject({ since: timeSchema, told: v.pipe(v.array(v.string()), v.maxLength(EDGES_MAX)) }),
  ),
});
type IntentRecord = v.InferOutput<typeof intentSchema>;

/** What a registration says of it: nothing where there is nothing to say. */
export interface Announced {
  awayUntil?: string;
  leaving?: true;
  lost?: true;
}

/** True where a node that was here before has no folder of chunks any more. Ask before anything is made. */
export function hasLostDisk(dir: string): boolean {
  return existsSync(join(dir, IDENTITY_FILE)) && !existsSync(join(dir, "chunks"));
}

export class Intent {
  readonly #dir: string;
  readonly #clock: Pick<Clock, "now">;
  #record: IntentRecord;
  #writing: Promise<void> = Promise.resolve();

  private constructor(dir: string, clock: Pick<Clock, "now">, record: IntentRecord) {
    this.#dir = dir;
    this.#clock = clock;
    this.#record = record;
  }

  /** Throws `invalid-request` where the file is not one of ours: to go on would take back what the volunteer said. */
  static async load(dir: string, clock: Pick<Clock, "now">): Promise<Intent> {
    const none: IntentRecord = {
      type: "holdfast-intent-1",
      awayUntil: null,
      leavingSince: null,
      lost: null,
    };
    return new Intent(dir, clock, (await readRecord(dir)) ?? none);
  }

  /** Until when the volunteer is away; null where that is over, or never was. */
  get awayUntil(): string | null {
    const { awayUntil } = this.#record;
    return awayUntil !== null && Date.parse(awayUntil) > this.#clock.now() ? awayUntil : null;
  }

  get leavingSince(): string | null {
    return this.#record.leavingSince;
  }

  get lostSince(): string | null {
    return this.#record.lost?.since ?? null;
  }

  /** False while nothing more is to be kept here. */
  get takesMore(): boolean {
    return this.awayUntil === null && this.leavingSince === null;
  }

  announcedTo(edgeUrl: string): Announced {
    const { lost, leavingSince } = this.#record;
    return {
      ...(this.awayUntil === null ? {} : { awayUntil: this.awayUntil }),
      ...(leavingSince === null ? {} : { leaving: true }),
      ...(lost === null || lost.told.includes(edgeUrl) ? {} : { lost: true }),
    };
  }

  /** Throws `invalid-request` for what is past, or further away than an edge keeps a place. `until` null: back again. */
  async pause(until: string | null): Promise<void> {
    const ahead = until === null ? 1 : Date.parse(until) - this.#clock.now();
    if (!(ahead > 0 && ahead <= VACATION_MAX_MS)) {
      const days = VACATION_MAX_MS / (24 * 3600 * 1000);
      throw new HoldfastError("invalid-request", `a node may be away for up to ${days} days from now`);
    }
    await this.#change({ awayUntil: until });
  }

  async leave(isLeaving: boolean): Promise<void> {
    await this.#change({ leavingSince: isLeaving ? this.#time() : null });
  }

  /** The chunks that were here are gone: every edge hears of it once. */
  lose(): Promise<void> {
    return this.#change({ lost: { since: this.#time(), told: [] } });
  }

  async toldLost(edgeUrl: string): Promise<void> {
    const { lost } = this.#record;
    if (lost === null || lost.told.includes(edgeUrl)) return;
    await this.#change({ lost: { ...lost, told: [...lost.told, edgeUrl].slice(-EDGES_MAX) } });
  }

  /** Returns when all that was said is on disk, or could not be brought there. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => undefined); // whoever said it has heard why
  }

  /** One after the other: what was said last is what is on disk in the end. */
  #change(change: Partial<IntentRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    const write = () => this.#write();
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  async #write(): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(this.#record)}\n`);
    const path = join(this.#dir, INTENT_FILE);
    await writeDurably(`${path}.${randomUUID()}`, path, [bytes]);
  }

  #time(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}

async function readRecord(dir: string): Promise<IntentRecord | null> {
  try {
    const bytes = await readFile(join(dir, INTENT_FILE));
    return parseWith(intentSchema, parseJson(bytes, INTENT_BYTES_MAX), "invalid-request");
  } catch (error) {
    if (isFileError(error, "ENOENT")) return null;
    throw error;
  }
}
