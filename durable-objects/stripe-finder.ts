// The stripe of a chunk: the list that names it is read from its holders, and of the others in its stripe it is asked who
// has them. What a repair must know of a chunk that has no second copy: where not to put it, and what to make it from.

import { countsAsCopy, keeperState } from "../lib/durability/copies.ts";
import { PULL_MEMBER_SOURCES_MAX, type PullOrder } from "../lib/durability/pull.ts";
import type { Hash } from "../lib/hash.ts";
import { parseManifest, parseManifestPart, type StripedList, stripedList } from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";
import { matchPositions } from "../lib/redundancy/matching.ts";
import { membersOf, stripesWith } from "../lib/redundancy/stripes.ts";
import type { IndexClient } from "./index-client.ts";
import type { Member } from "./members-table.ts";

/** Lists that an isolate remembers: the chunks of one object are often repaired together. A list may have 1.5 MB. */
const LISTS_REMEMBERED_MAX = 4;
const lists = new Map<Hash, StripedList>();

export interface FoundStripe {
  /** Of the chunk itself. */
  sizeBytes: number | null;
  /** Where the others of the stripe are kept, and whoever is expected back. */
  taken: Set<string>;
  /** Chunks of the stripe that have a holder, and no failure domain of their own. Which, all shards see alike. */
  crowded: Hash[];
  /** What the chunk can be made from. */
  stripe: NonNullable<PullOrder["stripe"]>;
}

/** The stripe that `domain` has the chunk in; null where it has none, or the list cannot be read now. */
export async function findStripe(
  sql: SqlStorage,
  index: IndexClient,
  chunk: Hash,
  domain: Domain,
): Promise<FoundStripe | null> {
  const [row] = sql
    .exec<{ manifest: Hash; listed_in: Hash }>(
      "SELECT manifest, listed_in FROM refs WHERE chunk = ? AND domain = ? AND listed_in IS NOT NULL LIMIT 1",
      chunk,
      domain,
    )
    .toArray();
  const list = row === undefined ? null : await readList(index, row.manifest, row.listed_in);
  const [stripe] = list === null ? [] : stripesWith(list, chunk);
  if (stripe === undefined) return null;
  const all = membersOf(stripe);
  const others = all.filter(({ hash }) => hash !== chunk);
  const holdings = await index.locate(all.map(({ hash }) => hash));
  const members = await index.members([...holdings.values()].flat());
  const holdersOf = (hash: Hash) => (holdings.get(hash) ?? []).flatMap((id) => members.get(id) ?? []);
  const withSources = (ref: { hash: Hash; size: number }) => ({
    ...ref,
    sources: sourcesOf(holdersOf(ref.hash)),
  });
  const domainsOf = (hash: Hash) =>
    holdersOf(hash).flatMap((member) => (counts(member, index) ? [member.failureDomain] : []));
  return {
    sizeBytes: all.find(({ hash }) => hash === chunk)?.size ?? null,
    taken: new Set(others.flatMap(({ hash }) => domainsOf(hash))),
    crowded: crowdedOf(all.map(({ hash }) => ({ hash, domains: domainsOf(hash) }))),
    stripe: { data: stripe.data.map(withSources), parity: stripe.parity.map(withSources) },
  };
}

/** Those that are left over where each position takes a failure domain of its own. One that is nowhere is not crowded. */
function crowdedOf(positions: { hash: Hash; domains: string[] }[]): Hash[] {
  const matched = matchPositions(positions.map(({ domains }) => [...new Set(domains)].sort()));
  const left = positions.filter(({ domains }, i) => domains.length > 0 && matched[i] === null);
  return [...new Set(left.map(({ hash }) => hash))];
}

function counts(member: Member, { settings }: IndexClient): boolean {
  const held = { sinceMs: Number.POSITIVE_INFINITY };
  return countsAsCopy(keeperState(member, held, Date.now(), settings.repairGraceMs));
}

function sourcesOf(holders: Member[]): PullOrder["sources"] {
  return holders
    .filter(({ online }) => online)
    .slice(0, PULL_MEMBER_SOURCES_MAX)
    .map(({ id, url }) => ({ id, url }));
}

/** Null where nobody gives it. */
async function readList(index: IndexClient, manifest: Hash, listedIn: Hash): Promise<StripedList | null> {
  const known = lists.get(listedIn);
  if (known !== undefined) return known;
  const bytes = await readWhole(index, manifest);
  if (bytes === null) return null;
  const { redundancy, ...rest } = parseManifest(bytes);
  const partBytes = listedIn === manifest ? null : await readWhole(index, listedIn);
  const list = partBytes === null ? ("chunks" in rest ? rest : null) : parseManifestPart(partBytes);
  const found = list === null ? null : stripedList(list, redundancy);
  if (found === null) return null;
  if (lists.size >= LISTS_REMEMBERED_MAX) lists.clear();
  lists.set(listedIn, found);
  return found;
}

async function readWhole(index: IndexClient, hash: Hash): Promise<Uint8Array | null> {
  const holders = (await index.locate([hash])).get(hash) ?? [];
  const members = await index.members(holders);
  for (const { id, url } of sourcesOf(holders.flatMap((holder) => members.get(holder) ?? []))) {
    const outcome = await index.read({ id, url }, { hash });
    if (outcome.status === "read") return outcome.bytes;
  }
  return null;
}
