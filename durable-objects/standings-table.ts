// A node's leaf shard: how the node did when it was checked, and what it has carried. Written by what shards and workers
// of this edge saw themselves.

import {
  type CheckCode,
  type CheckEvent,
  type Checks,
  EVENTS_KEPT_MAX,
  noChecks,
  standingOf,
  withCheck,
} from "../lib/durability/standing.ts";
import { uptimeOf } from "../lib/durability/uptime.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { NodeRecord } from "../lib/node-record.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { type Member, type MemberRecord, membersById } from "./members-table.ts";

/** A shard that has not audited a node for so long lists nothing of it any more: of 1,024, each does so every three weeks. */
const SHARD_MEMORY_MS = 60 * 24 * 60 * 60 * 1000;

/** What a read of a chunk that was listed of the node came to. */
export interface CheckedChunk {
  chunk: Hash;
  code: CheckCode;
  /** Since when the node was listed for it. */
  heldSinceMs: number;
  /** Drawn by a shard. What others chose may count against a node, never for it: it could have friends who ask. */
  isDrawn: boolean;
}

/** What was seen of one node since it was last told of. */
export interface Sight {
  node: NodeId;
  checks: CheckedChunk[];
  /** That the checks passed speak for. */
  chunkHours: number;
  /** Chunks that the shard which looked lists of it, or null. */
  listed: Listed | null;
  servedBytes: number;
  takenBytes: number;
}

export interface Listed {
  shard: ShardPrefix;
  /** Null where nobody counted. */
  chunks: number | null;
  /** Of these, those that the checks took off the list. */
  lost: number;
}

export function sightOf(node: NodeId, seen: Partial<Omit<Sight, "node">>): Sight {
  return { node, checks: [], chunkHours: 0, listed: null, servedBytes: 0, takenBytes: 0, ...seen };
}

interface StandingRow extends Record<string, SqlStorageValue> {
  passed: number;
  failed: number;
  unreachable: number;
  at: number;
  events: string;
  audits_passed: number;
  audits_failed: number;
  told: number;
}

interface LedgerRow extends Record<string, SqlStorageValue> {
  chunk_hours: number;
  served_bytes: number;
  taken_bytes: number;
}

interface StoredStanding {
  checks: Checks;
  events: CheckEvent[];
  auditsPassed: number;
  auditsFailed: number;
  /** When the node was last told. */
  toldMs: number;
}

/** Takes in what was seen of a node. */
export function noteSight(sql: SqlStorage, sight: Sight, nowMs: number): void {
  addToLedger(sql, sight, nowMs);
  if (sight.listed !== null) noteListed(sql, sight.node, sight.listed, nowMs);
  if (sight.checks.length === 0) return;
  const [member] = membersById(sql, [sight.node]);
  const lostMs = member?.lostMs ?? 0;
  const stored = storedStanding(sql, sight.node) ?? nothingStored(nowMs);
  // What a node has said that it lost it is not asked to answer for.
  for (const check of sight.checks) if (check.heldSinceMs >= lostMs) count(stored, check, nowMs);
  writeStanding(sql, sight.node, stored);
}

function count(stored: StoredStanding, { chunk, code, isDrawn }: CheckedChunk, nowMs: number): void {
  if (code === "passed") {
    if (!isDrawn) return;
    stored.auditsPassed += 1;
  } else {
    if (code !== "unreachable") stored.auditsFailed += 1;
    stored.events = [{ atMs: nowMs, chunk, code }, ...stored.events].slice(0, EVENTS_KEPT_MAX);
  }
  stored.checks = withCheck(stored.checks, code, nowMs);
}

/** What ancestors are told of a node. */
export function recordOf(sql: SqlStorage, node: NodeId): MemberRecord {
  const stored = storedStanding(sql, node);
  const ledger = ledgerOf(sql, node);
  return {
    id: node,
    standing: standingOf(stored?.checks ?? noChecks(0)),
    ...listedOf(sql, node),
    servedBytes: ledger?.served_bytes ?? 0,
  };
}

/** What the node itself is told; null where nothing is known of it yet. */
export function nodeRecord(sql: SqlStorage, node: NodeId, nowMs: number): NodeRecord | null {
  const [member] = membersById(sql, [node]);
  const stored = storedStanding(sql, node);
  if (member === undefined || stored === null) return null;
  const { chunk_hours = 0, served_bytes = 0, taken_bytes = 0 } = ledgerOf(sql, node) ?? {};
  return {
    standing: standingOf(stored.checks),
    passed: stored.auditsPassed,
    failed: stored.auditsFailed,
    events: stored.events.map(({ atMs, chunk, code }) => ({
      time: new Date(atMs).toISOString(),
      chunk,
      code,
    })),
    chunkHours: Math.round(chunk_hours),
    servedBytes: served_bytes,
    takenBytes: taken_bytes,
    ...presenceOf(member, nowMs),
  };
}

function presenceOf(member: Member, nowMs: number): Pick<NodeRecord, "firstSeen" | "uptime"> {
  const firstSeen = member.firstSeenMs === 0 ? null : new Date(member.firstSeenMs).toISOString();
  return { firstSeen, uptime: uptimeOf(member, nowMs) };
}

