// Who is closest to a hash, exactly, where members are ordered by id: ids that share a prefix lie together. Which shards
// are asked for it, and how often. No I/O of its own.

import type { Hash } from "../hash.ts";
import { closestTo } from "./distance.ts";
import { membershipPrefixes, type ShardPrefix } from "./shards.ts";

/** Digits of the narrowest range that is looked at: more would be nobody's. */
const RANGE_DIGITS_MAX = 16;

/** The `count` closest to `target`, nearest first. `inRange` gives those whose ids begin with some hex digits. */
export function closestInRanges<T>(
  target: Hash,
  count: number,
  idOf: (item: T) => Hash,
  inRange: (idPrefix: string) => T[],
): T[] {
  for (let digits = RANGE_DIGITS_MAX; digits > 0; digits--) {
    const near = inRange(target.slice(0, digits));
    if (near.length >= count) return closestTo(target, near, idOf, count);
  }
  return closestTo(target, inRange(""), idOf, count);
}

/** The `count` members closest to a hash, as its leaf shard says; where that has too few, its ancestors. */
export async function closestInShards<T>(
  target: Hash,
  { count, depth }: { count: number; depth: number },
  ask: (prefix: ShardPrefix) => Promise<T[]>,
): Promise<T[]> {
  let members: T[] = [];
  for (const prefix of membershipPrefixes(target, depth)) {
    members = await ask(prefix);
    if (members.length >= count) break;
  }
  return members;
}
