// What domains are charged for: in a chunk's shard a row for each (chunk, domain) that a held chunk was referenced by, and
// their sum; in a domain's shard, the ledger of the sums that the chunks' shards have. A sum is told whole and with a
// sequence, never as a difference: what is told twice, late or out of order counts once.

import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import type { Reference } from "./chunks-table.ts";

/** A domain's distinct referenced chunks in one shard. */
export interface DomainTotal {
  domain: Domain;
  bytes: number;
  chunks: number;
  /** Grows with each change. */
  sequence: number;
}

export interface Usage {
  bytes: number;
  chunks: number;
}

/** Charges each domain once for each held chunk; returns the totals of all domains concerned. */
export function chargeReferences(sql: SqlStorage, references: readonly Reference[]): DomainTotal[] {
  for (const { chunk, domain } of references) {
    const size = heldBytes(sql, chunk);
    // What nobody holds is not stored: its Version will be refused.
    if (size === null) continue;
    const known = chargedBytes(sql, chunk, domain);
    if (known === null || known < size) charge(sql, { chunk, domain, size, known });
  }
  return [...new Set(references.map(({ domain }) => domain))].flatMap((domain) => totalOf(sql, domain));
}

/** Those of the chunks that the domain is charged for. */
export function chargedChunks(sql: SqlStorage, chunks: readonly Hash[], domain: Domain): Hash[] {
  return chunks.filter((chunk) => chargedBytes(sql, chunk, domain) !== null);
}

/** Ledger: takes in what a chunks' shard has. An older sum than the one known changes nothing. */
export function recordTotal(
  sql: SqlStorage,
  shard: ShardPrefix,
  { domain, bytes, chunks, sequence }: DomainTotal,
): void {
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

function charge(
  sql: SqlStorage,
  { chunk, domain, size, known }: { chunk: Hash; domain: Domain; size: number; known: number | null },
): void {
  sql.exec(
    "INSERT INTO charges (chunk, domain, size) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size",
    chunk,
    domain,
    size,
  );
  sql.exec(
    `INSERT INTO domain_totals (domain, bytes, chunks, sequence) VALUES (?, ?, ?, 1)
     ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes, chunks = chunks + excluded.chunks,
       sequence = sequence + 1`,
    domain,
    size - (known ?? 0),
    known === null ? 1 : 0,
  );
}

/** The most that a holder said: one that says less than there is must be all of them. */
function heldBytes(sql: SqlStorage, chunk: Hash): number | null {
  return sql
    .exec<{ size: number | null }>("SELECT MAX(size) AS size FROM holders WHERE chunk = ?", chunk)
    .one().size;
}

function chargedBytes(sql: SqlStorage, chunk: Hash, domain: Domain): number | null {
  const [row] = sql
    .exec<{ size: number }>("SELECT size FROM charges WHERE chunk = ? AND domain = ?", chunk, domain)
    .toArray();
  return row?.size ?? null;
}

function totalOf(sql: SqlStorage, domain: Domain): DomainTotal[] {
  return sql
    .exec<Omit<DomainTotal, "domain">>(
      "SELECT bytes, chunks, sequence FROM domain_totals WHERE domain = ?",
      domain,
    )
    .toArray()
    .map((row) => ({ ...row, domain }));
}
