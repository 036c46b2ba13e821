// Who there is: ids, what each does, and whether it is there now. What can be a number is one, in typed arrays; a contact
// is one object, which all tables share.

import { hashBytes, type NodeId } from "../lib/hash.ts";
import type { SeededRandom } from "../test/random.ts";

export interface Contact {
  readonly id: NodeId;
  readonly index: number;
}

export const BEHAVIOURS = ["honest", "misleads", "is silent", "invents holders"] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

export class Population {
  readonly #seed: string;
  readonly #random: SeededRandom;
  readonly #hostileShare: number;
  readonly #behaviours: Uint8Array;
  /** Where the node stands among those that are there, from 1 on; 0: it is not. */
  readonly #places: Int32Array;
  readonly #contacts: Contact[] = [];
  readonly #present: number[] = [];

  constructor(capacity: number, { seed, hostile }: { seed: string; hostile: number }, random: SeededRandom) {
    this.#seed = seed;
    this.#random = random;
    this.#hostileShare = hostile;
    this.#behaviours = new Uint8Array(capacity);
    this.#places = new Int32Array(capacity);
  }

  /** Nodes ever. */
  get count(): number {
    return this.#contacts.length;
  }

  /** Numbers of the nodes that are there, in no order. */
  get present(): readonly number[] {
    return this.#present;
  }

  create(): Contact {
    const index = this.count;
    if (index === this.#behaviours.length) throw new RangeError("more nodes come than there is room for");
    const id = hashBytes(new TextEncoder().encode(`${this.#seed} node ${index}`)) as NodeId;
    const contact = { id, index };
    this.#contacts.push(contact);
    // Others begin with the first: it is honest.
    const isHostile = this.#random.next() < this.#hostileShare && index > 0;
    this.#behaviours[index] = isHostile ? this.#random.between(1, BEHAVIOURS.length - 1) : 0;
    return contact;
  }

  contact(index: number): Contact {
    const contact = this.#contacts[index];
    if (contact === undefined) throw new RangeError(`there is no node ${index}`);
    return contact;
  }

  behaviourOf(index: number): Behaviour {
    return BEHAVIOURS[this.#behaviours[index] ?? 0] ?? "honest";
  }

  isHonest(index: number): boolean {
    return this.#behaviours[index] === 0;
  }

  isPresent(index: number): boolean {
    return this.#places[index] !== 0;
  }

  arrive(index: number): void {
    this.#places[index] = this.#present.push(index);
  }

  leave(index: number): void {
    const place = this.#places[index] ?? 0;
    const last = this.#present.pop();
    if (place === 0 || last === undefined) return;
    this.#places[index] = 0;
    if (last === index) return;
    this.#present[place - 1] = last;
    this.#places[last] = place;
  }
}
