// The online nodes closest to a hash, as the shards that keep members say it: each shard is asked once.

import type { Hash } from "../lib/hash.ts";
import { closestInShards } from "../lib/overlay/members.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import type { Member } from "./members-table.ts";
import type { Shard, ShardRouter } from "./shard-router.ts";

export function closestNodes(router: ShardRouter, target: Hash, count: number): Promise<Member[]> {
  const asked = new Set<ShardPrefix>();
  const ask = (shard: Shard, prefix: ShardPrefix) => {
    asked.add(prefix);
    return shard.closest(target, count);
  };
  return closestInShards<Member>(target, count, {
    leaf: () => router.ask(target, ask),
    root: () => (asked.has("") ? null : router.at("").closest(target, count, "above")),
    crowd: (partition) =>
      asked.has(router.prefixOfPartition(partition)) ? null : router.askPartition(partition, ask),
  });
}
