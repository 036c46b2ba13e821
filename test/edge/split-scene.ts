// Shards that split, for tests: leaves of a depth that nobody else in the tests uses, rows for every table, and what became of
// them.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { MOVED_TABLES, type MovedTable, type Row } from "../../durable-objects/shard-tables.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { childPrefixes, leafPrefix, SHARD_DEPTH_MAX, shardName } from "../../lib/overlay/shards.ts";

const PATIENCE = { timeout: 30_000, interval: 20 };
const DEPTH = 8;
let leaves = 0;

export const hashOf = (text: string): Hash => hashBytes(new Uint8Array(new TextEncoder().encode(text)));
export const shardAt = (prefix: string) => env.PARTITION_SHARD.getByName(shardName(prefix));

/** A leaf that no test has used. */
export function newLeaf(): string {
  return (leaves++).toString(2).padStart(DEPTH, "0");
}

/** A hash that begins with these bits, and is another for each label. */
export function hashIn(prefix: string, label: string): Hash {
  const hash = hashOf(label);
  const bits = Number.parseInt(hash.slice(0, 4), 16).toString(2).padStart(16, "0");
  const digits = Number.parseInt(prefix + bits.slice(prefix.length), 2)
    .toString(16)
    .padStart(4, "0");
  return `${digits}${hash.slice(4)}` as Hash;
}

const found = new Map<string, string>();

/** The first text, of these numbered, whose hash belongs to the shard. */
function textIn(prefix: string, text: (i: number) => string): string {
  const key = `${prefix} ${text(0)}`;
  for (let i = 0; !found.has(key); i++)
    if (leafPrefix(hashOf(text(i)), prefix.length) === prefix) found.set(key, text(i));
  return found.get(key) ?? "";
}

/** A domain whose shard is inside this one. */
export function domainIn(prefix: string, label: string): Domain {
  return parseDomain(textIn(prefix, (i) => `${label}-${i}.example.org`));
}

/** Has a shard split, and waits until its children are in its place. */
export async function splitShard(prefix: string): Promise<void> {
  await vi.waitUntil(async () => (await shardAt(prefix).split()).state === "split", PATIENCE);
  await Promise.all(childPrefixes(prefix).map((child) => shardAt(child).locate([])));
}

export async function rowsOf(prefix: string, table: string): Promise<Row[]> {
  return runInDurableObject(shardAt(prefix), (_, { storage }) =>
    storage.sql.exec<Row>(`SELECT * FROM ${table}`).toArray(),
  );
}

/** All rows of all tables that move, as text that can be compared. */
export async function rowTexts(prefix: string): Promise<Map<string, string[]>> {
  const rows = await Promise.all(
    MOVED_TABLES.map(
      async ({ name }): Promise<[string, string[]]> => [
        name,
        (await rowsOf(prefix, name)).map(textOf).sort(),
      ],
    ),
  );
  return new Map(rows);
}

export function textOf(row: Row): string {
  return JSON.stringify(row, (_, value) =>
    value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value,
  );
}

/** The child that a row belongs to. */
export function homeOf(prefix: string, { home }: MovedTable, row: Row): string {
  if (home === null) throw new TypeError("both have it");
  const child = leafPrefix(home(row), SHARD_DEPTH_MAX).slice(0, prefix.length + 1);
  if (!childPrefixes(prefix).includes(child)) throw new RangeError(`${child} is no child of ${prefix}`);
  return child;
}

/** Columns that a parser reads; no repair is due, and no pin ends. */
const VALID: Record<string, SqlStorageValue> = {
  ...{ domains: '"all"', events: "[]", keepers: "[]", hours: null },
  ...{ due: Date.parse("2100-01-01"), until: Date.parse("2100-01-01") },
};

/** Writes a row of arbitrary values that belongs into this shard. */
export async function addRows(prefix: string, seeds: readonly number[]): Promise<void> {
  await runInDurableObject(shardAt(prefix), (_, { storage: { sql } }) => {
    for (const seed of seeds) for (const table of MOVED_TABLES) addRow(sql, prefix, table, seed);
  });
}

function addRow(sql: SqlStorage, prefix: string, table: MovedTable, seed: number): void {
  const columns = sql
    .exec<{ name: string; type: string }>("SELECT name, type FROM pragma_table_info(?)", table.name)
    .toArray();
  const values = columns.map(({ name, type }) => cellOf(prefix, name, type, seed));
  sql.exec(
    `INSERT OR REPLACE INTO ${table.name} (${columns.map(({ name }) => name).join(", ")})
     VALUES (${columns.map(() => "?").join(", ")})`,
    ...values,
  );
  if (table.along === undefined) return;
  const manifest = values[columns.findIndex(({ name }) => name === table.along?.column)];
  const bytes = new Uint8Array([seed % 256, 1, 2]);
  sql.exec("INSERT OR IGNORE INTO manifests (hash, bytes) VALUES (?, ?)", manifest, bytes);
}

const HASH_COLUMNS = ["id", "chunk", "node", "name_hash"];

function cellOf(prefix: string, column: string, type: string, seed: number): SqlStorageValue {
  if (column in VALID) return VALID[column] ?? null;
  if (HASH_COLUMNS.includes(column)) return hashIn(prefix, `${column} ${seed}`);
  if (column === "domain") return domainIn(prefix, `d${seed % 5}`);
  // A TXT name: its own hash says where it belongs.
  if (column === "name") return textIn(prefix, (i) => `_holdfast.${i}-${seed % 20}.example`);
  // Two names may have one Manifest.
  if (column === "manifest") return hashOf(`manifest ${seed >> 1}`);
  if (column === "shard") return leafPrefix(hashOf(`shard ${seed}`), 4);
  if (type === "BLOB") return new Uint8Array([seed % 256, 0, 255]).buffer;
  return type === "TEXT" ? `${column} ${seed} ' " \u00e9` : seed;
}
