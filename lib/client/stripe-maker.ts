// Parity on the way: an object's chunks pass by, and after each stripe of them its parity chunks follow. Copies of one
// stripe's chunks are in memory, whatever windows they are uploaded in.

import type { BufferPool } from "../buffer-pool.ts";
import type { Hash, Hasher } from "../hash.ts";
import { CHUNK_BYTES_MAX, type Striping } from "../manifest.ts";
import { ParityEncoder } from "../redundancy/reed-solomon.ts";
import type { ManifestBuilder } from "./manifest-builder.ts";
import type { StripePositions, UploadChunk } from "./uploader.ts";

export class StripeMaker {
  readonly #redundancy: Striping;
  readonly #builder: ManifestBuilder;
  readonly #hasher: Hasher;
  readonly #pool: BufferPool;
  readonly #encoder: ParityEncoder;
  /** Of the list that is being made: a chunk is in one of its stripes, wherever it comes again. */
  #seen = new Set<Hash>();
  #stripe: StripePositions = [];

  constructor(redundancy: Striping, builder: ManifestBuilder, hasher: Hasher, pool: BufferPool) {
    this.#redundancy = redundancy;
    this.#builder = builder;
    this.#hasher = hasher;
    this.#pool = pool;
    this.#encoder = new ParityEncoder(redundancy.parity, CHUNK_BYTES_MAX);
  }

  /** The chunk if it is new to the list, and the parity if it fills its stripe. Its bytes are not needed afterwards. */
  async *add(chunk: UploadChunk): AsyncGenerator<UploadChunk> {
    if (this.#seen.has(chunk.hash)) {
      this.#pool.give(chunk.bytes);
      return;
    }
    this.#seen.add(chunk.hash);
    this.#encoder.add(chunk.bytes);
    this.#stripe.push(chunk.hash);
    yield { ...chunk, stripe: this.#stripe };
    if (this.#stripe.length === this.#redundancy.data) yield* this.#finishStripe();
  }

  /** Parity of the last stripe, where it was not full. The next chunk begins another list. */
  async *finishList(): AsyncGenerator<UploadChunk> {
    if (this.#stripe.length > 0) yield* this.#finishStripe();
    this.#seen = new Set();
  }

  async *#finishStripe(): AsyncGenerator<UploadChunk> {
    const stripe = this.#stripe;
    this.#stripe = [];
    const parity: UploadChunk[] = [];
    for (const bytes of this.#encoder.finish((length) => this.#pool.take(length))) {
      parity.push({ hash: await this.#hasher.digest(bytes), size: bytes.length, bytes, stripe });
    }
    for (const { hash, size } of parity) {
      stripe.push(hash);
      this.#builder.addParity({ hash, size });
    }
    yield* parity;
  }
}
