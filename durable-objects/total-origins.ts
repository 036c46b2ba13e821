// The sums that domains are charged for, when a shard is split: each child has a part of the parent's. Until a ledger has heard
// of a child, it has the parent's sum; so the child says with its first word which part it took, and the ledger takes that
// off the parent's in the same transaction. Neither both are ever counted, nor neither.

import type { Domain } from "../lib/names.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";

/** The part of a parent's sum that became a child's. */
export interface TotalOrigin {
  shard: ShardPrefix;
  bytes: number;
  chunks: number;
  /** All of it: the other child says nothing of the domain. */
  isWhole: boolean;
}

interface PartRow extends Record<string, SqlStorageValue> {
  domain: Domain;
  bytes: number;
  chunks: number;
  whole_bytes: number;
  whole_chunks: number;
}

/** A child takes over: what it was given are its parent's sums, and become its own. */
export function divideTotals(sql: SqlStorage, prefix: ShardPrefix): void {
  const parent = prefix.slice(0, -1);
  const parts = sql
    .exec<PartRow>(
      `SELECT t.domain, COALESCE(c.bytes, 0) AS bytes, COALESCE(c.chunks, 0) AS chunks,
         t.bytes AS whole_bytes, t.chunks AS whole_chunks
       FROM domain_totals t LEFT JOIN (
         SELECT domain, SUM(size) AS bytes, COUNT(*) AS chunks FROM charges GROUP BY domain
       ) c ON c.domain = t.domain`,
    )
    .toArray();
  for (const part of parts) {
    const { domain, bytes, chunks } = part;
    const isWhole = bytes === part.whole_bytes && chunks === part.whole_chunks;
    // Of a domain that is charged for nothing any more, one of both says so.
    if (chunks === 0 && !(isWhole && prefix.endsWith("0"))) {
      sql.exec("DELETE FROM domain_totals WHERE domain = ?", domain);
      continue;
    }
    sql.exec(
      "UPDATE domain_totals SET bytes = ?, chunks = ?, sequence = sequence + 1, told = 0 WHERE domain = ?",
      bytes,
      chunks,
      domain,
    );
    sql.exec(
      "INSERT INTO total_origins (domain, shard, bytes, chunks, is_whole) VALUES (?, ?, ?, ?, ?)",
      domain,
      parent,
      bytes,
      chunks,
      isWhole ? 1 : 0,
    );
  }
}

/** None where the ledger has heard of this shard since, or it was never split off. */
export function originOf(sql: SqlStorage, domain: Domain): { origin?: TotalOrigin } {
  const [row] = sql
    .exec<{ shard: ShardPrefix; bytes: number; chunks: number; is_whole: number }>(
      "SELECT shard, bytes, chunks, is_whole FROM total_origins WHERE domain = ?",
      domain,
    )
    .toArray();
  if (row === undefined) return {};
  const { shard, bytes, chunks, is_whole } = row;
  return { origin: { shard, bytes, chunks, isWhole: is_whole === 1 } };
}

export function forgetOrigin(sql: SqlStorage, domain: Domain): void {
  sql.exec("DELETE FROM total_origins WHERE domain = ?", domain);
}

export function hasOrigins(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM total_origins LIMIT 1").toArray().length > 0;
}

/** Ledger, before it hears of `shard` for the first time: takes its part off its parent's sum, which goes with the last part. */
export function leaveParent(sql: SqlStorage, domain: Domain, shard: ShardPrefix, origin: TotalOrigin): void {
  const sibling = `${origin.shard}${shard.endsWith("0") ? "1" : "0"}`;
  if (origin.isWhole || hasWord(sql, domain, sibling, ">=")) {
    sql.exec("DELETE FROM ledger WHERE domain = ? AND shard = ?", domain, origin.shard);
    return;
  }
  sql.exec(
    "UPDATE ledger SET bytes = bytes - ?, chunks = chunks - ? WHERE domain = ? AND shard = ?",
    origin.bytes,
    origin.chunks,
    domain,
    origin.shard,
  );
}

/** Ledger: whether a shard is split whose word comes late. Its children say what there is. */
export function isOutdated(sql: SqlStorage, domain: Domain, shard: ShardPrefix): boolean {
  return hasWord(sql, domain, shard, ">");
}

/** Whether the ledger has heard of a shard inside `outer`, or (>=) of itself. Prefixes are text of 0 and 1. */
function hasWord(sql: SqlStorage, domain: Domain, outer: ShardPrefix, from: ">" | ">="): boolean {
  return (
    sql
      .exec(
        `SELECT 1 FROM ledger WHERE domain = ? AND shard ${from} ? AND shard < ? LIMIT 1`,
        domain,
        outer,
        `${outer}2`,
      )
      .toArray().length > 0
  );
}
