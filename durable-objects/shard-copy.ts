// Rows on their way from a shard to its children: read in the order of their keys or by what was logged, divided by where
// they belong, and written as they are.

import { leafPrefix, SHARD_DEPTH_MAX, type ShardPrefix } from "../lib/overlay/shards.ts";
import { MOVED_TABLES, type MovedTable, movedTable, type Row } from "./shard-tables.ts";
import type { LoggedChange } from "./split-log.ts";

/** Rows that one message carries to a child, */
export const SPLIT_BATCH_ROWS = 500;
/** and about so many bytes: a call takes 32 MiB at most, and a row with its Manifest may have 3. */
export const SPLIT_BATCH_BYTES = 4 * 1024 * 1024;
const VALUE_BYTES = 8;

/** What a child writes, in this order. */
export interface CopyBatch {
  step: number;
  rows: { table: string; row: Row }[];
  /** Keys of rows that are no more. */
  gone: { table: string; key: SqlStorageValue[] }[];
}
/** Of both children, the one with the 0 first. */
export type CopyPair = [CopyBatch, CopyBatch];

export interface Reading {
  pair: CopyPair;
  rows: number;
  /** The last row's key; null: there are no more in the table. */
  after: SqlStorageValue[] | null;
}

/** The rows of a table that follow the key `after`. */
export function readTable(
  sql: SqlStorage,
  prefix: ShardPrefix,
  table: MovedTable,
  after: SqlStorageValue[] | null,
  step: number,
): Reading {
  const pair = emptyPair(step);
  const key = table.key.join(", ");
  const from = after === null ? "" : `WHERE (${key}) > (${after.map(() => "?").join(", ")})`;
  const cursor = sql.exec<Row>(
    `SELECT * FROM ${table.name} ${from} ORDER BY ${key} LIMIT ${SPLIT_BATCH_ROWS}`,
    ...(after ?? []),
  );
  let [rows, bytes, last] = [0, 0, after];
  for (const row of cursor) {
    bytes += addRow(sql, prefix, pair, table, row);
    rows += 1;
    last = table.key.map((column) => row[column] ?? null);
    if (bytes >= SPLIT_BATCH_BYTES) return { pair, rows, after: last };
  }
  return { pair, rows, after: rows < SPLIT_BATCH_ROWS ? null : last };
}

/** The rows that were logged, as they are now; fewer where they are large. `changes`: those that are in the batches. */
export function readChanges(
  sql: SqlStorage,
  prefix: ShardPrefix,
  logged: readonly LoggedChange[],
  step: number,
): { pair: CopyPair; changes: LoggedChange[] } {
  const pair = emptyPair(step);
  let bytes = 0;
  const changes: LoggedChange[] = [];
  for (const change of logged) {
    if (bytes >= SPLIT_BATCH_BYTES) break;
    const table = movedTable(change.table);
    const where = table.key.map((column) => `${column} = ?`).join(" AND ");
    const [row] = sql.exec<Row>(`SELECT * FROM ${table.name} WHERE ${where}`, ...change.key).toArray();
    if (row !== undefined) bytes += addRow(sql, prefix, pair, table, row);
    else for (const batch of pair) batch.gone.push({ table: table.name, key: change.key });
    changes.push(change);
  }
  return { pair, changes };
}

export function writeBatch(sql: SqlStorage, { rows, gone }: CopyBatch): void {
  for (const { table, row } of rows) {
    const columns = Object.keys(row);
    sql.exec(
      `INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
      ...Object.values(row),
    );
  }
  for (const { table, key } of gone) {
    const where = movedTable(table).key.map((column) => `${column} = ?`);
    sql.exec(`DELETE FROM ${table} WHERE ${where.join(" AND ")}`, ...key);
  }
}

export function countRows(sql: SqlStorage): number {
  return MOVED_TABLES.reduce(
    (sum, { name }) => sum + sql.exec<{ rows: number }>(`SELECT COUNT(*) AS rows FROM ${name}`).one().rows,
    0,
  );
}

function emptyPair(step: number): CopyPair {
  return [
    { step, rows: [], gone: [] },
    { step, rows: [], gone: [] },
  ];
}

/** Returns about how many bytes it added. */
function addRow(sql: SqlStorage, prefix: ShardPrefix, pair: CopyPair, table: MovedTable, row: Row): number {
  const rows = [...alongOf(sql, table, row), { table: table.name, row }];
  for (const batch of batchesOf(prefix, pair, table, row)) batch.rows.push(...rows);
  return rows.reduce((sum, one) => sum + bytesOf(one.row), 0);
}

function alongOf(sql: SqlStorage, { along }: MovedTable, row: Row): { table: string; row: Row }[] {
  if (along === undefined) return [];
  return sql
    .exec<Row>(`SELECT * FROM ${along.table} WHERE ${along.key} = ?`, row[along.column] ?? null)
    .toArray()
    .map((other) => ({ table: along.table, row: other }));
}

function batchesOf(prefix: ShardPrefix, pair: CopyPair, { home }: MovedTable, row: Row): CopyBatch[] {
  if (home === null) return pair;
  const bit = leafPrefix(home(row), SHARD_DEPTH_MAX).charAt(prefix.length);
  return [pair[bit === "0" ? 0 : 1]];
}

function bytesOf(row: Row): number {
  return Object.values(row).reduce<number>((sum, value) => {
    if (value instanceof ArrayBuffer) return sum + value.byteLength;
    return sum + (typeof value === "string" ? value.length : VALUE_BYTES);
  }, 0);
}
