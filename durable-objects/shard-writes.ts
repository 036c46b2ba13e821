// What a publish and a Removal write of chunks, one call to each shard that is concerned; and whom that concerns besides: the
// ledgers of the domains, which are told before it counts as done, and those of the nodes, which are told beside.

import { waitUntil } from "cloudflare:workers";
import type { Hash, NodeId } from "../lib/hash.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import type { DomainTotal } from "./charges-table.ts";
import {
  CLAIMED,
  type HeldChunk,
  type Holding,
  type Reference,
  sumTaken,
  type Taken,
} from "./chunks-table.ts";
import { membersOf } from "./known-members.ts";
import type { IndexWrites, Origin } from "./shard-answers.ts";
import type { ShardRouter } from "./shard-router.ts";
import { type Sight, sightOf } from "./standings-table.ts";
import type { StatementPlace } from "./statements-table.ts";

/** What a domain is charged for in a shard. */
export interface ShardTotal {
  shard: ShardPrefix;
  total: DomainTotal;
}

export async function planChunks(
  router: ShardRouter,
  chunks: Hash[],
  domain: Domain,
  held: HeldChunk[],
): Promise<Map<Hash, NodeId[]>> {
  const parts = [
    ...[...new Set(chunks)].map((chunk) => ({ chunk, held: null })),
    ...held.map((row) => ({ chunk: row.chunk, held: row })),
  ];
  const answers = await router.each(
    parts,
    ({ chunk }) => chunk,
    (shard, group) =>
      shard.plan(
        group.flatMap((part) => (part.held === null ? [part.chunk] : [])),
        domain,
        group.flatMap((part) => part.held ?? []),
      ),
  );
  return settle(router, answers);
}

export async function writeRows(
  router: ShardRouter,
  writes: IndexWrites,
  from: Origin,
): Promise<Map<Hash, NodeId[]>> {
  const parts: { hash: Hash; held?: HeldChunk; reference?: Reference; statement?: StatementPlace }[] = [
    ...writes.held.map((held) => ({ hash: held.chunk, held })),
    ...writes.references.map((reference) => ({ hash: reference.chunk, reference })),
    ...writes.statements.map((statement) => ({ hash: statement.id, statement })),
  ];
  const answers = await router.each(
    parts,
    ({ hash }) => hash,
    async (shard, group, prefix) => {
      const its = {
        held: group.flatMap(({ held }) => held ?? []),
        references: group.flatMap(({ reference }) => reference ?? []),
        statements: group.flatMap(({ statement }) => statement ?? []),
      };
      const written = await shard.write(its, from);
      return { shard: prefix, ...written };
    },
  );
  const totals = answers.flatMap(({ shard, totals: its }) => its.map((total) => ({ shard, total })));
  await recordTotals(router, totals);
  return settle(router, answers);
}

export async function recordTotals(router: ShardRouter, totals: ShardTotal[]): Promise<void> {
  await router.each(
    totals,
    ({ total }) => domainHashOf(total.domain),
    (shard, group) => shard.recordTotals(group),
  );
}

export async function endUsesOf(router: ShardRouter, removals: StatementPlace[]): Promise<void> {
  const ended = await router.each(
    removals,
    ({ nameHash }) => nameHash,
    (shard, group) => shard.endedBy(group.map(({ id, domain, nameHash }) => ({ id, domain, nameHash }))),
  );
  const pieces = ended.flat().flatMap((use) => use.chunks.map((chunk) => ({ chunk, use })));
  const totals = await router.each(
    pieces,
    ({ chunk }) => chunk,
    async (shard, group, prefix) => {
      const uses = Map.groupBy(group, ({ use }) => use);
      const its = await shard.endUses(
        [...uses].map(([use, chunks]) => ({ ...use, chunks: chunks.map(({ chunk }) => chunk) })),
      );
      return its.map((total) => ({ shard: prefix, total }));
    },
  );
  await recordTotals(router, totals.flat());
}

export async function noteSights(router: ShardRouter, sights: Sight[]): Promise<void> {
  await router.each(
    sights,
    ({ node }) => node,
    (shard, group) => shard.noteSights(group),
  );
}

/** Of what shards have written: who holds the chunks, as far as a publish may count on it. */
function settle(
  router: ShardRouter,
  answers: { holdings: Holding[]; taken: Taken }[],
): Promise<Map<Hash, NodeId[]>> {
  noteTaken(
    router,
    answers.flatMap(({ taken }) => taken),
  );
  return notLost(
    router,
    answers.flatMap(({ holdings }) => holdings),
  );
}

/** For the ledger of nodes, beside the answer: nobody's bytes depend on it. */
function noteTaken(router: ShardRouter, taken: Taken): void {
  const sights = sumTaken(taken).map(({ node, bytes }) => sightOf(node, { takenBytes: bytes }));
  if (sights.length === 0) return;
  const noting = noteSights(router, sights).catch((error: unknown) =>
    console.warn(`what nodes took was not taken in: ${error}`),
  );
  waitUntil(noting);
}

/**
 * A publish counts on nothing that a node held before it lost its disk, though no sweep has taken it off the list yet, nor on
 * a last holder that did not give the chunk, nor on what it only claims.
 */
async function notLost(router: ShardRouter, holdings: Holding[]): Promise<Map<Hash, NodeId[]>> {
  const members = await membersOf(
    router,
    holdings.flatMap(({ holders }) => holders),
  );
  const isKept = (node: NodeId, sinceMs = 0) => sinceMs >= (members.get(node)?.lostMs ?? 0);
  return new Map(
    holdings.map(({ chunk, holders, sinceMs, checkedMs }) => [
      chunk,
      holders.filter((node, i) => (checkedMs[i] ?? CLAIMED) >= 0 && isKept(node, sinceMs[i])),
    ]),
  );
}
