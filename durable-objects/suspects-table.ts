// Holders that clients complained of. What a client says is not believed: it only makes the shard read these chunks next.

import type { Hash, NodeId } from "../lib/hash.ts";

/** Complaints that wait in one shard; more are forgotten, because the random audits find the same. */
export const SUSPECTS_MAX = 256;
/** A holder that gave the chunk so lately is not asked again for a complaint: anybody can make one. */
export const SUSPECT_REST_MS = 60 * 60 * 1000;

/** A chunk, and a node that is said to hold it. */
export interface Suspect {
  chunk: Hash;
  node: NodeId;
}

/** Queues those that are holders here and were not checked lately; says how many were new. */
export function addSuspects(sql: SqlStorage, suspects: Suspect[], nowMs: number): number {
  let room = SUSPECTS_MAX - sql.exec<{ rows: number }>("SELECT COUNT(*) AS rows FROM suspects").one().rows;
  let added = 0;
  for (const { chunk, node } of suspects) {
    if (room <= 0) break;
    const isNew = sql.exec(
      `INSERT INTO suspects (chunk, node, at) SELECT chunk, node, ? FROM holders
         WHERE chunk = ? AND node = ? AND checked <= ? ON CONFLICT DO NOTHING`,
      nowMs,
      chunk,
      node,
      nowMs - SUSPECT_REST_MS,
    ).rowsWritten;
    if (isNew === 0) continue;
    room -= 1;
    added += 1;
  }
  return added;
}

/** The longest-waiting ones, off the list: a complaint that is lost in a crash is made again by the next reader. */
export function takeSuspects(sql: SqlStorage, limit: number): Suspect[] {
  const rows = sql
    .exec<{ chunk: Hash; node: NodeId }>("SELECT chunk, node FROM suspects ORDER BY at LIMIT ?", limit)
    .toArray();
  for (const { chunk, node } of rows)
    sql.exec("DELETE FROM suspects WHERE chunk = ? AND node = ?", chunk, node);
  return rows;
}

export function hasSuspects(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM suspects LIMIT 1").toArray().length > 0;
}
