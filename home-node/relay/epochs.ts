// The epochs that a relay gives out: numbers that only grow, across restarts too, so that of two connections of one node
// the later one is known. Blocks of them are taken on disk, and given out from memory.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { countSchema, parseWith } from "../../lib/schema.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";

export const EPOCHS_FILE = "relay.json";
/** Taken with one write: as many connections may then be made. A restart leaves the rest of them out. */
export const EPOCHS_PER_WRITE = 1024;
const FILE_BYTES_MAX = 1024;

const fileSchema = v.strictObject({
  type: v.literal("holdfast-relay-1"),
  /** None above this one was given out. */
  epoch: countSchema,
});

export class Epochs {
  readonly #path: string;
  #last: number;
  #taken: number;
  #taking: Promise<void> | null = null;

  private constructor(path: string, taken: number) {
    this.#path = path;
    this.#last = taken;
    this.#taken = taken;
  }

  /** Throws `invalid-request` where the file is not one of ours: to begin anew would give old epochs out again. */
  static async load(dir: string): Promise<Epochs> {
    const path = join(dir, EPOCHS_FILE);
    return new Epochs(path, await readTaken(path));
  }

  /** A number above every one before. */
  async next(): Promise<number> {
    this.#last += 1;
    const epoch = this.#last;
    while (epoch > this.#taken) {
      this.#taking ??= this.#take().finally(() => {
        this.#taking = null;
      });
      await this.#taking;
    }
    return epoch;
  }

  async #take(): Promise<void> {
    const record = { type: "holdfast-relay-1", epoch: this.#last + EPOCHS_PER_WRITE - 1 };
    const bytes = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    await writeDurably(`${this.#path}.${randomUUID()}`, this.#path, [bytes]);
    this.#taken = record.epoch;
  }
}

async function readTaken(path: string): Promise<number> {
  try {
    return parseWith(fileSchema, parseJson(await readFile(path), FILE_BYTES_MAX), "invalid-request").epoch;
  } catch (error) {
    if (isFileError(error, "ENOENT")) return 0;
    throw error;
  }
}
