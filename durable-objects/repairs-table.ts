// Chunks that this shard has found on fewer failure domains than they should be, until they are back on target; and what
// has been copied today.

import type { Hash, NodeId } from "../lib/hash.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

/** An attempt that did not bring a chunk back is made again after this long, then twice as long each time, */
export const REPAIR_RETRY_MS = 2_000;
/** and never later than this: nodes come and go. */
export const REPAIR_RETRY_MAX_MS = 10 * 60_000;
const DETAIL_MAX = 200;
/** The detail of a chunk that no holder gives. */
const UNREADABLE = "no holder gives it";
const REPAIRED_SETTING = "repaired";
const DATE_LENGTH = "2026-01-02".length;

/** Why a chunk is looked at: a holder was found without it, is gone, is leaving, or keeps another chunk of its stripe. */
export type RepairReason = "missing" | "corrupt" | "gone" | "leaving" | "crowded";

/** A holder that does not give a chunk. */
export interface Loss {
  chunk: Hash;
  node: NodeId;
  reason: RepairReason;
}

export interface RepairRow {
  chunk: Hash;
  attempts: number;
}

/** Has a chunk looked at as soon as may be; one that waits already keeps its place. */
export function queueRepair(sql: SqlStorage, chunk: Hash, reason: RepairReason, nowMs: number): void {
  sql.exec(
    `INSERT INTO repairs (chunk, reason, since, attempts, due, detail) VALUES (?, ?, ?, 0, ?, '')
     ON CONFLICT DO NOTHING`,
    chunk,
    reason,
    nowMs,
    nowMs,
  );
}

/** There are copies enough, but not each where it should be: that only a look at the whole stripe can end. */
export function markCrowded(sql: SqlStorage, chunk: Hash): void {
  sql.exec("UPDATE repairs SET reason = 'crowded' WHERE chunk = ?", chunk);
}

/** There are copies enough: ends what was waiting for no more than that. */
export function endShortage(sql: SqlStorage, chunk: Hash): void {
  sql.exec("DELETE FROM repairs WHERE chunk = ? AND reason <> 'crowded'", chunk);
}

/** The chunk is back on target, or nobody needs it any more. */
export function endRepair(sql: SqlStorage, chunk: Hash): void {
  sql.exec("DELETE FROM repairs WHERE chunk = ?", chunk);
}

/** Those that are due, the ones that have waited longest first. */
export function dueRepairs(sql: SqlStorage, nowMs: number, limit: number): RepairRow[] {
  return sql
    .exec<{ chunk: Hash; attempts: number }>(
      "SELECT chunk, attempts FROM repairs WHERE due <= ? ORDER BY due, chunk LIMIT ?",
      nowMs,
      limit,
    )
    .toArray();
}

/** When the next one is due, or null where none waits. */
export function nextRepairMs(sql: SqlStorage): number | null {
  return sql.exec<{ due: number | null }>("SELECT MIN(due) AS due FROM repairs").one().due;
}

export function postponeRepair(
  sql: SqlStorage,
  { chunk, attempts }: RepairRow,
  why: { isUnreadable: boolean; detail: string },
  nowMs: number,
): void {
  const delayMs = Math.min(REPAIR_RETRY_MAX_MS, REPAIR_RETRY_MS * 2 ** Math.min(attempts, 16));
  sql.exec(
    "UPDATE repairs SET attempts = attempts + 1, due = ?, detail = ? WHERE chunk = ?",
    nowMs + delayMs,
    why.isUnreadable ? UNREADABLE : why.detail.slice(0, DETAIL_MAX),
    chunk,
  );
}

/** Those that hold it may still come back: a look before then would find no more. */
export function awaitHolders(sql: SqlStorage, chunk: Hash, untilMs: number): void {
  sql.exec(
    "UPDATE repairs SET due = ?, detail = 'nodes are still telling what they hold' WHERE chunk = ?",
    untilMs,
    chunk,
  );
}

/** What a shard reports of its repairs. */
export interface RepairCounts {
  /** Chunks below target. */
  short: number;
  /** Those of them that no holder gives. */
  unreadable: number;
  /** Copies made on `date` (in UTC), and their bytes. */
  repaired: { date: string; copies: number; bytes: number };
}

export function countRepairs(sql: SqlStorage, nowMs: number): RepairCounts {
  const { short, unreadable } = sql
    .exec<{ short: number; unreadable: number }>(
      "SELECT COUNT(*) AS short, COALESCE(SUM(detail = ?), 0) AS unreadable FROM repairs",
      UNREADABLE,
    )
    .one();
  return { short, unreadable, repaired: repairedOn(sql, dateOf(nowMs)) };
}

export function noteRepaired(sql: SqlStorage, bytes: number, nowMs: number): void {
  const { date, copies, bytes: before } = repairedOn(sql, dateOf(nowMs));
  writeSetting(
    sql,
    REPAIRED_SETTING,
    JSON.stringify({ date, copies: copies + 1, bytes: before + bytes } satisfies RepairCounts["repaired"]),
  );
}

function repairedOn(sql: SqlStorage, date: string): RepairCounts["repaired"] {
  const text = readSetting(sql, REPAIRED_SETTING);
  const known = text === null ? null : parseRepaired(text);
  return known?.date === date ? known : { date, copies: 0, bytes: 0 };
}

export function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, DATE_LENGTH);
}

function parseRepaired(text: string): RepairCounts["repaired"] {
  return JSON.parse(text) as RepairCounts["repaired"];
}
