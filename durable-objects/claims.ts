// What a home node says that it holds, partition by partition: claims, which nobody has verified. They are read after all
// other holders, and count as no copy until the chunk was read from the node once.

import { type Hash, type NodeId, PARTITION_COUNT } from "../lib/hash.ts";
import type { ListedChunk } from "../lib/inventory-digests.ts";
import { CLAIMED, removeHolder } from "./chunks-table.ts";
import { queueRepair } from "./repairs-table.ts";
import { readSetting, removeSetting, writeSetting } from "./settings-table.ts";

/** Hex digits by which the first hash of a partition is told. */
const PREFIX_DIGITS = 3;
const PREFIXES_PER_PARTITION = 4;
const NEW_SETTING = "claims-new";

/** All that a node holds of one partition. */
export interface PartitionClaim {
  node: NodeId;
  partition: number;
  chunks: ListedChunk[];
  /** When the node was asked, milliseconds: of what it was given since it has not spoken. */
  askedMs: number;
}

export interface ClaimResult {
  /** Newly listed as held by the node. */
  added: number;
  /** Of no use here: nothing refers to them, as far as this shard knows. */
  ignored: number;
  /** Listed before, and not held any more. */
  lost: number;
}

/**
 * Takes in what the node holds of a partition. Only what something refers to is kept, so that no node can fill a shard with
 * hashes that it made up. A node's word takes itself off the lists at once.
 */
export function takeClaim(sql: SqlStorage, claim: PartitionClaim, nowMs: number): ClaimResult {
  const { node, chunks } = claim;
  const held = new Set(chunks.map(({ hash }) => hash));
  const listed = rowsOf(sql, claim);
  const lost = listed.filter(({ chunk, since }) => since < claim.askedMs && !held.has(chunk));
  for (const { chunk } of lost) if (removeHolder(sql, chunk, node)) queueRepair(sql, chunk, "missing", nowMs);
  const known = new Set(listed.map(({ chunk }) => chunk));
  let [added, ignored] = [0, 0];
  for (const { hash, size } of chunks) {
    if (known.has(hash)) continue;
    if (!isReferred(sql, hash)) ignored += 1;
    else {
      sql.exec(
        "INSERT INTO holders (chunk, node, size, since, checked) VALUES (?, ?, ?, ?, ?)",
        ...[hash, node, size, nowMs, CLAIMED],
      );
      added += 1;
    }
  }
  if (added > 0) writeSetting(sql, NEW_SETTING, "1");
  return { added, ignored, lost: lost.length };
}

/** Whether claims have come since this was last asked: whoever walks over them may have been past their places. */
export function takeNews(sql: SqlStorage): boolean {
  const isNew = readSetting(sql, NEW_SETTING) !== null;
  removeSetting(sql, NEW_SETTING);
  return isNew;
}

function rowsOf(sql: SqlStorage, { node, partition }: PartitionClaim): { chunk: Hash; since: number }[] {
  return sql
    .exec<{ chunk: Hash; since: number }>(
      "SELECT chunk, since FROM holders WHERE chunk >= ? AND chunk < ? AND node = ?",
      startOf(partition),
      startOf(partition + 1),
      node,
    )
    .toArray();
}

/** Before every hash of the partition, and after every hash of the one before. */
function startOf(partition: number): string {
  if (partition >= PARTITION_COUNT) return "g"; // the character after f
  return (partition * PREFIXES_PER_PARTITION).toString(16).padStart(PREFIX_DIGITS, "0");
}

function isReferred(sql: SqlStorage, chunk: Hash): boolean {
  return sql.exec("SELECT 1 FROM refs WHERE chunk = ? LIMIT 1", chunk).toArray().length > 0;
}
