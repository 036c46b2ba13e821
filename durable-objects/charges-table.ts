// What domains are charged for: in a chunk's shard a row for each (chunk, domain) that a held chunk was referenced by, and
// their sum; in a domain's shard, the ledger of the sums that the chunks' shards have. A sum is told whole and with a
// sequence, never as a difference: what is told twice, late or out of order counts once.

import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { execRows } from "./bulk.ts";
import type { Reference } from "./chunks-table.ts";
import { forgetOrigin, isOutdated, leaveParent, originOf, type TotalOrigin } from "./total-origins.ts";

/** A domain's distinct referenced chunks in one shard. */
export interface DomainTotal {
  domain: Domain;
  bytes: number;
  chunks: number;
  /** Grows with each change. */
  sequence: number;
  /** Where it was a part of another shard's sum before, until the ledger has heard of it. */
  origin?: TotalOrigin;
}

export interface Usage {
  bytes: number;
  chunks: number;
}

/** Charges each domain once for each chunk that is held, or was; returns the totals of all domains concerned. */
export function chargeReferences(sql: SqlStorage, references: readonly Reference[]): DomainTotal[] {
  const added = new Map<Domain, Usage>();
  const charges: Charge[] = [];
  for (const { chunk, domain, held, charged } of sizesOf(sql, references)) {
    // What nobody holds is not stored: its Version will be refused.
    if (held === null || (charged !== null && charged >= held)) continue;
    charges.push({ chunk, domain, size: held });
    const { bytes, chunks } = added.get(domain) ?? { bytes: 0, chunks: 0 };
    added.set(domain, {
      bytes: bytes + held - (charged ?? 0),
      chunks: chunks + (charged === null ? 1 : 0),
    });
  }
  putCharges(sql, charges);
  for (const [domain, usage] of added) addToTotal(sql, domain, usage);
  return [...new Set(references.map(({ domain }) => domain))].flatMap((domain) => totalOf(sql, domain));
}

/** The domain pays no more for a chunk that it has no reference to. */
export function dischargeChunk(sql: SqlStorage, chunk: Hash, domain: Domain): void {
  const bytes = chargedBytes(sql, chunk, domain);
  if (bytes === null) return;
  sql.exec("DELETE FROM charges WHERE chunk = ? AND domain = ?", chunk, domain);
  addToTotal(sql, domain, { bytes: -bytes, chunks: -1 });
}

/** Sums of which the ledger may not have the newest. */
export function untoldTotals(sql: SqlStorage, limit: number): DomainTotal[] {
  return sql
    .exec<{ domain: Domain; bytes: number; chunks: number; sequence: number }>(
      "SELECT domain, bytes, chunks, sequence FROM domain_totals WHERE told < sequence ORDER BY domain LIMIT ?",
      limit,
    )
    .toArray()
    .map((total) => ({ ...total, ...originOf(sql, total.domain) }));
}

/** The ledger has these sums. One that has changed meanwhile is still to be told. */
export function markTold(sql: SqlStorage, totals: readonly DomainTotal[]): void {
  for (const { domain, sequence } of totals) {
    sql.exec("UPDATE domain_totals SET told = MAX(told, ?) WHERE domain = ?", sequence, domain);
    forgetOrigin(sql, domain);
  }
}

/** Those of the chunks that the domain is charged for. */
export function chargedChunks(sql: SqlStorage, chunks: readonly Hash[], domain: Domain): Hash[] {
  return chunks.filter((chunk) => chargedBytes(sql, chunk, domain) !== null);
}

