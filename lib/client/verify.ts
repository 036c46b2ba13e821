// Checks bytes that somebody already has against an object's Manifest: chunk by chunk, so that the first difference
// is found where it is, and as a whole.

import type { Hash, Hasher } from "../hash.ts";
import { chunksOf, type Manifest } from "../manifest.ts";

/** Where the bytes first differ from the object: the range (inclusive) of the chunk that differs, or what is missing or over. */
export interface Difference {
  kind: "differs" | "too-short" | "too-long";
  first: number;
  last: number;
}

export interface VerifyOptions {
  hasher: Hasher;
  /** Verified bytes of a chunk: for child manifests. */
  loadChunk: (hash: Hash) => Promise<Uint8Array>;
  /** Bytes found right so far. */
  onProgress?: (bytes: number) => void;
}

/** The first difference between the object and `blocks`, or null. */
export async function findDifference(
  manifest: Manifest,
  blocks: AsyncIterable<Uint8Array>,
  options: VerifyOptions,
): Promise<Difference | null> {
  const input = new ByteInput(blocks);
  const whole = options.hasher.start();
  for await (const chunk of chunksOf(manifest, options.loadChunk)) {
    const bytes = await input.take(chunk.size);
    const last = chunk.offset + chunk.size - 1;
    if (bytes.length < chunk.size)
      return { kind: "too-short", first: chunk.offset + bytes.length, last: manifest.size - 1 };
    if ((await options.hasher.digest(bytes)) !== chunk.hash)
      return { kind: "differs", first: chunk.offset, last };
    whole.update(bytes);
    options.onProgress?.(last + 1);
  }
  const over = await input.rest();
  if (over > 0) return { kind: "too-long", first: manifest.size, last: manifest.size + over - 1 };
  // All chunks are right, so only a Manifest that contradicts itself comes to this.
  if (whole.digest() !== manifest.digest) return { kind: "differs", first: 0, last: manifest.size - 1 };
  return null;
}

/** Reads exact lengths from a stream of blocks. */
class ByteInput {
  readonly #blocks: AsyncIterator<Uint8Array>;
  #block: Uint8Array = new Uint8Array(0);

  constructor(blocks: AsyncIterable<Uint8Array>) {
    this.#blocks = blocks[Symbol.asyncIterator]();
  }

  /** `length` bytes, or as many as there are. */
  async take(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length && (await this.#fill())) {
      const piece = this.#block.subarray(0, length - filled);
      bytes.set(piece, filled);
      filled += piece.length;
      this.#block = this.#block.subarray(piece.length);
    }
    return bytes.subarray(0, filled);
  }

  /** Reads to the end; how many bytes were left. */
  async rest(): Promise<number> {
    let count = 0;
    while (await this.#fill()) {
      count += this.#block.length;
      this.#block = this.#block.subarray(this.#block.length);
    }
    return count;
  }

  async #fill(): Promise<boolean> {
    while (this.#block.length === 0) {
      const next = await this.#blocks.next();
      if (next.done === true) return false;
      this.#block = next.value;
    }
    return true;
  }
}
