// Collects an object's chunk list while its bytes stream by, and turns it into a Manifest: one list up to the limit,
// child manifests past it.

import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import {
  CHUNKS_PER_MANIFEST_MAX,
  type ChunkList,
  type ChunkRef,
  encodeManifest,
  encodeManifestPart,
  LISTED_PER_MANIFEST_MAX,
  type ManifestHead,
  PARTS_PER_MANIFEST_MAX,
  type PartRef,
  type Redundancy,
} from "../manifest.ts";

/** A child manifest on its way to becoming a chunk. */
export interface PendingPart {
  bytes: Uint8Array<ArrayBuffer>;
  /** Payload bytes that it stands for. */
  sizeBytes: number;
}

export class ManifestBuilder {
  readonly redundancy: Redundancy;
  readonly #chunksMax: number;
  readonly #parts: PartRef[] = [];
  #chunks: ChunkRef[] = [];
  #parity: ChunkRef[] = [];

  constructor(redundancy: Redundancy, chunksMax: number = CHUNKS_PER_MANIFEST_MAX) {
    this.redundancy = redundancy;
    this.#chunksMax = chunksMax;
  }

  /** Whether the list has no room for another chunk, with the parity of the stripe that it would be in. */
  get isFull(): boolean {
    const parity = "replicas" in this.redundancy ? 0 : this.#parity.length + this.redundancy.parity;
    return this.#chunks.length >= this.#chunksMax || this.#chunks.length + parity >= LISTED_PER_MANIFEST_MAX;
  }

  addChunk(chunk: ChunkRef): void {
    this.#chunks.push(chunk);
  }

  addParity(chunk: ChunkRef): void {
    this.#parity.push(chunk);
  }

  /** The list as a part to store and to add; the next chunk begins another. */
  takePart(): PendingPart {
    const bytes = encodeManifestPart(this.#list());
    const sizeBytes = this.#chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    this.#chunks = [];
    this.#parity = [];
    return { bytes, sizeBytes };
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
    return this.#parts.length === 0 ? null : this.takePart();
  }

  finish(head: Omit<ManifestHead, "redundancy">): Uint8Array<ArrayBuffer> {
    const list = this.#parts.length === 0 ? this.#list() : { parts: this.#parts };
    return encodeManifest({ ...head, redundancy: this.redundancy }, list);
  }

  #list(): ChunkList {
    const chunks = this.#chunks;
    return "replicas" in this.redundancy ? { chunks } : { chunks, parity: this.#parity };
  }
}
