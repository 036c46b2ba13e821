// What a collection remembers over restarts: which chunks every edge has let go of, when, and how old their files were
// then; since when the node has asked each edge; and when the last round was. One small file, written after a round.

import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import * as v from "valibot";
import { parseJson } from "../../lib/canonical-json.ts";
import type { Hash } from "../../lib/hash.ts";
import { countSchema, hashSchema, parseWith } from "../../lib/schema.ts";
import { EDGES_MAX } from "../config.ts";
import { isFileError, writeDurably } from "../store/durable-file.ts";

export const COLLECTION_FILE = "collection.json";
const FILE_MODE = 0o600;
/** Chunks that wait for their second verdict; others have their first when there is room. */
export const VERDICTS_MAX = 200_000;
/** Some 110 bytes each. */
const FILE_BYTES_MAX = 32 * 1024 * 1024;
/** Of edges that the node was configured with at some time. */
const EDGES_REMEMBERED_MAX = 16 * EDGES_MAX;

const fileSchema = v.strictObject({
  type: v.literal("holdfast-collection-1"),
  /** When the last whole round began; 0: none did. */
  roundMs: countSchema,
  edges: v.pipe(
    v.array(v.strictObject({ edge: hashSchema, sinceMs: countSchema })),
    v.maxLength(EDGES_REMEMBERED_MAX),
  ),
  verdicts: v.pipe(
    v.array(v.strictObject({ chunk: hashSchema, atMs: countSchema, storedMs: countSchema })),
    v.maxLength(VERDICTS_MAX),
  ),
});

/** That every edge let go of a chunk: at the round that began then, and its file was of that time. */
export interface Verdict {
  atMs: number;
  storedMs: number;
}

export class VerdictFile {
  roundMs = 0;
  readonly #path: string;
  readonly #log: Logger;
  readonly #edges = new Map<Hash, number>();
  readonly #verdicts = new Map<Hash, Verdict>();

  constructor({ dir, log }: { dir: string; log: Logger }) {
    this.#path = join(dir, COLLECTION_FILE);
    this.#log = log;
  }

  /** Goes on from the file. Without one that can be read every verdict is still to come: nothing is deleted too early. */
  async load(): Promise<void> {
    try {
      const value = parseJson(await readFile(this.#path), FILE_BYTES_MAX);
      const { roundMs, edges, verdicts } = parseWith(fileSchema, value, "invalid-request");
      this.roundMs = roundMs;
      for (const { edge, sinceMs } of edges) this.#edges.set(edge, sinceMs);
      for (const { chunk, ...verdict } of verdicts) this.#verdicts.set(chunk, verdict);
    } catch (error) {
      if (isFileError(error, "ENOENT")) return;
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside);
      this.#log.warn({ err: error, path: aside }, "what edges let go of could not be read: asking anew");
    }
  }

  async save(): Promise<void> {
    const record: v.InferOutput<typeof fileSchema> = {
      type: "holdfast-collection-1",
      roundMs: this.roundMs,
      edges: [...this.#edges].map(([edge, sinceMs]) => ({ edge, sinceMs })),
      verdicts: [...this.#verdicts].map(([chunk, verdict]) => ({ chunk, ...verdict })),
    };
    const bytes = new TextEncoder().encode(JSON.stringify(record));
    await writeDurably(`${this.#path}.new`, this.#path, [bytes], { mode: FILE_MODE });
  }

  /** Since when the node has asked this edge: from `nowMs` on where it never did. */
  askedSince(edge: Hash, nowMs: number): number {
    const sinceMs = this.#edges.get(edge);
    if (sinceMs !== undefined) return sinceMs;
    if (this.#edges.size < EDGES_REMEMBERED_MAX) this.#edges.set(edge, nowMs);
    return nowMs;
  }

  verdictOn(chunk: Hash): Verdict | null {
    return this.#verdicts.get(chunk) ?? null;
  }

  note(chunk: Hash, verdict: Verdict): void {
    if (this.#verdicts.has(chunk) || this.#verdicts.size < VERDICTS_MAX) this.#verdicts.set(chunk, verdict);
  }

  forget(chunk: Hash): void {
    this.#verdicts.delete(chunk);
  }

  /** Forgets what was not confirmed for so long that its chunk is gone, or needed again. */
  forgetBefore(ms: number): void {
    for (const [chunk, { atMs }] of this.#verdicts) if (atMs < ms) this.#verdicts.delete(chunk);
  }
}
