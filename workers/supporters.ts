// Who keeps a domain alive on this edge: nodes that list it in their pledge, and nodes that keep its chunks. By the names
// that their volunteers chose; those who keep nothing of it, or did not keep what they had, last.

import type { IndexClient } from "../durable-objects/index-client.ts";
import type { Keeper } from "../durable-objects/keepers-table.ts";
import type { Pledger } from "../durable-objects/pledges-table.ts";
import { quotaIn } from "../durable-objects/quota.ts";
import type { NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { PLACED_STANDING_MIN } from "../lib/overlay/placement.ts";
import { type DomainSupport, SUPPORTERS_LISTED_MAX, type Supporter } from "../lib/wire/status.ts";

/** What the edge knows of a domain that DNS does not: what it is charged for, and who helps. */
export async function supportOf(index: IndexClient, domain: Domain): Promise<DomainSupport> {
  const [usage, pledges, keepers] = await Promise.all([
    index.usage(domain),
    index.pledges(domain),
    index.keepers(domain),
  ]);
  const { pledgedBytes, supporters } = pledges;
  const quotaBytes = quotaIn(index, domain, pledges);
  return {
    usage: { ...usage, quotaBytes, pledgedBytes, supporters },
    supporters: await listSupporters(index, pledges.listed, keepers),
  };
}

async function listSupporters(
  index: IndexClient,
  pledgers: Pledger[],
  keepers: Keeper[],
): Promise<Supporter[]> {
  const members = await index.members(keepers.map(({ node }) => node));
  const kept = new Map(keepers.map((keeper) => [keeper.node, keeper]));
  const nodes = new Map<NodeId, Pledger>([
    ...[...members].map(([id, member]): [NodeId, Pledger] => [id, { ...member, pledgedBytes: 0 }]),
    ...pledgers.map((pledger): [NodeId, Pledger] => [pledger.id, pledger]),
  ]);
  const supporters = [...nodes.values()].map(({ id, name, online, firstSeenMs, standing, pledgedBytes }) => {
    const { chunks, bytes } = kept.get(id) ?? { chunks: 0, bytes: 0 };
    const since = firstSeenMs === 0 ? null : new Date(firstSeenMs).toISOString();
    return { id, name, online, since, standing, chunks, bytes, pledgedBytes };
  });
  return supporters.sort(byMerit).slice(0, SUPPORTERS_LISTED_MAX);
}

function byMerit(a: Supporter, b: Supporter): number {
  const fallen = (one: Supporter) => Number(one.standing < PLACED_STANDING_MIN);
  return (
    fallen(a) - fallen(b) || b.bytes - a.bytes || b.pledgedBytes - a.pledgedBytes || (a.id < b.id ? -1 : 1)
  );
}
