// A Kademlia table of nodes: many near one's own id and few far from it. k-bucket keeps the buckets and orders by a
// distance that is a number; what comes out is ordered by lib's, which is exact.

/// <reference path="./k-bucket.d.ts" />
import KBucket from "k-bucket";
import { decodeHash, type Hash, type NodeId } from "../../lib/hash.ts";
import { closestTo, K } from "../../lib/overlay/distance.ts";

/** As many more are taken out roughly: none of the nearest is cut off by a tie. */
const ROUGH_TIES = 4;

/** What a table keeps of a node: at least its contact, and its id in bytes, as k-bucket has it. */
export interface Entry<C> {
  readonly id: Uint8Array;
  readonly contact: C;
}

export class Buckets<C extends { id: NodeId }, E extends Entry<C> = Entry<C>> {
  readonly #tree: KBucket<E>;
  #oldest: E[] = [];

  constructor(self: Uint8Array) {
    this.#tree = new KBucket({
      localNodeId: self,
      numberOfNodesPerKBucket: K,
      distance: roughDistance,
      arbiter: (_, candidate) => candidate,
    });
    this.#tree.on("ping", (oldest) => {
      this.#oldest = oldest;
    });
  }

  get size(): number {
    return this.#tree.toArray().length;
  }

  /** One that is known becomes the newest of its bucket. A full bucket keeps those that it has: its oldest are returned. */
  add(entry: E): E[] {
    this.#oldest = [];
    this.#tree.add(entry);
    return this.#oldest;
  }

  get(id: Uint8Array): E | null {
    return this.#tree.get(id);
  }

  remove(id: Uint8Array): void {
    this.#tree.remove(id);
  }

  entries(): E[] {
    return this.#tree.toArray();
  }

  /** The `count` closest to `target`, nearest first. */
  closest(target: Hash, count = K): C[] {
    const near = this.#tree.closest(decodeHash(target), count + ROUGH_TIES);
    return closestTo(
      target,
      near.map(({ contact }) => contact),
      ({ id }) => id,
      count,
    );
  }
}

/** By the first 48 bits: what a number holds exactly. */
function roughDistance(a: Uint8Array, b: Uint8Array): number {
  const xor = (i: number) => (a[i] ?? 0) ^ (b[i] ?? 0);
  const high = (xor(0) << 16) | (xor(1) << 8) | xor(2);
  const low = (xor(3) << 16) | (xor(4) << 8) | xor(5);
  return high * 2 ** 24 + low;
}
