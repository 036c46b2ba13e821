// A Kademlia table: nodes by how many bits their ids share with one's own, k of each number at most; so many near it and few
// far from it. What is in a bucket stands in the order in which it was last heard of.

import type { Hash, NodeId } from "../hash.ts";
import { compareDistance, differsAt, K, sharedBits } from "./distance.ts";

/** Of a full bucket, those that are asked whether they are there before a newcomer takes a place. */
export const OLDEST_ASKED_MAX = 3;

export class Buckets<C extends { id: NodeId }> {
  readonly #self: NodeId;
  readonly #buckets: C[][] = [];

  constructor(self: NodeId) {
    this.#self = self;
  }

  get size(): number {
    return this.#buckets.reduce((sum, bucket) => sum + (bucket?.length ?? 0), 0);
  }

  /** One that is known becomes the newest of its bucket. A full bucket keeps those that it has: its oldest are returned. */
  add(contact: C): C[] {
    const bits = sharedBits(this.#self, contact.id);
    this.#buckets[bits] ??= [];
    const bucket = this.#buckets[bits];
    const at = placeIn(bucket, contact.id);
    if (at >= 0) bucket.splice(at, 1);
    else if (bucket.length >= K) return bucket.slice(0, OLDEST_ASKED_MAX);
    bucket.push(contact);
    return [];
  }

  remove(id: NodeId): void {
    const bucket = this.bucket(sharedBits(this.#self, id));
    const at = placeIn(bucket, id);
    if (at >= 0) bucket.splice(at, 1);
  }

  /** Those that share exactly so many bits with oneself. */
  bucket(bits: number): C[] {
    return this.#buckets[bits] ?? [];
  }

  /** More bits than anybody known shares. */
  get depth(): number {
    return this.#buckets.length;
  }

  contacts(): C[] {
    return this.#buckets.flatMap((bucket) => bucket ?? []);
  }

  /**
   * The `count` closest to `target`, nearest first. Those of a bucket have the bit in which they differ from oneself in common
   * with the target, and are then nearer than all of the buckets behind; or not, and are then farther.
   */
  closest(target: Hash, count = K): C[] {
    const found: C[] = [];
    const farther: number[] = [];
    for (let bits = 0; bits < this.depth && found.length < count; bits++) {
      if (differsAt(this.#self, target, bits)) this.#take(found, target, bits);
      else farther.push(bits);
    }
    for (let bits = farther.pop(); bits !== undefined && found.length < count; bits = farther.pop())
      this.#take(found, target, bits);
    return found.slice(0, count);
  }

  #take(found: C[], target: Hash, bits: number): void {
    const bucket = this.bucket(bits).toSorted((a, b) => compareDistance(target, a.id, b.id));
    for (const contact of bucket) found.push(contact);
  }
}

function placeIn(bucket: readonly { id: NodeId }[], id: NodeId): number {
  return bucket.findIndex((contact) => contact.id === id);
}
