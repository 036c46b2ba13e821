// What shards say about nodes, for whoever places or reads chunks: asked once, and remembered in the isolate for a little while.

import type { Hash, NodeId } from "../lib/hash.ts";
import { cachedCandidates, cachedMember, rememberCandidates, rememberMember } from "./member-cache.ts";
import type { Member } from "./members-table.ts";
import type { ShardRouter } from "./shard-router.ts";

/** Nodes that placement chooses among. */
export const CANDIDATES_MAX = 512;

/** The member rows of nodes, from the root shard where it has them, else from their leaf shards. */
export async function membersOf(router: ShardRouter, ids: Iterable<NodeId>): Promise<Map<NodeId, Member>> {
  const wanted = [...new Set(ids)];
  const found = new Map<NodeId, Member>();
  for (const id of wanted) {
    const cached = cachedMember(id);
    if (cached !== null) found.set(id, cached);
  }
  const take = (members: Member[]) => {
    for (const member of members) {
      rememberMember(member);
      found.set(member.id, member);
    }
  };
  const missing = () => wanted.filter((id) => !found.has(id));
  if (missing().length > 0) take(await router.at("").members(missing(), "above"));
  const answers = await router.each(
    missing(),
    (id) => id,
    (shard, group) => shard.members(group),
  );
  take(answers.flat());
  return found;
}

/** Online nodes that placement may choose for a chunk: of the widest shard in which they are few enough. */
export async function candidatesFor(router: ShardRouter, chunk: Hash): Promise<Member[]> {
  for (const prefix of router.above(chunk).reverse()) {
    const cached = cachedCandidates(prefix);
    if (cached !== null) return cached;
    const page = await router.at(prefix).closest(chunk, CANDIDATES_MAX, "above");
    if (!page.complete) continue;
    rememberCandidates(prefix, page.members);
    return page.members;
  }
  return leafCandidates(router, chunk);
}

async function leafCandidates(router: ShardRouter, chunk: Hash): Promise<Member[]> {
  const cached = cachedCandidates(router.prefixOf(chunk));
  if (cached !== null) return cached;
  return router.ask(chunk, async (shard, prefix) => {
    const { members, complete } = await shard.closest(chunk, CANDIDATES_MAX);
    if (complete) rememberCandidates(prefix, members);
    return members;
  });
}
