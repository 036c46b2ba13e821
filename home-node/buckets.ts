// A Kademlia table of nodes: many near one's own id and few far from it. k-bucket keeps the buckets; what comes out is
// ordered by lib's distance, because k-bucket's are floats and tie.

/// <reference path="./k-bucket.d.ts" />
import KBucket from "k-bucket";
import { decodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { closestTo, K } from "../lib/overlay/distance.ts";

/** A contact with its id in bytes, as k-bucket has it. */
export interface Entry<C> {
  readonly id: Uint8Array;
  readonly contact: C;
}

export class Buckets<C extends { id: NodeId }> {
  readonly #tree: KBucket<Entry<C>>;
  #oldest: Entry<C>[] = [];

  constructor(self: Uint8Array) {
    this.#tree = new KBucket({ localNodeId: self, numberOfNodesPerKBucket: K });
    this.#tree.on("ping", (oldest) => {
      this.#oldest = oldest;
    });
  }

  get size(): number {
    return this.#tree.count();
  }

  /** One that is known becomes the newest of its bucket. A full bucket keeps those that it has: its oldest are returned. */
  add(entry: Entry<C>): Entry<C>[] {
    this.#oldest = [];
    this.#tree.add(entry);
    return this.#oldest;
  }

  remove(id: Uint8Array): void {
    this.#tree.remove(id);
  }

  contacts(): C[] {
    return this.#tree.toArray().map(({ contact }) => contact);
  }

  /** The `count` closest to `target`, nearest first. */
  closest(target: Hash, count = K): C[] {
    // Twice as many: none of the nearest is among those that a tie may cut off.
    const near = this.#tree.closest(decodeHash(target), 2 * count);
    return closestTo(
      target,
      near.map(({ contact }) => contact),
      ({ id }) => id,
      count,
    );
  }
}
