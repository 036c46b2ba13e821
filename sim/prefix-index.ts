// Nodes in the order of their ids, in lists by the first digits: what a shard's table of members is, in memory. The search
// is lib's.

import type { Hash, NodeId } from "../lib/hash.ts";
import { closestInRanges } from "../lib/overlay/members.ts";

/** Nodes that a list has on average where as many come as were expected: mostly the k closest are in one. */
const NODES_PER_LIST = 40;

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

  closest(target: Hash, count: number): C[] {
    return closestInRanges(
      target,
      count,
      ({ id }) => id,
      (idPrefix) => this.inRange(idPrefix),
      this.#digits,
    );
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
    return this.#lists[Number.parseInt(`0${digits.slice(0, this.#digits)}`, 16)] ?? [];
  }
}
