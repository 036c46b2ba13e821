// What changes in a shard while its rows are copied to its children, kept by triggers: so that no method has to think of it.
// And triggers that let nothing change any more once the children have the rows: a method that has waited meanwhile fails
// with `moved`, and whoever called it calls the child.

import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { movedMessage } from "./moved.ts";
import { CARRIED_TABLES, LEFT_TABLES, MOVED_TABLES } from "./shard-tables.ts";

const EVENTS = ["INSERT", "UPDATE", "DELETE"] as const;
type Event = (typeof EVENTS)[number];

export interface LoggedChange {
  table: string;
  key: SqlStorageValue[];
  /** The key as it is logged. */
  text: string;
  /** How often it changed: a row that has changed again has to be copied again. */
  times: number;
}

export function startLog(sql: SqlStorage): void {
  sql.exec("DELETE FROM split_changes");
  for (const { name, key } of MOVED_TABLES) {
    for (const event of EVENTS) {
      const sides = event === "INSERT" ? ["NEW"] : event === "DELETE" ? ["OLD"] : ["OLD", "NEW"];
      const inserts = sides.map(
        (side) =>
          `INSERT INTO split_changes (tbl, key, times)
           VALUES ('${name}', json_array(${key.map((column) => `${side}.${column}`).join(", ")}), 1)
           ON CONFLICT DO UPDATE SET times = times + 1;`,
      );
      sql.exec(
        `CREATE TRIGGER IF NOT EXISTS ${triggerName("log", name, event)} AFTER ${event} ON ${name}
         BEGIN ${inserts.join(" ")} END`,
      );
    }
  }
}

export function endLog(sql: SqlStorage): void {
  for (const { name } of MOVED_TABLES)
    for (const event of EVENTS) sql.exec(`DROP TRIGGER IF EXISTS ${triggerName("log", name, event)}`);
  sql.exec("DELETE FROM split_changes");
}

export function loggedChanges(sql: SqlStorage, limit: number): LoggedChange[] {
  return sql
    .exec<{ tbl: string; key: string; times: number }>(
      "SELECT tbl, key, times FROM split_changes ORDER BY tbl, key LIMIT ?",
      limit,
    )
    .toArray()
    .map(({ tbl, key, times }) => ({ table: tbl, key: parseKey(key), text: key, times }));
}

/** These were copied. What has changed meanwhile stays. */
export function forgetChanges(sql: SqlStorage, changes: readonly LoggedChange[]): void {
  for (const { table, text, times } of changes)
    sql.exec("DELETE FROM split_changes WHERE tbl = ? AND key = ? AND times = ?", table, text, times);
}

export function countChanges(sql: SqlStorage): number {
  return sql.exec<{ rows: number }>("SELECT COUNT(*) AS rows FROM split_changes").one().rows;
}

/** Tables whose rows a shard of this prefix has no use for once it is split; a shard above its children keeps its members. */
export function leafTables(keepsMembers: boolean): string[] {
  const moved = MOVED_TABLES.map(({ name }) => name);
  return [...moved, ...CARRIED_TABLES, ...LEFT_TABLES].filter((name) => !keepsMembers || name !== "members");
}

export function freeze(sql: SqlStorage, prefix: ShardPrefix, tables: readonly string[]): void {
  for (const table of tables) {
    for (const event of EVENTS)
      sql.exec(
        `CREATE TRIGGER IF NOT EXISTS ${triggerName("end", table, event)} BEFORE ${event} ON ${table}
         BEGIN SELECT RAISE(ABORT, '${movedMessage(prefix)}'); END`,
      );
  }
}

/** Rows may be deleted again, and still none written. */
export function permitDeletion(sql: SqlStorage, table: string): void {
  sql.exec(`DROP TRIGGER IF EXISTS ${triggerName("end", table, "DELETE")}`);
}

function triggerName(purpose: "log" | "end", table: string, event: Event): string {
  return `split_${purpose}_${table}_${event.toLowerCase()}`;
}

// Written by the triggers of startLog only.
function parseKey(text: string): SqlStorageValue[] {
  return JSON.parse(text) as SqlStorageValue[];
}