/** Ledger: takes in what a chunks' shard has. An older sum than the one known changes nothing. */
export function recordTotal(
  sql: SqlStorage,
  shard: ShardPrefix,
  { domain, bytes, chunks, sequence, origin }: DomainTotal,
): void {
  if (isOutdated(sql, domain, shard)) return;
  const isFirst =
    sql.exec("SELECT 1 FROM ledger WHERE domain = ? AND shard = ?", domain, shard).toArray().length === 0;
  if (isFirst && origin !== undefined) leaveParent(sql, domain, shard, origin);
  sql.exec(
    `INSERT INTO ledger (domain, shard, bytes, chunks, sequence) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET bytes = excluded.bytes, chunks = excluded.chunks, sequence = excluded.sequence
     WHERE excluded.sequence > ledger.sequence`,
    domain,
    shard,
    bytes,
    chunks,
    sequence,
  );
}

/** Ledger: what the domain is charged for on the whole edge. */
export function usageOf(sql: SqlStorage, domain: Domain): Usage {
  return sql
    .exec<{ bytes: number; chunks: number }>(
      "SELECT COALESCE(SUM(bytes), 0) AS bytes, COALESCE(SUM(chunks), 0) AS chunks FROM ledger WHERE domain = ?",
      domain,
    )
    .one();
}

/** Ledger: the domains of this shard that are charged for most. */
export function largestDomains(sql: SqlStorage, limit: number): { domain: Domain; bytes: number }[] {
  return sql
    .exec<{ domain: Domain; bytes: number }>(
      "SELECT domain, SUM(bytes) AS bytes FROM ledger GROUP BY domain HAVING bytes > 0 ORDER BY 2 DESC, domain LIMIT ?",
      limit,
    )
    .toArray();
}

interface Charge {
  chunk: Hash;
  domain: Domain;
  size: number;
}

function putCharges(sql: SqlStorage, charges: readonly Charge[]): void {
  execRows(
    sql,
    `INSERT INTO charges (chunk, domain, size) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
     ON CONFLICT DO UPDATE SET size = excluded.size`,
    charges.map(({ chunk, domain, size }) => [chunk, domain, size]),
  );
}

function addToTotal(sql: SqlStorage, domain: Domain, { bytes, chunks }: Usage): void {
  sql.exec(
    `INSERT INTO domain_totals (domain, bytes, chunks, sequence) VALUES (?, ?, ?, 1)
     ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, chunks = chunks + excluded.chunks,
       sequence = sequence + 1`,
    domain,
    bytes,
    chunks,
  );
}

/**
 * `held` is the most that a holder said, since one that says less than there is must be all of them; where nobody holds it,
 * what its Manifest says. `charged` is null where the domain is not charged for it.
 */
type Sizes = { chunk: Hash; domain: Domain; held: number | null; charged: number | null };

/** Of each chunk and domain, once. */
function sizesOf(sql: SqlStorage, references: readonly Reference[]): Sizes[] {
  const pairs = new Map(
    references.map(({ chunk, domain, sizeBytes }) => [
      `${chunk} ${domain}`,
      [chunk, domain, sizeBytes ?? null],
    ]),
  );
  return execRows<Sizes>(
    sql,
    `SELECT value ->> 0 AS chunk, value ->> 1 AS domain,
       COALESCE((SELECT MAX(size) FROM holders WHERE chunk = value ->> 0), value ->> 2) AS held,
       (SELECT size FROM charges WHERE chunk = value ->> 0 AND domain = value ->> 1) AS charged
     FROM json_each(?)`,
    [...pairs.values()],
  );
}

function chargedBytes(sql: SqlStorage, chunk: Hash, domain: Domain): number | null {
  const [row] = sql
    .exec<{ size: number }>("SELECT size FROM charges WHERE chunk = ? AND domain = ?", chunk, domain)
    .toArray();
  return row?.size ?? null;
}

/** None where it was never charged for anything here. */
export function totalOf(sql: SqlStorage, domain: Domain): DomainTotal[] {
  return sql
    .exec<Omit<DomainTotal, "domain" | "origin">>(
      "SELECT bytes, chunks, sequence FROM domain_totals WHERE domain = ?",
      domain,
    )
    .toArray()
    .map((row) => ({ ...row, domain, ...originOf(sql, domain) }));
}
