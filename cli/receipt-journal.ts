// Receipts on disk, from a home node's answer until the edge has them: a publish that was killed, or whose edge was, goes
// on without sending again what nodes keep. A line that is lost costs a send, never more; so nothing is synced.

import { createHash } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { parseJson } from "../lib/canonical-json.ts";
import type { ReceiptKeeper } from "../lib/client/receipt-keeper.ts";
import { isHoldfastError } from "../lib/error.ts";
import type { Domain } from "../lib/names.ts";
import { RECEIPT_AGE_MAX_MS, verifyReceipt } from "../lib/upload.ts";
import { parseSigned, parseSignedJson, type SignedJson } from "../lib/wire/signed.ts";
import type { FullName } from "./options.ts";

/** A window of 128 chunks at 32 replicas comes to some 5 MiB. */
export const JOURNAL_BYTES_MAX = 8 * 1024 * 1024;
const LINE_BYTES_MAX = 16 * 1024;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export interface JournalOptions {
  path: string;
  domain: Domain;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Told once where the journal cannot be kept: the publish goes on without. */
  warn: (text: string) => void;
}

/** Where the receipts of publishing `target` at an edge lie: two names never share a file. */
export function journalPath(
  env: Record<string, string | undefined>,
  edgeUrl: string,
  target: FullName,
): string {
  const state = env.XDG_STATE_HOME ?? "";
  const base = isAbsolute(state) ? state : join(homedir(), ".local", "state");
  const id = createHash("sha256").update(`${edgeUrl}\n${target.domain}/${target.name}`).digest("hex");
  return join(base, "holdfast", "receipts", `${id}.jsonl`);
}

export class ReceiptJournal implements ReceiptKeeper {
  readonly #options: JournalOptions;
  /** By signature. */
  #kept = new Map<string, SignedJson>();
  #isUsable = true;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  async earlier(): Promise<SignedJson[]> {
    await this.#orDoWithout(async () => {
      await this.#removeExpired();
      const lines = (await this.#read()).split("\n").filter((line) => line !== "");
      const receipts = await Promise.all(lines.map((line) => this.#parseLine(line)));
      for (const receipt of receipts) if (receipt !== null) this.#kept.set(receipt.signature, receipt);
    });
    return [...this.#kept.values()];
  }

  async keep(receipt: SignedJson): Promise<void> {
    this.#kept.set(receipt.signature, receipt);
    await this.#orDoWithout(async () => {
      await mkdir(dirname(this.#options.path), { recursive: true, mode: FOLDER_MODE });
      await appendFile(this.#options.path, lineOf(receipt), { mode: FILE_MODE });
    });
  }

  async release(receipts: readonly SignedJson[]): Promise<void> {
    if (receipts.length === 0) return;
    for (const { signature } of receipts) this.#kept.delete(signature);
    await this.#orDoWithout(() => this.#rewrite());
  }

  async #read(): Promise<string> {
    const { path } = this.#options;
    const isThere = (await sizeOf(path)) <= JOURNAL_BYTES_MAX;
    return isThere ? readFile(path, "utf8").catch(orElse("ENOENT", "")) : "";
  }

  /** Null for what no edge would take: a torn line, a receipt for another domain, one that is too old. */
  async #parseLine(line: string): Promise<SignedJson | null> {
    const { domain, now } = this.#options;
    try {
      const receipt = parseSignedJson(parseJson(Buffer.from(line), LINE_BYTES_MAX));
      const { body } = await verifyReceipt(parseSigned(receipt), now());
      return body.domain === domain ? receipt : null;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      return null;
    }
  }

  async #rewrite(): Promise<void> {
    const { path } = this.#options;
    if (this.#kept.size === 0) return rm(path, { force: true });
    const next = `${path}.${process.pid}`;
    await writeFile(next, [...this.#kept.values()].map(lineOf).join(""), { mode: FILE_MODE });
    await rename(next, path);
  }

  /** Journals of publishes that nobody has taken up again: no edge takes their receipts any more. */
  async #removeExpired(): Promise<void> {
    const folder = dirname(this.#options.path);
    for (const name of await readdir(folder).catch(orElse("ENOENT", []))) {
      const path = join(folder, name);
      const { mtimeMs } = await stat(path);
      if (mtimeMs < this.#options.now() - RECEIPT_AGE_MAX_MS) await rm(path, { force: true });
    }
  }

  /** A file system that refuses must not stop a publish. */
  async #orDoWithout(work: () => Promise<void>): Promise<void> {
    if (!this.#isUsable) return;
    try {
      await work();
    } catch (error) {
      if (!isFileSystemError(error)) throw error;
      this.#isUsable = false;
      this.#options.warn(`${error.message}: were this publish broken off, it would send everything again`);
    }
  }
}

function lineOf(receipt: SignedJson): string {
  return `${JSON.stringify(receipt)}\n`;
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path).catch(orElse("ENOENT", null));
  return info?.size ?? 0;
}

function orElse<T>(code: string, value: T): (error: unknown) => T {
  return (error) => {
    if (isFileSystemError(error) && error.code === code) return value;
    throw error;
  };
}

function isFileSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}
