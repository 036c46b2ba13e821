// A Kademlia table: nodes by how many bits their ids share with one's own, k of each number at most; so many near it and few
// far from it. What is in a bucket stands in the order in which it was last heard of.

import type { Hash, NodeId } from "../hash.ts";
import { closestTo, K, sharedBits } from "./distance.ts";

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
    return this.#from(0);
  }

  /** The `count` closest to `target`, nearest first. */
  closest(target: Hash, count = K): C[] {
    const bits = sharedBits(this.#self, target);
    const found = nearestFirst(target, this.bucket(bits));
    if (found.length < count) found.push(...nearestFirst(target, this.#from(bits + 1)));
    for (let wider = Math.min(bits, this.depth) - 1; wider >= 0 && found.length < count; wider--)
      found.push(...nearestFirst(target, this.bucket(wider)));
    return found.slice(0, count);
  }

  #from(bits: number): C[] {
    return this.#buckets.slice(bits).flatMap((bucket) => bucket ?? []);
  }
}

function nearestFirst<C extends { id: NodeId }>(target: Hash, bucket: readonly C[]): C[] {
  return closestTo(target, bucket, ({ id }) => id, bucket.length);
}

function placeIn(bucket: readonly { id: NodeId }[], id: NodeId): number {
  return bucket.findIndex((contact) => contact.id === id);
}
