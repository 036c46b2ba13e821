// The provider records on disk: a line of JSON with the providers, then the columns of the records as they lie in memory, in
// the byte order of all machines that Node runs on. Written whole; without a file that can be read the providers say it again.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError } from "../../lib/error.ts";
import { HASH_BYTES } from "../../lib/hash.ts";
import { countSchema, parseWith } from "../../lib/schema.ts";
import { contactSchema } from "../../lib/wire/nodes.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";
import { PROVIDERS_MAX, RECORDS_MAX, type RecordSnapshot } from "./provider-records.ts";

export const RECORDS_FILE = "providers";
const FILE_MODE = 0o600;
const NEW_LINE = 0x0a;
const WORD_BYTES = 4;
/** Some 2 KiB each at the most. */
const HEAD_BYTES_MAX = 32 * 1024 * 1024;

const providerSchema = v.strictObject({
  contact: contactSchema,
  network: v.pipe(v.string(), v.maxLength(64)),
  timeMs: countSchema,
});
const headSchema = v.strictObject({
  type: v.literal("holdfast-providers-1"),
  providers: v.pipe(v.array(v.nullable(providerSchema)), v.maxLength(PROVIDERS_MAX)),
  records: v.pipe(countSchema, v.maxValue(RECORDS_MAX)),
});

export class RecordFile {
  readonly #path: string;
  readonly #log: Logger;

  constructor({ dir, log }: { dir: string; log: Logger }) {
    this.#path = join(dir, RECORDS_FILE);
    this.#log = log;
  }

  /** Null where there is none that can be read. */
  async load(): Promise<RecordSnapshot | null> {
    try {
      return parseFile(await readFile(this.#path));
    } catch (error) {
      if (isFileError(error, "ENOENT")) return null;
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside);
      this.#log.warn(
        { err: error, path: aside },
        "what others keep could not be read: they will say it again",
      );
      return null;
    }
  }

  async save({ providers, hashes, owners, minutes }: RecordSnapshot): Promise<void> {
    const head: v.InferOutput<typeof headSchema> = {
      type: "holdfast-providers-1",
      providers,
      records: owners.length,
    };
    const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
    const columns = [hashes, new Uint8Array(owners.buffer), new Uint8Array(minutes.buffer)];
    await writeDurably(`${this.#path}.new`, this.#path, [line, ...columns], { mode: FILE_MODE });
  }
}

/** Throws `invalid-request`. */
function parseFile(file: Uint8Array): RecordSnapshot {
  const end = file.indexOf(NEW_LINE);
  const head = parseJson(file.subarray(0, Math.max(0, end)), HEAD_BYTES_MAX);
  const { providers, records } = parseWith(headSchema, head, "invalid-request");
  const ownersAt = records * HASH_BYTES;
  const minutesAt = ownersAt + records * WORD_BYTES;
  // A copy of its own: words begin at multiples of four.
  const columns = new Uint8Array(file.subarray(end + 1));
  if (columns.length !== minutesAt + records * WORD_BYTES)
    throw new HoldfastError("invalid-request", `the file does not have ${records} records`);
  return {
    providers,
    hashes: columns.subarray(0, ownersAt),
    owners: new Uint32Array(columns.buffer, ownersAt, records),
    minutes: new Uint32Array(columns.buffer, minutesAt, records),
  };
}
