// A Kademlia table: nodes by how many bits their ids share with one's own, k of each number at most; so many near it and few
// far from it. What is in a bucket stands in the order in which it was last heard of.

import type { Hash, NodeId } from "../hash.ts";
import { compareDistance, differsAt, HEAD_BITS, headOf, K, roughDistance, sharedBits } from "./distance.ts";

/** Of a full bucket, those that are asked whether they are there before a newcomer takes a place. */
export const OLDEST_ASKED_MAX = 3;

/** Contacts, and at the same places the heads of their ids: a table is searched without a look at the ids themselves. */
interface Bucket<C> {
  readonly contacts: C[];
  readonly heads: number[];
}

export class Buckets<C extends { id: NodeId }> {
  readonly #self: NodeId;
  readonly #selfHead: number;
  readonly #buckets: Bucket<C>[] = [];

  constructor(self: NodeId) {
    this.#self = self;
    this.#selfHead = headOf(self);
  }

  get size(): number {
    return this.#buckets.reduce((sum, { contacts }) => sum + contacts.length, 0);
  }

  /** One that is known becomes the newest of its bucket. A full bucket keeps those that it has: its oldest are returned. */
  add(contact: C): C[] {
    const bits = sharedBits(this.#self, contact.id);
    while (this.#buckets.length <= bits) this.#buckets.push({ contacts: [], heads: [] });
    const bucket = this.#bucket(bits);
    const head = headOf(contact.id);
    const at = placeIn(bucket, contact.id, head);
    if (at >= 0) takeOut(bucket, at);
    else if (bucket.contacts.length >= K) return bucket.contacts.slice(0, OLDEST_ASKED_MAX);
    bucket.contacts.push(contact);
    bucket.heads.push(head);
    return [];
  }

  has(id: NodeId): boolean {
    return placeIn(this.#bucket(sharedBits(this.#self, id)), id, headOf(id)) >= 0;
  }

  remove(id: NodeId): void {
    const bucket = this.#bucket(sharedBits(this.#self, id));
    const at = placeIn(bucket, id, headOf(id));
    if (at >= 0) takeOut(bucket, at);
  }

  /** Those that share exactly so many bits with oneself. */
  bucket(bits: number): readonly C[] {
    return this.#bucket(bits).contacts;
  }

  /** More bits than anybody known shares. */
  get depth(): number {
    return this.#buckets.length;
  }

  contacts(): C[] {
    return this.#buckets.flatMap(({ contacts }) => contacts);
  }

  /**
   * The `count` closest to `target`, nearest first. Those of a bucket have the bit in which they differ from oneself in common
   * with the target, and are then nearer than all of the buckets behind; or not, and are then farther.
   */
  closest(target: Hash, count = K): C[] {
    const nearest = new Nearest<C>(target);
    const farther: number[] = [];
    const differing = this.#selfHead ^ headOf(target);
    const differs = (bits: number) =>
      bits < HEAD_BITS ? differing << bits < 0 : differsAt(this.#self, target, bits);
    for (let bits = 0; bits < this.depth && nearest.contacts.length < count; bits++) {
      if (differs(bits)) nearest.append(this.#bucket(bits));
      else farther.push(bits);
    }
    for (
      let bits = farther.pop();
      bits !== undefined && nearest.contacts.length < count;
      bits = farther.pop()
    )
      nearest.append(this.#bucket(bits));
    return nearest.contacts.length > count ? nearest.contacts.slice(0, count) : nearest.contacts;
  }

  #bucket(bits: number): Bucket<C> {
    return this.#buckets[bits] ?? { contacts: [], heads: [] };
  }
}

/** Contacts by their distance. */
class Nearest<C extends { id: NodeId }> {
  readonly contacts: C[] = [];
  readonly #target: Hash;
  readonly #head: number;
  readonly #roughs: number[] = [];

  constructor(target: Hash) {
    this.#target = target;
    this.#head = headOf(target);
  }

  /** Those of a bucket that are farther than all that are there. By insertion: they are few. */
  append({ contacts, heads }: Bucket<C>): void {
    const first = this.contacts.length;
    for (let i = 0; i < contacts.length; i++) {
      const contact = contacts[i];
      if (contact !== undefined) this.#insert(contact, roughDistance(this.#head, heads[i] ?? 0), first);
    }
  }

  #insert(contact: C, rough: number, first: number): void {
    let at = this.contacts.length;
    for (; at > first && this.#isFarther(at - 1, contact, rough); at--) {
      this.contacts[at] = this.contacts[at - 1] as C;
      this.#roughs[at] = this.#roughs[at - 1] as number;
    }
    this.contacts[at] = contact;
    this.#roughs[at] = rough;
  }

  #isFarther(at: number, contact: C, rough: number): boolean {
    const there = this.#roughs[at] as number;
    if (there !== rough) return there > rough;
    return compareDistance(this.#target, (this.contacts[at] as C).id, contact.id) > 0;
  }
}

function placeIn<C extends { id: NodeId }>({ contacts, heads }: Bucket<C>, id: NodeId, head: number): number {
  for (let at = 0; at < heads.length; at++) if (heads[at] === head && contacts[at]?.id === id) return at;
  return -1;
}

function takeOut<C>({ contacts, heads }: Bucket<C>, at: number): void {
  contacts.splice(at, 1);
  heads.splice(at, 1);
}
