// Who is closest to a hash, exactly, where members are ordered by id: ids that share a prefix lie together. Which shards
// are asked for it, and how often. No I/O of its own.

import { type Hash, partitionOf } from "../hash.ts";
import { closestTo } from "./distance.ts";

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

/** Membership as one shard sees it. */
export interface MemberPage<M> {
  /** The online members closest to what was asked for, nearest first, exactly. */
  members: M[];
  /** Everyone who is online in the shard's range is among them. */
  complete: boolean;
  /** Partitions of which this shard has turned members away that may be closer than the last of these; the nearest first. */
  crowded: number[];
}

/** Asks shards who is closest to one hash. */
export interface MemberShards<M> {
  leaf(): Promise<MemberPage<M>>;
  /** Null where the leaf is the root. */
  root(): Promise<MemberPage<M>> | null;
  /** The leaf of a partition; null where it was asked before. */
  crowd(partition: number): Promise<MemberPage<M>> | null;
}

/**
 * The `count` online members closest to a hash, exactly, in three calls: its leaf has all that share its prefix; where those
 * are too few, the root shard has the others, but for crowds that it has no room for; and of a crowd the nearest leaf has
 * enough.
 */
export async function closestInShards<M extends { id: Hash }>(
  target: Hash,
  count: number,
  shards: MemberShards<M>,
): Promise<M[]> {
  const leaf = await shards.leaf();
  const root = leaf.members.length >= count ? null : await shards.root();
  if (root === null) return leaf.members;
  let members = nearest(target, [...leaf.members, ...root.members], count);
  const at = partitionOf(target);
  for (const partition of root.crowded) {
    const last = members.length < count ? undefined : members.at(-1);
    if (last !== undefined && (partition ^ at) > (partitionOf(last.id) ^ at)) break;
    const crowd = await shards.crowd(partition);
    if (crowd !== null) members = nearest(target, [...members, ...crowd.members], count);
  }
  return members;
}

/** Of a node that two shards know, what the first says. */
function nearest<M extends { id: Hash }>(target: Hash, members: M[], count: number): M[] {
  const known = new Map(members.toReversed().map((member) => [member.id, member]));
  return closestTo(target, known.values(), ({ id }) => id, count);
}
