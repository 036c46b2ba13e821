// Chunks for a reader, made anew where nobody gives them. What was made beyond the chunk that was asked for is kept until it
// is asked for, so that a stripe with several losses is loaded once and not for each of them.

import pLimit from "p-limit";
import { isHoldfastError } from "../error.ts";
import type { Hash, Hasher } from "../hash.ts";
import type { ChunkRef, PlacedChunk, StripedList } from "../manifest.ts";
import { type LoadChunk, recoverChunks } from "./recovery.ts";
import { membersOf, stripesWith } from "./stripes.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface RecovererOptions {
  hasher: Pick<Hasher, "digest">;
  /** A stripe's chunk, verified. Throws `no-holder` where nobody gives it. */
  get: (chunk: ChunkRef) => Promise<Bytes>;
  /** Looks up who holds the chunks of a stripe, before they are asked for. */
  locate: (chunks: readonly Hash[]) => Promise<void>;
}

export class Recoverer {
  readonly #options: RecovererOptions;
  /** A recovery has a whole stripe in memory: one at a time. */
  readonly #limit = pLimit(1);
  /** Of the stripe that was recovered last. */
  #made = new Map<Hash, Bytes>();

  constructor(options: RecovererOptions) {
    this.#options = options;
  }

  /** The chunk as `read` gets it from a holder, else from its stripe. Throws `no-holder`. */
  async get(chunk: PlacedChunk, read: () => Promise<Bytes>): Promise<Bytes> {
    try {
      return this.#take(chunk.hash) ?? (await read());
    } catch (error) {
      if (chunk.list === undefined || !isHoldfastError(error, "no-holder")) throw error;
      const { list, hash } = chunk;
      return await this.#limit(() => this.#recover(list, hash));
    }
  }

  async #recover(list: StripedList, hash: Hash): Promise<Bytes> {
    const kept = this.#take(hash);
    if (kept !== null) return kept;
    await this.#options.locate(
      stripesWith(list, hash)
        .flatMap(membersOf)
        .map((member) => member.hash),
    );
    const { hasher } = this.#options;
    const { bytes, others } = await recoverChunks(list, hash, this.#load, (made) => hasher.digest(made));
    this.#made = others;
    return bytes;
  }

  readonly #load: LoadChunk = async (chunk) => {
    try {
      return await this.#options.get(chunk);
    } catch (error) {
      // Another member does as well as one that is blocked.
      if (isHoldfastError(error, "no-holder", "gone", "unavailable-for-legal-reasons")) return null;
      throw error;
    }
  };

  #take(hash: Hash): Bytes | null {
    const made = this.#made.get(hash) ?? null;
    this.#made.delete(hash);
    return made;
  }
}
