// Which shard serves which hash, and which shards keep a node as a member. Pure: the addressing of every
// PartitionShard follows from a hash and a depth.

import { HASH_BYTES, type Hash, PARTITION_BITS, parseHash } from "../hash.ts";

/** A shard's bit prefix as text of 0s and 1s; the empty prefix is the whole space. */
export type ShardPrefix = string;

export const SHARD_DEPTH_MAX = PARTITION_BITS;
/** Prefix lengths of the shards that keep members for leaf shards with too few of their own. */
export const ANCESTOR_DEPTHS = [0, 5, 10] as const;
/** Members that an ancestor keeps. */
export const ANCESTOR_MEMBERS_MAX = 32_768;

/** The leaf shard of a hash: its first `depth` bits. */
export function leafPrefix(hash: Hash, depth: number): ShardPrefix {
  if (!Number.isInteger(depth) || depth < 0 || depth > SHARD_DEPTH_MAX) {
    throw new RangeError(`shard depth is 0 to ${SHARD_DEPTH_MAX}`);
  }
  return Number.parseInt(hash.slice(0, 4), 16).toString(2).padStart(16, "0").slice(0, depth);
}

/** The shards that keep a node as a member: its leaf, then ancestors from the nearest to the root. */
export function membershipPrefixes(id: Hash, depth: number): ShardPrefix[] {
  const leaf = leafPrefix(id, depth);
  const ancestors = ANCESTOR_DEPTHS.filter((bits) => bits < depth).map((bits) => leaf.slice(0, bits));
  return [leaf, ...ancestors.reverse()];
}

/** The two shards that a shard splits into. */
export function childPrefixes(prefix: ShardPrefix): [ShardPrefix, ShardPrefix] {
  return [`${prefix}0`, `${prefix}1`];
}

/** True where shard `inner` serves a part of what `outer` serves, and not all of it. */
export function isInside(inner: ShardPrefix, outer: ShardPrefix): boolean {
  return inner.length > outer.length && inner.startsWith(outer);
}

/** A prefix as a Durable Object's name: an object needs a name that is not empty. */
export function shardName(prefix: ShardPrefix): string {
  return `shard-${prefix}`;
}

/** The partitions of a shard: first and last, inclusive. */
export function partitionRange(prefix: ShardPrefix): { first: number; last: number } {
  const free = PARTITION_BITS - prefix.length;
  const first = (prefix === "" ? 0 : Number.parseInt(prefix, 2)) * 2 ** free;
  return { first, last: first + 2 ** free - 1 };
}

/** The first hash of a partition. */
export function firstHashOf(partition: number): Hash {
  const digits = (partition << (16 - PARTITION_BITS)).toString(16).padStart(4, "0");
  return parseHash(digits.padEnd(2 * HASH_BYTES, "0"));
}

/** The leaf shard of a partition. */
export function partitionPrefix(partition: number, depth: number): ShardPrefix {
  return partition.toString(2).padStart(PARTITION_BITS, "0").slice(0, depth);
}
