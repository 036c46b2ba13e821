// The online nodes closest to a hash, exactly, in three calls: its shard has all that share its prefix; where those are too few,
// the root shard has the others, but for crowds that it has no room for; and of a crowd the nearest shard has enough.

import { type Hash, partitionOf } from "../lib/hash.ts";
import { closestTo } from "../lib/overlay/distance.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import type { Member } from "./members-table.ts";
import type { ShardRouter } from "./shard-router.ts";

export async function closestNodes(router: ShardRouter, target: Hash, count: number): Promise<Member[]> {
  const asked = new Set<ShardPrefix>();
  const leaf = await router.ask(target, (shard, prefix) => {
    asked.add(prefix);
    return shard.closest(target, count);
  });
  if (leaf.members.length >= count || asked.has("")) return leaf.members;
  const root = await router.at("").closest(target, count, "above");
  let members = nearest(target, [...leaf.members, ...root.members], count);
  const at = partitionOf(target);
  for (const partition of root.crowded) {
    const last = members.length < count ? undefined : members.at(-1);
    if (last !== undefined && (partition ^ at) > (partitionOf(last.id) ^ at)) break;
    if (asked.has(router.prefixOfPartition(partition))) continue;
    const crowd = await router.askPartition(partition, (shard, prefix) => {
      asked.add(prefix);
      return shard.closest(target, count);
    });
    members = nearest(target, [...members, ...crowd.members], count);
  }
  return members;
}

/** Of a node that two shards know, what the first says. */
function nearest(target: Hash, members: Member[], count: number): Member[] {
  const known = new Map(members.toReversed().map((member) => [member.id, member]));
  return closestTo(target, known.values(), ({ id }) => id, count);
}
