// A shard's references, as a collector sees them: in their order, a few at a time, and whether a chunk is still needed.

import type { Hash, NodeId } from "../lib/hash.ts";
import type { InventoryChunk, InventoryState } from "../lib/inventory.ts";
import type { Domain } from "../lib/names.ts";
import { removeHolder } from "./chunks-table.ts";

/** Where a reference stands: the primary key. */
export interface ReferenceKey {
  chunk: Hash;
  domain: Domain;
  /** Empty: a reference from before names were kept. */
  nameHash: Hash | "";
  manifest: Hash;
}

export interface KeptReference extends ReferenceKey {
  sinceMs: number;
}

/** The first reference of a walk comes after this. */
export const BEFORE_ALL: readonly string[] = ["", "", "", ""];

export function keyText({ chunk, domain, nameHash, manifest }: ReferenceKey): readonly string[] {
  return [chunk, domain, nameHash, manifest];
}

export function referencesAfter(sql: SqlStorage, key: readonly string[], limit: number): KeptReference[] {
  return sql
    .exec<{ chunk: Hash; domain: Domain; name_hash: Hash | ""; manifest: Hash; since: number }>(
      `SELECT chunk, domain, name_hash, manifest, since FROM refs
       WHERE (chunk, domain, name_hash, manifest) > (?, ?, ?, ?)
       ORDER BY chunk, domain, name_hash, manifest LIMIT ?`,
      ...key,
      limit,
    )
    .toArray()
    .map(({ name_hash, since, ...row }) => ({ ...row, nameHash: name_hash, sinceMs: since }));
}

export function referenceOf(sql: SqlStorage, key: ReferenceKey): KeptReference | null {
  const [row] = sql
    .exec<{ since: number }>(
      "SELECT since FROM refs WHERE chunk = ? AND domain = ? AND name_hash = ? AND manifest = ?",
      ...keyText(key),
    )
    .toArray();
  return row === undefined ? null : { ...key, sinceMs: row.since };
}

/** False where it was written again since it was read: somebody relies on it. */
export function removeReference(
  sql: SqlStorage,
  { chunk, domain, nameHash, manifest, sinceMs }: KeptReference,
): boolean {
  const { rowsWritten } = sql.exec(
    "DELETE FROM refs WHERE chunk = ? AND domain = ? AND name_hash = ? AND manifest = ? AND since = ?",
    chunk,
    domain,
    nameHash,
    manifest,
    sinceMs,
  );
  return rowsWritten > 0;
}

/** Chunks that something refers to. */
export interface NeededCounts {
  chunks: number;
  /** Those of them that nobody is said to hold, */
  unheld: number;
  /** those that are only claimed, or were not given when they were last asked for, */
  unseen: number;
  /** and those that fewer nodes were seen to hold than are to. */
  few: number;
}

export function countNeeded(sql: SqlStorage): NeededCounts {
  return sql
    .exec<{ chunks: number; unheld: number; unseen: number; few: number }>(
      `SELECT COUNT(*) AS chunks, COUNT(*) - COUNT(seen) AS unheld, COALESCE(SUM(seen = 0), 0) AS unseen,
         COALESCE(SUM(seen > 0 AND seen < copies), 0) AS few
       FROM (
         SELECT MAX(copies) AS copies,
           (SELECT SUM(checked >= 0) FROM holders h WHERE h.chunk = r.chunk) AS seen
         FROM refs r GROUP BY chunk)`,
    )
    .one();
}

export function hasReference(sql: SqlStorage, chunk: Hash, domain: Domain): boolean {
  return (
    sql.exec("SELECT 1 FROM refs WHERE chunk = ? AND domain = ? LIMIT 1", chunk, domain).toArray().length > 0
  );
}

/**
 * What becomes of a chunk that a node holds. One that is released loses its holder in the same call: nobody who plans or
 * commits afterwards counts on this node. What the node held before this shard's tables were complete (`born`,
 * milliseconds) is needed: what referred to it may be lost.
 */
export function settleInventory(
  sql: SqlStorage,
  node: NodeId,
  { hash, since }: InventoryChunk,
  { born, nowMs }: { born: number; nowMs: number },
): InventoryState {
  if (Date.parse(since) >= born && !isNeeded(sql, hash, nowMs)) {
    removeHolder(sql, hash, node);
    return "released";
  }
  const isListed = sql.exec("SELECT 1 FROM holders WHERE chunk = ? AND node = ?", hash, node).toArray();
  return isListed.length > 0 ? "needed" : "unlisted";
}

function isNeeded(sql: SqlStorage, chunk: Hash, nowMs: number): boolean {
  const { needed } = sql
    .exec<{ needed: number }>(
      `SELECT EXISTS (SELECT 1 FROM refs WHERE chunk = ?) OR EXISTS (SELECT 1 FROM pins WHERE chunk = ? AND until >= ?)
         AS needed`,
      chunk,
      chunk,
      nowMs,
    )
    .one();
  return needed === 1;
}
