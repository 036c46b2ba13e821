// What was acknowledged to a publisher, written down the moment it was: whatever happens afterwards, each of these has to
// be had again, byte for byte.

import { appendFileSync } from "node:fs";
import type { Hash } from "../../../lib/hash.ts";
import type { Domain, ObjectName } from "../../../lib/names.ts";

/** One Version, and the digest that its publisher took of the bytes before it sent them. */
export interface Acknowledged {
  domain: Domain;
  name: ObjectName;
  version: Hash;
  manifest: Hash;
  sizeBytes: number;
  sha256: string;
}

export class AcknowledgedList {
  readonly all: Acknowledged[] = [];
  readonly #file: string;

  /** `file` gets a line of JSON for each, for whoever looks into a run that failed. */
  constructor(file: string) {
    this.#file = file;
  }

  get bytes(): number {
    return this.all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  add(entry: Acknowledged): void {
    this.all.push(entry);
    appendFileSync(this.#file, `${JSON.stringify(entry)}\n`);
  }
}
