// Nodes in the order of their ids, in lists by the first digits: what a shard's table of members is, in memory.

import type { Hash, NodeId } from "../lib/hash.ts";
import { closestTo } from "../lib/overlay/distance.ts";

/** Nodes that a list has on average where as many come as were expected. */
const NODES_PER_LIST = 8;

export class PrefixIndex<C extends { id: NodeId }> {
  readonly #digits: number;
  readonly #lists: C[][];
  size = 0;

  constructor(expected: number) {
    this.#digits = Math.max(0, Math.round(Math.log(expected / NODES_PER_LIST) / Math.log(16)));
    this.#lists = Array.from({ length: 16 ** this.#digits }, () => []);
  }

  add(contact: C): void {
    this.#listOf(contact).push(contact);
    this.size += 1;
  }

  remove(contact: C): void {
    const list = this.#listOf(contact);
    const at = list.indexOf(contact);
    if (at < 0) return;
    list.splice(at, 1);
    this.size -= 1;
  }

  /** The `count` closest to a hash: whoever is in a list with fewer first bits in common is farther than all before. */
  closest(target: Hash, count: number): C[] {
    const near: C[] = [];
    const at = this.#placeOf(target);
    for (let away = 0; away < this.#lists.length && near.length < count; away++)
      for (const contact of this.#lists[at ^ away] ?? []) near.push(contact);
    return closestTo(target, near, ({ id }) => id, count);
  }

  /** Those whose ids begin with these hex digits. */
  inRange(idPrefix: string): C[] {
    const free = this.#digits - idPrefix.length;
    if (free < 0) return this.#list(idPrefix).filter(({ id }) => id.startsWith(idPrefix));
    const first = Number.parseInt(`0${idPrefix}`, 16) * 16 ** free;
    return this.#lists.slice(first, first + 16 ** free).flat();
  }

  #listOf({ id }: C): C[] {
    return this.#list(id);
  }

  #list(digits: string): C[] {
    return this.#lists[this.#placeOf(digits)] ?? [];
  }

  #placeOf(digits: string): number {
    return Number.parseInt(`0${digits.slice(0, this.#digits)}`, 16);
  }
}
