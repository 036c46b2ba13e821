// The XOR metric of Kademlia on 256-bit ids, compared bytewise: exact, where a float distance would tie.

import type { Hash } from "../hash.ts";

/** k: how many closest nodes a lookup returns. */
export const K = 20;

/** Negative if `a` is closer to `target` than `b`, by XOR; 0 only if a equals b. */
export function compareDistance(target: Hash, a: Hash, b: Hash): number {
  for (let i = 0; i < target.length; i++) {
    if (a[i] === b[i]) continue;
    const t = digit(target, i);
    return (digit(a, i) ^ t) - (digit(b, i) ^ t);
  }
  return 0;
}

/** The `count` items closest to `target`, nearest first. */
export function closestTo<T>(target: Hash, items: Iterable<T>, idOf: (item: T) => Hash, count = K): T[] {
  return [...items].sort((a, b) => compareDistance(target, idOf(a), idOf(b))).slice(0, count);
}

/** How many bits `a` and `b` begin with in common: 0 to 256. */
export function sharedBits(a: Hash, b: Hash): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return 4 * i + Math.clz32(digit(a, i) ^ digit(b, i)) - 28;
  }
  return 4 * a.length;
}

function digit(hash: Hash, index: number): number {
  return Number.parseInt(hash.charAt(index), 16);
}
