// What was stored under each upload grant, until it expires: over restarts, so that none is spent twice. On disk in one
// file, written a quarter of a minute after a change and at the stop: a crash forgets that, and no more.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { countSchema, hashSchema, parseWith } from "../../lib/schema.ts";
import type { Clock } from "../clock.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";

export const CHARGES_FILE = "grants.json";
export const CHARGES_WRITE_MS = 15_000;
/** Grants with bytes charged to them, until they expire. Some 100 bytes each on disk, 200 in memory. */
export const CHARGED_GRANTS_MAX = 50_000;
const CHARGES_FILE_BYTES_MAX = CHARGED_GRANTS_MAX * 160;
const CHARGES_MODE = 0o600;

const fileSchema = v.strictObject({
  type: v.literal("holdfast-grants-1"),
  /** Id, bytes, and when it expires in milliseconds. */
  charges: v.pipe(v.array(v.tuple([hashSchema, countSchema, countSchema])), v.maxLength(CHARGED_GRANTS_MAX)),
});
type ChargesRecord = v.InferOutput<typeof fileSchema>;

interface Charge {
  bytes: number;
  expiresMs: number;
}

export interface GrantChargesDeps {
  dir: string;
  clock: Clock;
  log: Logger;
}

export class GrantCharges {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #charges = new Map<Hash, Charge>();
  /** Something is charged that is not on disk, and will be brought there. */
  #isDirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor({ dir, clock, log }: GrantChargesDeps) {
    this.#path = join(dir, CHARGES_FILE);
    this.#clock = clock;
    this.#log = log;
  }

  /** Goes on from the file. One that cannot be read is put aside: it never stops the node. */
  async start(): Promise<void> {
    const saved = await this.#load();
    this.#charges = new Map(saved.map(([id, bytes, expiresMs]) => [id, { bytes, expiresMs }]));
    this.#forgetExpired();
  }

  /** Writes what is not on disk yet. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#isDirty) this.#write();
    await this.#writing;
  }

  bytesOf(grant: Hash): number {
    return this.#charges.get(grant)?.bytes ?? 0;
  }

  /** Adds to what is charged, or takes it back. Throws `rate-limited` for a grant more than can be followed. */
  add(grant: Hash, bytes: number, expiresMs: number): void {
    const charge = this.#charges.get(grant) ?? this.#begin(grant, expiresMs);
    charge.bytes += bytes;
    this.#changed();
  }

  #begin(grant: Hash, expiresMs: number): Charge {
    if (this.#charges.size >= CHARGED_GRANTS_MAX) this.#forgetExpired();
    // Forgetting one that is still good would let it be spent twice.
    if (this.#charges.size >= CHARGED_GRANTS_MAX) {
      throw new HoldfastError("rate-limited", "the home node follows as many upload grants as it can");
    }
    const charge = { bytes: 0, expiresMs };
    this.#charges.set(grant, charge);
    return charge;
  }

  #forgetExpired(): void {
    for (const [id, { expiresMs }] of this.#charges) {
      if (expiresMs <= this.#clock.now()) this.#charges.delete(id);
    }
  }

  #changed(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    void this.#writeLater();
  }

  async #writeLater(): Promise<void> {
    await this.#clock.sleep(CHARGES_WRITE_MS, this.#stopping.signal);
    if (!this.#stopping.signal.aborted) this.#write();
  }

  #write(): void {
    this.#isDirty = false;
    this.#forgetExpired();
    const charges = [...this.#charges].map(([id, { bytes, expiresMs }]): ChargesRecord["charges"][number] => [
      id,
      bytes,
      expiresMs,
    ]);
    const record: ChargesRecord = { type: "holdfast-grants-1", charges };
    const text = new TextEncoder().encode(JSON.stringify(record));
    this.#writing = this.#writing
      .then(() => writeDurably(`${this.#path}.new`, this.#path, [text], { mode: CHARGES_MODE }))
      .catch((error: unknown) => {
        this.#log.warn({ err: error }, "what grants were used for could not be written");
        if (!this.#stopping.signal.aborted) this.#changed();
      });
  }

  async #load(): Promise<ChargesRecord["charges"]> {
    try {
      const value = parseJson(await readFile(this.#path), CHARGES_FILE_BYTES_MAX);
      return parseWith(fileSchema, value, "invalid-request").charges;
    } catch (error) {
      if (isFileError(error, "ENOENT")) return [];
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside);
      this.#log.warn(
        { err: error, path: aside },
        "what grants were used for could not be read: it begins anew",
      );
      return [];
    }
  }
}
