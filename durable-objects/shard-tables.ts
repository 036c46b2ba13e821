// Where the rows of a shard go when it is split, table by table. A table that is missing here fails a test: whoever adds one to
// the schema says whose its rows are.

import { type Hash, hashBytes } from "../lib/hash.ts";
import { domainHashOf, parseDomain } from "../lib/names.ts";

export type Row = Record<string, SqlStorageValue>;

/** A table whose rows go to the children. */
export interface MovedTable {
  name: string;
  /** The columns of its primary key. */
  key: readonly string[];
  /** By what a row belongs to one child; null: both have it. */
  home: ((row: Row) => Hash) | null;
  /** Rows of another table that go along with each: those whose `key` is in `column`. */
  along?: { table: string; key: string; column: string };
}

export const MOVED_TABLES: readonly MovedTable[] = [
  {
    name: "versions",
    key: ["id"],
    home: byHash("name_hash"),
    // A Manifest goes where its Versions are: with each, because two names may have the same.
    along: { table: "manifests", key: "hash", column: "manifest" },
  },
  { name: "removals", key: ["id"], home: byHash("name_hash") },
  { name: "outbox", key: ["number"], home: byHash("name_hash") },
  { name: "elsewhere", key: ["name_hash", "domain", "id", "peer"], home: byHash("name_hash") },
  { name: "statement_index", key: ["id"], home: byHash("id") },
  { name: "holders", key: ["chunk", "node"], home: byHash("chunk") },
  { name: "refs", key: ["chunk", "domain", "name_hash", "manifest"], home: byHash("chunk") },
  { name: "pins", key: ["chunk", "domain"], home: byHash("chunk") },
  { name: "charges", key: ["chunk", "domain"], home: byHash("chunk") },
  { name: "repairs", key: ["chunk"], home: byHash("chunk") },
  { name: "suspects", key: ["chunk", "node"], home: byHash("chunk") },
  { name: "members", key: ["id"], home: byHash("id") },
  { name: "standings", key: ["node"], home: byHash("node") },
  { name: "node_ledger", key: ["node"], home: byHash("node") },
  { name: "node_shards", key: ["node", "shard"], home: byHash("node") },
  { name: "dnssec", key: ["name"], home: (row) => hashBytes(new TextEncoder().encode(String(row.name))) },
  { name: "ledger", key: ["domain", "shard"], home: byDomain },
  { name: "keepers", key: ["domain", "shard"], home: byDomain },
  // Sums over both: each child divides them when it takes over (total-origins.ts).
  { name: "domain_totals", key: ["domain"], home: null },
];

/** Tables that go along with others. */
export const CARRIED_TABLES = ["manifests"];
/** What a shard knows of itself as a leaf: nothing to its children. */
export const LEFT_TABLES = ["keepers_told", "total_origins", "peers"];
/** What it is for others, or for itself, whatever becomes of its leaf. */
export const KEPT_TABLES = [
  "migrations",
  "settings",
  "duties",
  "split_changes",
  "reports",
  "behind",
  "inventories",
  "splits",
  "denials",
  "operator_statements",
  "crowded",
];

export function movedTable(name: string): MovedTable {
  const table = MOVED_TABLES.find((one) => one.name === name);
  if (table === undefined) throw new TypeError(`no rows of ${name} move`);
  return table;
}

function byHash(column: string): (row: Row) => Hash {
  return (row) => row[column] as Hash;
}

function byDomain(row: Row): Hash {
  return domainHashOf(parseDomain(String(row.domain)));
}
