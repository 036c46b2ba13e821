// Root shard: how far the links have come with what their nodes keep, and the sum of it for /status.

import type { NodeId } from "../lib/hash.ts";

/** What a link tells of its node. Times in milliseconds. */
export interface InventoryReport {
  node: NodeId;
  sinceMs: number;
  /** Null: the node has not told all yet. */
  untilMs: number | null;
  statementsListed: number;
  statementsTaken: number;
  waiting: number;
  /** By code. */
  refused: Readonly<Record<string, number>>;
  chunksListed: number;
  chunksTaken: number;
}

export interface Inventories extends Omit<InventoryReport, "node" | "sinceMs"> {
  /** Nodes that are online, and those of them that have told all. */
  online: number;
  told: number;
  sinceMs: number | null;
}

/** Of more nodes the refusals are not summed up. */
const REFUSING_NODES_MAX = 1_000;

export function putInventory(sql: SqlStorage, { refused, ...report }: InventoryReport): void {
  sql.exec(
    `INSERT OR REPLACE INTO inventories (node, since, until, statements_listed, statements_taken, waiting, refused,
       chunks_listed, chunks_taken) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    report.node,
    report.sinceMs,
    report.untilMs,
    report.statementsListed,
    report.statementsTaken,
    report.waiting,
    JSON.stringify(refused),
    report.chunksListed,
    report.chunksTaken,
  );
}

export function sumInventories(sql: SqlStorage): Inventories {
  const sums = sql
    .exec<Omit<Inventories, "refused" | "online" | "told">>(
      `SELECT MIN(since) AS sinceMs, MAX(until) AS untilMs, COALESCE(SUM(statements_listed), 0) AS statementsListed,
         COALESCE(SUM(statements_taken), 0) AS statementsTaken, COALESCE(SUM(waiting), 0) AS waiting,
         COALESCE(SUM(chunks_listed), 0) AS chunksListed, COALESCE(SUM(chunks_taken), 0) AS chunksTaken FROM inventories`,
    )
    .one();
  const nodes = sql
    .exec<{ online: number; told: number }>(
      `SELECT COUNT(*) AS online, COUNT(i.until) AS told FROM members m LEFT JOIN inventories i ON i.node = m.id
       WHERE m.online = 1`,
    )
    .one();
  return { ...sums, ...nodes, refused: sumRefused(sql) };
}

function sumRefused(sql: SqlStorage): Record<string, number> {
  const sums: Record<string, number> = {};
  const rows = sql.exec<{ refused: string }>(
    `SELECT refused FROM inventories WHERE refused <> '{}' LIMIT ${REFUSING_NODES_MAX}`,
  );
  for (const { refused } of rows)
    for (const [code, count] of Object.entries(parseRefused(refused))) sums[code] = (sums[code] ?? 0) + count;
  return sums;
}

function parseRefused(text: string): Record<string, number> {
  return JSON.parse(text) as Record<string, number>;
}
