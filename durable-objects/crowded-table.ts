// A shard above others that is full: who goes, and what it must remember of that. Whoever is offline goes first, then one of
// the partition that has most, so that of a partition with few members none is missing, whatever crowd there is elsewhere. Of a
// partition from which somebody went who is online, it is remembered that its own shard knows more.

import { type Hash, PARTITION_COUNT, partitionOf } from "../lib/hash.ts";
import { ANCESTOR_MEMBERS_MAX } from "../lib/overlay/shards.ts";

/** The partition of an id, from its first three digits. */
const PARTITION_SQL = `((instr('123456789abcdef', substr(id, 1, 1)) << 6) + (instr('123456789abcdef', substr(id, 2, 1)) << 2)
  + (instr('123456789abcdef', substr(id, 3, 1)) >> 2))`;

/** Makes room for a newcomer; false where it is itself of the partition that has most, or not there. */
export function hasRoom(sql: SqlStorage, { id, online }: { id: Hash; online: boolean }): boolean {
  if (sql.exec<{ rows: number }>("SELECT COUNT(*) AS rows FROM members").one().rows < ANCESTOR_MEMBERS_MAX)
    return true;
  if (!online) return false;
  const { rowsWritten } = sql.exec(
    "DELETE FROM members WHERE id = (SELECT id FROM members WHERE online = 0 ORDER BY since LIMIT 1)",
  );
  if (rowsWritten > 0) return true;
  const crowd = largestPartition(sql);
  markCrowded(sql, crowd);
  if (partitionOf(id) === crowd) return false;
  sql.exec(
    `DELETE FROM members WHERE id = (SELECT id FROM members WHERE ${PARTITION_SQL} = ? ORDER BY id LIMIT 1)`,
    crowd,
  );
  return true;
}

/** Of those that are closer to `target` than `last` in whole, or as close; all where `last` is null. */
export function crowdedNear(sql: SqlStorage, target: Hash, last: Hash | null): number[] {
  const at = partitionOf(target);
  const reach = last === null ? PARTITION_COUNT : partitionOf(last) ^ at;
  return sql
    .exec<{ partition: number }>("SELECT partition FROM crowded")
    .toArray()
    .map(({ partition }) => partition)
    .filter((partition) => (partition ^ at) <= reach)
    .sort((a, b) => (a ^ at) - (b ^ at));
}

function largestPartition(sql: SqlStorage): number {
  return sql
    .exec<{ partition: number }>(
      `SELECT ${PARTITION_SQL} AS partition FROM members GROUP BY partition ORDER BY COUNT(*) DESC, partition LIMIT 1`,
    )
    .one().partition;
}

function markCrowded(sql: SqlStorage, partition: number): void {
  sql.exec("INSERT INTO crowded (partition) VALUES (?) ON CONFLICT DO NOTHING", partition);
}
