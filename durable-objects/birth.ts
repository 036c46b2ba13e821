// Since when a shard's tables are complete. A shard that was never written to knows that there is nothing; one that lost what
// it had, or stands in for others since SHARD_DEPTH was changed, looks the same from inside. So it asks the root shard, which
// has the reports of all that there were, before it first reports itself. What a split shard knew of itself its children have.

import { ANCESTOR_DEPTHS, isInside, type ShardPrefix } from "../lib/overlay/shards.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

const BORN_SETTING = "born-at";
const MADE_SETTING = "made-at";
const FILLING_SETTING = "filling-at";

/** Milliseconds: of what was written before then the shard may know nothing. `root` is asked once in its life. */
export async function bornMs(
  sql: SqlStorage,
  prefix: ShardPrefix,
  root: { birthOf(prefix: ShardPrefix): Promise<number> },
): Promise<number> {
  const text = readSetting(sql, BORN_SETTING);
  if (text !== null) return Number(text);
  const ms = prefix === "" ? madeMs(sql) : await root.birthOf(prefix);
  writeSetting(sql, BORN_SETTING, String(ms));
  return ms;
}

/** When the tables were made: those of the root shard, with the first node that registers at the edge. */
function madeMs(sql: SqlStorage): number {
  return Number(readSetting(sql, MADE_SETTING) ?? Number.POSITIVE_INFINITY);
}

/**
 * Root shard: since when a shard is complete that has not reported in its life. One that did before has lost what it had,
 * and one whose range others served, or a part of it, never had what they have. Those above keep members, and serve no range.
 */
export function birthOf(sql: SqlStorage, prefix: ShardPrefix, nowMs: number): number {
  const known = sql
    .exec<{ prefix: ShardPrefix }>("SELECT prefix FROM reports WHERE prefix <> ''")
    .toArray()
    .map((row) => row.prefix);
  const isAbove = (other: ShardPrefix) => ANCESTOR_DEPTHS.some((bits) => bits === other.length);
  const isLost = known.some(
    (other) => other === prefix || isInside(other, prefix) || (isInside(prefix, other) && !isAbove(other)),
  );
  return isLost ? nowMs : madeMs(sql);
}

/** A young shard has just heard of copies that it did not know. */
export function noteFilling(sql: SqlStorage, nowMs: number): void {
  writeSetting(sql, FILLING_SETTING, String(nowMs));
}

/**
 * Nodes that have not come back yet are as good as offline: within the grace that those are given, nothing is copied because
 * they are missing. Until when, milliseconds; null: it is over.
 */
export function fillingUntilMs(sql: SqlStorage, graceMs: number, nowMs: number): number | null {
  const untilMs = Number(readSetting(sql, FILLING_SETTING) ?? 0) + graceMs;
  return untilMs > nowMs ? untilMs : null;
}
