// What a shard is just now: a leaf that serves its range; one that is being copied to its children and goes on serving;
// one that is split, and serves it no more; or a child that is given its rows. It changes in the same transaction as what
// makes it true.

import * as v from "valibot";
import { countSchema, parseWith } from "../lib/schema.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

const SETTING = "shard-state";

const stateSchema = v.variant("state", [
  v.strictObject({ state: v.literal("leaf") }),
  v.strictObject({
    state: v.literal("splitting"),
    /** The table of MOVED_TABLES that is being copied, and the key of the last row that was; past the last table, all are. */
    table: countSchema,
    after: v.nullable(v.array(v.union([v.string(), v.number()]))),
    /** Counts what is sent: an older message that comes late changes nothing. */
    step: countSchema,
    rows: countSchema,
    copied: countSchema,
  }),
  v.strictObject({
    state: v.literal("split"),
    sinceMs: v.number(),
    /** Whether the children, and the root shard, have heard of it. */
    isTold: v.boolean(),
  }),
  v.strictObject({ state: v.literal("receiving"), step: countSchema }),
]);
export type ShardState = v.InferOutput<typeof stateSchema>;
export type Splitting = Extract<ShardState, { state: "splitting" }>;

export class StateOfShard {
  readonly #sql: SqlStorage;
  /** A copy of what is stored; null: not read yet. */
  #known: ShardState | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get(): ShardState {
    this.#known ??= read(this.#sql);
    return this.#known;
  }

  /** False for a shard that never was anything but a leaf, or nothing at all. */
  isSet(): boolean {
    return readSetting(this.#sql, SETTING) !== null;
  }

  /** Within a transaction: what is rolled back is read again. */
  set(state: ShardState): void {
    this.#known = null;
    writeSetting(this.#sql, SETTING, JSON.stringify(state));
  }

  /** It serves its range. */
  isOwner(): boolean {
    const { state } = this.get();
    return state === "leaf" || state === "splitting";
  }
}

function read(sql: SqlStorage): ShardState {
  const text = readSetting(sql, SETTING);
  return text === null ? { state: "leaf" } : parseWith(stateSchema, JSON.parse(text), "internal");
}
