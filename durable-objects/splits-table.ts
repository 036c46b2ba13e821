// Kept by the root shard: which shards are split and how far those are that are splitting, for /status. Callers do not ask
// here where a hash is served: a shard says `moved` itself.

import { childPrefixes, type ShardPrefix } from "../lib/overlay/shards.ts";
import type { SplitProgress } from "./shard-split.ts";

/** The shards of an edge in numbers. */
export interface ShardCounts {
  count: number;
  depthMin: number;
  depthMax: number;
  splitting: { prefix: ShardPrefix; copied: number; rows: number }[];
}

export function noteSplit(
  sql: SqlStorage,
  prefix: ShardPrefix,
  { state, copied, rows }: SplitProgress,
  nowMs: number,
): void {
  sql.exec(
    `INSERT INTO splits (prefix, is_split, copied, rows, at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET is_split = excluded.is_split, copied = excluded.copied, rows = excluded.rows,
       at = excluded.at WHERE is_split = 0`,
    prefix,
    state === "split" ? 1 : 0,
    copied,
    rows,
    nowMs,
  );
}

/** `depth`: of the shards that the edge began with. */
export function shardsOf(sql: SqlStorage, depth: number): ShardCounts {
  const rows = sql
    .exec<{ prefix: ShardPrefix; is_split: number; copied: number; rows: number }>(
      "SELECT prefix, is_split, copied, rows FROM splits ORDER BY prefix",
    )
    .toArray();
  const depths = shardPrefixes(sql, depth).leaves.map(({ length }) => length);
  const splitting = rows.filter(({ is_split }) => is_split === 0);
  return {
    count: depths.length,
    depthMin: Math.min(...depths),
    depthMax: Math.max(...depths),
    splitting: splitting.map(({ prefix, copied, rows: all }) => ({ prefix, copied, rows: all })),
  };
}

/** All shards, those that are split apart. */
export function shardPrefixes(
  sql: SqlStorage,
  depth: number,
): { leaves: ShardPrefix[]; split: ShardPrefix[] } {
  const split = sql
    .exec<{ prefix: ShardPrefix }>("SELECT prefix FROM splits WHERE is_split = 1")
    .toArray()
    .map(({ prefix }) => prefix);
  return { leaves: leavesUnder("", depth, new Set(split)), split };
}

function leavesUnder(prefix: ShardPrefix, depth: number, split: ReadonlySet<ShardPrefix>): ShardPrefix[] {
  if (prefix.length >= depth && !split.has(prefix)) return [prefix];
  return childPrefixes(prefix).flatMap((child) => leavesUnder(child, depth, split));
}