/** True where the node has not been told for `intervalMs`, or has failed since; it is taken as told now. */
export function takeTelling(sql: SqlStorage, node: NodeId, nowMs: number, intervalMs: number): boolean {
  const stored = storedStanding(sql, node);
  if (stored === null) return false;
  const hasNews = (stored.events[0]?.atMs ?? 0) > stored.toldMs;
  if (!hasNews && nowMs - stored.toldMs < intervalMs) return false;
  sql.exec("UPDATE standings SET told = ? WHERE node = ?", nowMs, node);
  return true;
}

function addToLedger(sql: SqlStorage, sight: Sight, nowMs: number): void {
  const { node, chunkHours, servedBytes, takenBytes } = sight;
  sql.exec(
    `INSERT INTO node_ledger (node, chunk_hours, served_bytes, taken_bytes, since, at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET chunk_hours = chunk_hours + excluded.chunk_hours,
       served_bytes = served_bytes + excluded.served_bytes, taken_bytes = taken_bytes + excluded.taken_bytes,
       at = excluded.at`,
    node,
    chunkHours,
    servedBytes,
    takenBytes,
    nowMs,
    nowMs,
  );
}

function noteListed(sql: SqlStorage, node: NodeId, { shard, chunks, lost }: Listed, nowMs: number): void {
  if (chunks !== null) {
    leaveParents(sql, node, shard, chunks);
    sql.exec(
      `INSERT INTO node_shards (node, shard, chunks, at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET chunks = excluded.chunks, at = excluded.at`,
      node,
      shard,
      chunks,
      nowMs,
    );
  }
  sql.exec("UPDATE node_shards SET chunks = chunks - ? WHERE node = ? AND shard = ?", lost, node, shard);
  sql.exec(
    "DELETE FROM node_shards WHERE node = ? AND (chunks <= 0 OR at < ?)",
    node,
    nowMs - SHARD_MEMORY_MS,
  );
}

/** What a shard listed that was split since is its children's: what one of them does not list, the other is taken to. */
function leaveParents(sql: SqlStorage, node: NodeId, shard: ShardPrefix, chunks: number): void {
  const parents = sql
    .exec<{ shard: ShardPrefix; chunks: number; at: number }>(
      `DELETE FROM node_shards WHERE node = ? AND shard <> ? AND substr(?, 1, length(shard)) = shard
       RETURNING shard, chunks, at`,
      node,
      shard,
      shard,
    )
    .toArray();
  for (const parent of parents) {
    const sibling = `${parent.shard}${shard.charAt(parent.shard.length) === "0" ? "1" : "0"}`;
    sql.exec(
      "INSERT INTO node_shards (node, shard, chunks, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      node,
      sibling,
      Math.max(0, parent.chunks - chunks),
      parent.at,
    );
  }
}

/** In how many shards, and how many chunks there; null before the first audit. */
function listedOf(sql: SqlStorage, node: NodeId): { shards: number; chunks: number | null } {
  return sql
    .exec<{ shards: number; chunks: number | null }>(
      "SELECT COUNT(*) AS shards, SUM(chunks) AS chunks FROM node_shards WHERE node = ?",
      node,
    )
    .one();
}

function ledgerOf(sql: SqlStorage, node: NodeId): LedgerRow | null {
  const [row] = sql
    .exec<LedgerRow>("SELECT chunk_hours, served_bytes, taken_bytes FROM node_ledger WHERE node = ?", node)
    .toArray();
  return row ?? null;
}

function nothingStored(nowMs: number): StoredStanding {
  return { checks: noChecks(nowMs), events: [], auditsPassed: 0, auditsFailed: 0, toldMs: 0 };
}

function storedStanding(sql: SqlStorage, node: NodeId): StoredStanding | null {
  const [row] = sql.exec<StandingRow>("SELECT * FROM standings WHERE node = ?", node).toArray();
  return row === undefined ? null : parseStandingRow(row);
}

function writeStanding(sql: SqlStorage, node: NodeId, stored: StoredStanding): void {
  const { checks, events, auditsPassed, auditsFailed } = stored;
  sql.exec(
    `INSERT INTO standings (node, passed, failed, unreachable, at, events, audits_passed, audits_failed)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET passed = excluded.passed, failed = excluded.failed, unreachable = excluded.unreachable,
       at = excluded.at, events = excluded.events, audits_passed = excluded.audits_passed,
       audits_failed = excluded.audits_failed`,
    node,
    checks.passed,
    checks.failed,
    checks.unreachable,
    checks.atMs,
    JSON.stringify(events),
    auditsPassed,
    auditsFailed,
  );
}

function parseStandingRow(row: StandingRow): StoredStanding {
  return {
    checks: { passed: row.passed, failed: row.failed, unreachable: row.unreachable, atMs: row.at },
    events: JSON.parse(row.events) as CheckEvent[],
    auditsPassed: row.audits_passed,
    auditsFailed: row.audits_failed,
    toldMs: row.told,
  };
}
