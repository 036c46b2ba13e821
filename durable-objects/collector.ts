// What a shard lets go of: references whose Version was taken back, or never came. It walks its references a batch an
// alarm, asks the shards of their names, deletes those that have ended, and takes the charge off a domain that has none
// left to a chunk. Where the walk is stands in the settings, so an eviction or a doubled alarm loses and doubles nothing.

import * as v from "valibot";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { parseWith } from "../lib/schema.ts";
import { type DomainTotal, dischargeChunk, markTold, totalOf, untoldTotals } from "./charges-table.ts";
import type { EdgeSettings } from "./env.ts";
import type { IndexClient } from "./index-client.ts";
import {
  BEFORE_ALL,
  hasReference,
  type KeptReference,
  keyText,
  referenceOf,
  referencesAfter,
  removeReference,
} from "./references-table.ts";
import { readSetting, removeSetting, writeSetting } from "./settings-table.ts";
import type { EndedUse, Use } from "./uses-table.ts";

/** References are written before their Version, so a younger one is not judged: its Version may be on its way. */
export const COLLECT_GRACE_MS = 60 * 60 * 1000;
/** A walk begins when this many sweeps would have: a day, where nothing else is set. */
const SWEEPS_PER_WALK = 144;
/** References in one alarm: the more, the fewer calls for each, because a shard of names is called once. */
export const COLLECT_BATCH = 4096;
const COLLECT_STEP_MS = 1000;
/** Sums told to ledgers in one alarm. */
const TOTALS_TOLD_MAX = 256;

const WALK_SETTING = "collect-walk";

const walkSchema = v.strictObject({
  /** The key of the last reference that was looked at. */
  after: v.pipe(v.array(v.string()), v.length(4)),
  startedMs: v.number(),
});
type Walk = v.InferOutput<typeof walkSchema>;

/** 0: never. */
export function collectIntervalMs({ sweepMs }: Pick<EdgeSettings, "sweepMs">): number {
  return SWEEPS_PER_WALK * sweepMs;
}

/** One batch; returns when the next one is due, or null where there is nothing to collect from. */
export async function collect(
  storage: DurableObjectStorage,
  index: IndexClient,
  shard: ShardPrefix,
  nowMs: number,
): Promise<number | null> {
  const { sql } = storage;
  const intervalMs = collectIntervalMs(index.settings);
  if (intervalMs === 0) return null;
  const walk = readWalk(sql) ?? { after: [...BEFORE_ALL], startedMs: nowMs };
  const batch = referencesAfter(sql, walk.after, COLLECT_BATCH);
  const ended = await endedAmong(batch, index, nowMs);
  const last = batch.length < COLLECT_BATCH ? undefined : batch.at(-1);
  storage.transactionSync(() => {
    for (const reference of ended) endReference(sql, reference);
    if (last === undefined) removeSetting(sql, WALK_SETTING);
    else writeWalk(sql, { ...walk, after: [...keyText(last)] });
  });
  const isTold = await tellTotals(sql, index, shard);
  if (last !== undefined || !isTold) return nowMs + COLLECT_STEP_MS;
  if (referencesAfter(sql, BEFORE_ALL, 1).length === 0) return null;
  return Math.max(nowMs + COLLECT_STEP_MS, walk.startedMs + intervalMs);
}

async function endedAmong(
  batch: readonly KeptReference[],
  index: IndexClient,
  nowMs: number,
): Promise<KeptReference[]> {
  const judged = batch.filter(
    ({ nameHash, sinceMs }) => nameHash !== "" && sinceMs <= nowMs - COLLECT_GRACE_MS,
  );
  const groups = [...Map.groupBy(judged, useText).values()];
  const needed = await index.needed(groups.flatMap(useOf));
  return groups.filter((_, i) => needed[i] === false).flat();
}

function useText({ domain, nameHash, manifest }: KeptReference): string {
  return `${domain} ${nameHash} ${manifest}`;
}

/** What references by one name and Manifest have in common. */
function useOf(references: readonly KeptReference[]): Use[] {
  const [first] = references;
  if (first === undefined || first.nameHash === "") return [];
  const { domain, nameHash, manifest } = first;
  return [{ domain, nameHash, manifest, sinceMs: Math.min(...references.map(({ sinceMs }) => sinceMs)) }];
}

/**
 * What a Removal has just ended, as far as its name's shard can say it at once; the domains' sums afterwards. Young
 * references stay here too: the same Manifest may be on its way again. Whatever this misses is for the next walk.
 */
export function endUses(sql: SqlStorage, uses: readonly EndedUse[], nowMs: number): DomainTotal[] {
  for (const { chunks, bornMs, ...use } of uses) {
    for (const chunk of chunks) {
      const reference = referenceOf(sql, { ...use, chunk });
      if (reference === null || reference.sinceMs > nowMs - COLLECT_GRACE_MS) continue;
      if (reference.sinceMs >= bornMs) endReference(sql, reference);
    }
  }
  return [...new Set(uses.map(({ domain }) => domain))].flatMap((domain) => totalOf(sql, domain));
}

function endReference(sql: SqlStorage, reference: KeptReference): void {
  const { chunk, domain } = reference;
  if (removeReference(sql, reference) && !hasReference(sql, chunk, domain))
    dischargeChunk(sql, chunk, domain);
}

/** False where there is more to tell. What a publish could not tell is told here too. */
export async function tellTotals(sql: SqlStorage, index: IndexClient, shard: ShardPrefix): Promise<boolean> {
  const totals = untoldTotals(sql, TOTALS_TOLD_MAX);
  await index.recordTotals(totals.map((total) => ({ shard, total })));
  markTold(sql, totals);
  return totals.length < TOTALS_TOLD_MAX;
}

function readWalk(sql: SqlStorage): Walk | null {
  const text = readSetting(sql, WALK_SETTING);
  return text === null ? null : parseWith(walkSchema, JSON.parse(text), "internal");
}

function writeWalk(sql: SqlStorage, walk: Walk): void {
  writeSetting(sql, WALK_SETTING, JSON.stringify(walk));
}
