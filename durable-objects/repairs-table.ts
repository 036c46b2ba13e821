// Chunks that this shard has found on fewer failure domains than they should be, until they are back on target.

import type { Hash, NodeId } from "../lib/hash.ts";

/** Why a chunk is looked at: a holder was found without it, is gone, or is leaving. */
export type RepairReason = "missing" | "corrupt" | "gone" | "leaving";

/** A holder that does not give a chunk. */
export interface Loss {
  chunk: Hash;
  node: NodeId;
  reason: RepairReason;
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
