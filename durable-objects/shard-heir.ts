// A shard that is to take its parent's place: it writes the rows that it is given, and serves nobody before the parent says
// that it is split itself. Whoever calls it first, caller or parent, makes it ask.

import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { readSetting, writeSetting } from "./settings-table.ts";
import { type CopyBatch, writeBatch } from "./shard-copy.ts";
import type { Shard } from "./shard-router.ts";
import type { StateOfShard } from "./shard-state.ts";
import { divideTotals } from "./total-origins.ts";

/** Settings of a parent that hold for its children. What counts what was done goes to one. */
const INHERITED_SETTINGS = { both: ["born-at", "filling-at"], first: ["repaired"] };

/** What a parent leaves beside its rows. */
export interface Inheritance {
  settings: { key: string; value: string }[];
}

export class ShardHeir {
  readonly #storage: DurableObjectStorage;
  readonly #prefix: ShardPrefix;
  readonly #state: StateOfShard;
  readonly #parent: () => Shard;

  constructor(
    storage: DurableObjectStorage,
    prefix: ShardPrefix,
    state: StateOfShard,
    at: (prefix: ShardPrefix) => Shard,
  ) {
    this.#storage = storage;
    this.#prefix = prefix;
    this.#state = state;
    this.#parent = () => at(prefix.slice(0, -1));
  }

  /** Writes a batch. Throws for one that comes after a later one: its parent must not take it for written. */
  receive(batch: CopyBatch): void {
    this.#storage.transactionSync(() => {
      const state = this.#state.get();
      const isNew = state.state === "leaf" && !this.#state.isSet();
      if (state.state !== "receiving" && !isNew)
        throw new Error(`shard ${this.#prefix} has taken over already`);
      if (state.state === "receiving" && batch.step <= state.step) throw new Error("a batch that came late");
      writeBatch(this.#storage.sql, batch);
      this.#state.set({ state: "receiving", step: batch.step });
    });
  }

  /** Throws where the parent is not split. */
  async takeOver(): Promise<void> {
    if (this.#state.get().state !== "receiving") return;
    const { settings } = await this.#parent().handOver(this.#prefix);
    this.#storage.transactionSync(() => {
      // Two that called at once have both asked.
      if (this.#state.get().state !== "receiving") return;
      divideTotals(this.#storage.sql, this.#prefix);
      for (const { key, value } of settings) writeSetting(this.#storage.sql, key, value);
      this.#state.set({ state: "leaf" });
    });
  }
}

/** Parent, once it is split: what a child is to have beside the rows. */
export function inheritanceOf(sql: SqlStorage, child: ShardPrefix): Inheritance {
  const keys = [...INHERITED_SETTINGS.both, ...(child.endsWith("0") ? INHERITED_SETTINGS.first : [])];
  return {
    settings: keys.flatMap((key) => {
      const value = readSetting(sql, key);
      return value === null ? [] : [{ key, value }];
    }),
  };
}
