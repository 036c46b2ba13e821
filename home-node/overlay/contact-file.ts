// The contacts on disk, so that a node that starts while every edge is down knows whom to ask. They were found at their URLs
// once; whoever is gone leaves the table as any other.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import { parseWith } from "../../lib/schema.ts";
import { type Contact, contactSchema } from "../../lib/wire/nodes.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";

export const CONTACTS_FILE = "contacts.json";
/** A table of a million nodes has some 350. */
export const CONTACTS_KEPT_MAX = 2000;
const FILE_MODE = 0o600;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

const fileSchema = v.strictObject({
  type: v.literal("holdfast-contacts-1"),
  contacts: v.pipe(
    v.array(v.strictObject({ contact: contactSchema, network: v.pipe(v.string(), v.maxLength(64)) })),
    v.maxLength(CONTACTS_KEPT_MAX),
  ),
});
type KeptContact = v.InferOutput<typeof fileSchema>["contacts"][number];

export class ContactFile {
  readonly #path: string;
  readonly #log: Logger;

  constructor({ dir, log }: { dir: string; log: Logger }) {
    this.#path = join(dir, CONTACTS_FILE);
    this.#log = log;
  }

  async load(): Promise<KeptContact[]> {
    try {
      const value = parseJson(await readFile(this.#path), FILE_BYTES_MAX);
      return parseWith(fileSchema, value, "invalid-request").contacts;
    } catch (error) {
      if (isFileError(error, "ENOENT")) return [];
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside);
      this.#log.warn({ err: error, path: aside }, "the contacts could not be read: edges will name others");
      return [];
    }
  }

  async save(contacts: readonly { contact: Contact; network: string }[]): Promise<void> {
    const record: v.InferOutput<typeof fileSchema> = {
      type: "holdfast-contacts-1",
      contacts: contacts.slice(0, CONTACTS_KEPT_MAX),
    };
    const bytes = new TextEncoder().encode(JSON.stringify(record));
    await writeDurably(`${this.#path}.new`, this.#path, [bytes], { mode: FILE_MODE });
  }
}
