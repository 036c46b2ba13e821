// The XOR metric of Kademlia on 256-bit ids, compared bytewise: exact, where a float distance would tie.

import type { Hash } from "../hash.ts";

/** k: how many closest nodes a lookup returns. */
export const K = 20;

const BITS_PER_DIGIT = 4;
const HEAD_DIGITS = 8;
/** Bits of an id that its head has. */
export const HEAD_BITS = HEAD_DIGITS * BITS_PER_DIGIT;

/** Negative if `a` is closer to `target` than `b`, by XOR; 0 only if a equals b. */
export function compareDistance(target: Hash, a: Hash, b: Hash): number {
  for (let i = 0; i < target.length; i++) {
    const ofA = a.charCodeAt(i);
    const ofB = b.charCodeAt(i);
    if (ofA === ofB) continue;
    const digit = digitOf(target.charCodeAt(i));
    return (digitOf(ofA) ^ digit) - (digitOf(ofB) ^ digit);
  }
  return 0;
}

/** The first 32 bits of an id: by XOR of two, as roughDistance has it, most distances are told apart. */
export function headOf(id: Hash): number {
  let bits = 0;
  for (let i = 0; i < HEAD_DIGITS; i++) bits = (bits << BITS_PER_DIGIT) | digitOf(id.charCodeAt(i));
  return bits;
}

/** Whoever has a lower one is nearer; where two are equal, compareDistance knows. */
export function roughDistance(targetHead: number, head: number): number {
  return (targetHead ^ head) >>> 0;
}

/** How many bits two ids have in common from their first on: the bucket of the one in the other's table. */
export function sharedBits(a: Hash, b: Hash): number {
  for (let i = 0; i < a.length; i++) {
    const differing = digitOf(a.charCodeAt(i)) ^ digitOf(b.charCodeAt(i));
    if (differing !== 0) return i * BITS_PER_DIGIT + Math.clz32(differing) - (32 - BITS_PER_DIGIT);
  }
  return a.length * BITS_PER_DIGIT;
}

/** Whether two ids differ in this bit, counted from their first. */
export function differsAt(a: Hash, b: Hash, bit: number): boolean {
  const digit = Math.floor(bit / BITS_PER_DIGIT);
  const differing = digitOf(a.charCodeAt(digit)) ^ digitOf(b.charCodeAt(digit));
  return ((differing >> (BITS_PER_DIGIT - 1 - (bit % BITS_PER_DIGIT))) & 1) === 1;
}

interface Ranked<T> {
  item: T;
  id: Hash;
  rough: number;
}

/** The `count` items closest to `target`, nearest first. */
export function closestTo<T>(target: Hash, items: Iterable<T>, idOf: (item: T) => Hash, count = K): T[] {
  const head = headOf(target);
  const nearest: Ranked<T>[] = [];
  for (const item of items) {
    const id = idOf(item);
    insertNearest(target, nearest, { item, id, rough: roughDistance(head, headOf(id)) }, count);
  }
  return nearest.map(({ item }) => item);
}

/** Into what is sorted, and has `count` at most. */
function insertNearest<T>(target: Hash, nearest: Ranked<T>[], one: Ranked<T>, count: number): void {
  const isNearer = (other: Ranked<T> | undefined) =>
    other !== undefined &&
    (other.rough < one.rough ||
      (other.rough === one.rough && compareDistance(target, other.id, one.id) <= 0));
  if (nearest.length >= count && isNearer(nearest.at(-1))) return;
  let [low, high] = [0, nearest.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isNearer(nearest[middle])) low = middle + 1;
    else high = middle;
  }
  nearest.splice(low, 0, one);
  if (nearest.length > count) nearest.pop();
}

/**
 * Hashes in other parts of the space, beyond its first bits: nodes near them are in other buckets. Whoever asks a node for these
 * also, and looks up from there, does not depend on what that node knows around `target`.
 */
export function hashesElsewhere(target: Hash): Hash[] {
  const first = digitOf(target.charCodeAt(0));
  return [8, 4, 2].map((bit) => `${(first ^ bit).toString(16)}${target.slice(1)}` as Hash);
}

/** The value of a lower-case hex digit: 0 to 9 are 0x30 and more, a to f 0x61 and more. */
function digitOf(charCode: number): number {
  return (charCode & 0xf) + 9 * (charCode >> 6);
}
