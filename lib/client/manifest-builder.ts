// Collects an object's chunk list while its bytes stream by, and turns it into a Manifest: one list up to the limit,
// child manifests past it.

import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import {
  CHUNKS_PER_MANIFEST_MAX,
  type ChunkRef,
  encodeManifest,
  encodeManifestPart,
  type ManifestHead,
  PARTS_PER_MANIFEST_MAX,
  type PartRef,
} from "../manifest.ts";

/** A child manifest on its way to becoming a chunk. */
export interface PendingPart {
  bytes: Uint8Array<ArrayBuffer>;
  /** Payload bytes that it stands for. */
  sizeBytes: number;
}

export class ManifestBuilder {
  readonly #chunksMax: number;
  readonly #parts: PartRef[] = [];
  #chunks: ChunkRef[] = [];

  constructor(chunksMax: number = CHUNKS_PER_MANIFEST_MAX) {
    this.#chunksMax = chunksMax;
  }

  /** Adds the next chunk. Where the list was full before it, returns the full list as a part to store and to add. */
  addChunk(chunk: ChunkRef): PendingPart | null {
    const full = this.#chunks.length < this.#chunksMax ? null : this.#takePart();
    this.#chunks.push(chunk);
    return full;
  }

  addPart(hash: Hash, part: PendingPart): void {
    if (this.#parts.length === PARTS_PER_MANIFEST_MAX) {
      throw new HoldfastError(
        "invalid-manifest",
        `the object is too large: a Manifest has at most ${PARTS_PER_MANIFEST_MAX} parts of ${this.#chunksMax} chunks`,
      );
    }
    this.#parts.push({ hash, size: part.sizeBytes });
  }

  /** The last part, where the object has parts; call before `finish`. */
  lastPart(): PendingPart | null {
    return this.#parts.length === 0 ? null : this.#takePart();
  }

  finish(head: ManifestHead): Uint8Array<ArrayBuffer> {
    return encodeManifest(head, this.#parts.length === 0 ? { chunks: this.#chunks } : { parts: this.#parts });
  }

  #takePart(): PendingPart {
    const bytes = encodeManifestPart({ chunks: this.#chunks });
    const sizeBytes = this.#chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    this.#chunks = [];
    return { bytes, sizeBytes };
  }
}
