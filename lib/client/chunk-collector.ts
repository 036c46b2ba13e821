// Gathers the small chunks of many objects into uploads of many chunks each; large ones, and those of stripes, pass at once.

import pLimit from "p-limit";
import type { Hash } from "../hash.ts";
import { CHUNKS_PER_PLAN_MAX } from "../wire/chunks.ts";
import type { StoreChunks } from "./ingest.ts";
import { SMALL_CHUNK_BYTES_MAX, type UploadChunk } from "./uploader.ts";

/** Small chunks that wait for one upload, in bytes. */
export const COLLECTED_BYTES_MAX = 8 * 1024 * 1024;
/** While one upload waits for an answer, the next is on its way. */
export const COLLECTED_UPLOADS_MAX = 2;

export class ChunkCollector {
  readonly #upload: StoreChunks;
  readonly #limit = pLimit(COLLECTED_UPLOADS_MAX);
  #waiting = new Map<Hash, UploadChunk>();
  #bytes = 0;
  /** Uploads of what was collected, the failed ones included. */
  #uploads = new Set<Promise<void>>();

  constructor(upload: StoreChunks) {
    this.#upload = upload;
  }

  /** Copies what waits: its memory is used again when this returns. */
  async store(chunks: readonly UploadChunk[]): Promise<void> {
    const passing = chunks.filter((chunk) => !waits(chunk));
    if (passing.length > 0) await this.#upload(passing);
    for (const chunk of chunks.filter(waits)) {
      if (this.#waiting.size === CHUNKS_PER_PLAN_MAX || this.#bytes > COLLECTED_BYTES_MAX)
        await this.#makeRoom();
      if (this.#waiting.has(chunk.hash)) continue;
      this.#waiting.set(chunk.hash, { ...chunk, bytes: chunk.bytes.slice() });
      this.#bytes += chunk.size;
    }
  }

  /** Sends what waits. Resolves when all that was collected until now is stored, rejects when some of it is not. */
  async settle(): Promise<void> {
    this.#flush();
    await Promise.all(this.#uploads);
  }

  /** Sends what waits, and waits itself where enough is under way: memory holds no more than the uploads and one to come. */
  async #makeRoom(): Promise<void> {
    this.#flush();
    if (this.#limit.pendingCount > 0) await Promise.race(this.#uploads);
  }

  #flush(): void {
    if (this.#waiting.size === 0) return;
    const chunks = [...this.#waiting.values()];
    this.#waiting = new Map();
    this.#bytes = 0;
    const upload = this.#limit(() => this.#upload(chunks));
    this.#uploads.add(upload);
    // One that failed stays: whoever settles is told.
    upload.then(
      () => this.#uploads.delete(upload),
      () => undefined,
    );
  }
}

/** Chunks of a stripe go to nodes that the earlier ones did not go to: they do not overtake each other. */
function waits({ size, stripe }: UploadChunk): boolean {
  return size <= SMALL_CHUNK_BYTES_MAX && stripe === undefined;
}
