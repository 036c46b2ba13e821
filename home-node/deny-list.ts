// Hashes that the volunteer neither stores nor gives out, from a file: one a line, with `#` before words for people. Read
// again when the volunteer says so; a file that cannot be read changes nothing.

import { readFile } from "node:fs/promises";
import { HoldfastError } from "../lib/error.ts";
import { type Hash, isHash } from "../lib/hash.ts";

export const DENY_FILE_BYTES_MAX = 64 * 1024 * 1024;

export class DenyList {
  readonly #file: string | null;
  #hashes: ReadonlySet<Hash> = new Set();

  /** `file` null: nothing is denied. */
  constructor(file: string | null) {
    this.#file = file;
  }

  get size(): number {
    return this.#hashes.size;
  }

  /** Throws `invalid-request` with the line that is no hash, and what reading the file throws. */
  async load(): Promise<void> {
    if (this.#file === null) return;
    const text = await readFile(this.#file, "utf8");
    if (text.length > DENY_FILE_BYTES_MAX)
      throw new HoldfastError("invalid-request", `${this.#file} is larger than ${DENY_FILE_BYTES_MAX} bytes`);
    this.#hashes = parseDenyFile(text, this.#file);
  }

  has(hash: Hash): boolean {
    return this.#hashes.has(hash);
  }

  /** Throws `gone` for the first of these that is denied. */
  check(...hashes: Hash[]): void {
    for (const hash of hashes) {
      if (this.#hashes.has(hash)) throw new HoldfastError("gone", `this home node does not keep ${hash}`);
    }
  }
}

function parseDenyFile(text: string, file: string): ReadonlySet<Hash> {
  const hashes = new Set<Hash>();
  for (const [i, line] of text.split("\n").entries()) {
    const [word = ""] = line.split("#", 1);
    const hash = word.trim();
    if (hash === "") continue;
    if (!isHash(hash))
      throw new HoldfastError("invalid-request", `${file}, line ${i + 1}: expected 64 lower-case hex digits`);
    hashes.add(hash);
  }
  return hashes;
}
