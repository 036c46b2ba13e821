// Routing tables of a network that is too large to grow node by node: each is drawn when a look-up first comes to its node,
// with up to k of those that belong into each bucket, at random. Joined networks show that they come out alike.

import { decodeHash, encodeHash, type NodeId } from "../lib/hash.ts";
import { K } from "../lib/overlay/distance.ts";
import type { SeededRandom } from "../test/random.ts";
import type { SimNode } from "./node.ts";
import type { Contact, Population } from "./population.ts";

export class TableDrawer {
  readonly #random: SeededRandom;
  /** All nodes, those too that have left since the tables were made, in the order of their ids. */
  readonly #sorted: Contact[];

  constructor(population: Population, random: SeededRandom) {
    this.#random = random;
    this.#sorted = Array.from({ length: population.count }, (_, index) => population.contact(index));
    this.#sorted.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  fill(node: SimNode): void {
    let [first, end] = [0, this.#sorted.length];
    const id = decodeHash(node.contact.id);
    for (let bits = 0; end - first > 1; bits++) {
      const middle = this.#placeOf(borderAt(id, bits));
      const isUpper = ((id[bits >> 3] ?? 0) & (0x80 >> (bits & 7))) !== 0;
      this.#draw(node, isUpper ? [first, middle] : [middle, end]);
      if (isUpper) first = middle;
      else end = middle;
    }
  }

  /** Takes up to k of the nodes at these places into the table. */
  #draw(node: SimNode, [first, end]: [number, number]): void {
    const places = new Set<number>();
    if (end - first <= K) for (let at = first; at < end; at++) places.add(at);
    else while (places.size < K) places.add(this.#random.between(first, end - 1));
    for (const at of places) {
      const contact = this.#sorted[at];
      if (contact !== undefined) node.table.add(contact);
    }
  }

  /** How many ids are below this one. */
  #placeOf(id: NodeId): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle]?.id ?? "") < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Where the ids that begin with the same `bits` bits are parted by the next: its first with a one there. */
function borderAt(id: Uint8Array, bits: number): NodeId {
  const border = new Uint8Array(id.length);
  border.set(id.subarray(0, (bits >> 3) + 1));
  const bit = 0x80 >> (bits & 7);
  border[bits >> 3] = ((border[bits >> 3] ?? 0) & ~(bit - 1)) | bit;
  return encodeHash(border) as NodeId;
}
