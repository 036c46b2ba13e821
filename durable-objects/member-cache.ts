// Short-lived copies, in the isolate, of what the shards say about nodes.

import type { NodeId } from "../lib/hash.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import type { Member } from "./members-table.ts";

/** How long a member's row is used again without asking its shard. */
export const MEMBER_CACHE_MS = 2000;
const MEMBER_CACHE_MAX = 10_000;

const members = new Map<NodeId, { member: Member; untilMs: number }>();
const candidates = new Map<ShardPrefix, { members: Member[]; untilMs: number }>();

export function cachedMember(id: NodeId): Member | null {
  const cached = members.get(id);
  return cached !== undefined && cached.untilMs > Date.now() ? cached.member : null;
}

export function rememberMember(member: Member): void {
  if (members.size >= MEMBER_CACHE_MAX) members.clear();
  members.set(member.id, { member, untilMs: Date.now() + MEMBER_CACHE_MS });
}

/** Online nodes in a shard, all of them. */
export function cachedCandidates(prefix: ShardPrefix): Member[] | null {
  const cached = candidates.get(prefix);
  return cached !== undefined && cached.untilMs > Date.now() ? cached.members : null;
}

export function rememberCandidates(prefix: ShardPrefix, online: Member[]): void {
  candidates.set(prefix, { members: online, untilMs: Date.now() + MEMBER_CACHE_MS });
}

/** What was said of these nodes may be over. */
export function forgetMembers(ids: Iterable<NodeId>): void {
  candidates.clear();
  for (const id of ids) members.delete(id);
}
