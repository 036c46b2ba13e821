// A shard's way from one leaf to two, while it goes on serving. Its rows are copied to its children a batch at a time; what
// changes meanwhile is logged and copied again; when little is left, that goes with the shard's gate closed, and in one
// transaction the shard is a leaf no more. That write is the only moment at which the range changes hands: before it callers
// know of no child, after it the shard answers nobody. A crash anywhere else leaves a step that is done again.

import { ANCESTOR_DEPTHS, childPrefixes, SHARD_DEPTH_MAX, type ShardPrefix } from "../lib/overlay/shards.ts";
import { MovedError } from "./moved.ts";
import { orAfter } from "./patience.ts";
import { type CopyPair, countRows, readChanges, readTable } from "./shard-copy.ts";
import type { Shard } from "./shard-router.ts";
import type { Splitting, StateOfShard } from "./shard-state.ts";
import { MOVED_TABLES } from "./shard-tables.ts";
import {
  countChanges,
  endLog,
  forgetChanges,
  freeze,
  leafTables,
  loggedChanges,
  permitDeletion,
  startLog,
} from "./split-log.ts";

/** A shard splits by itself when its tables have so many bytes, whatever SPLIT_ROWS says: an object takes 10 GB. */
export const SPLIT_BYTES = 4 * 1024 ** 3;
/** Changes that may be left when the gate is closed for the last of them, */
export const SPLIT_LAST_CHANGES = 256;
/** and how long it stays closed at most; then copying goes on, */
export const SPLIT_GATE_MS = 5_000;
/** and the next attempt is made after this long. */
export const SPLIT_RETRY_MS = 2_000;
/** One alarm copies for so long. */
const RUN_MS = 10_000;
/** What a shard has no use for any more is deleted after this long, as long as a call may take; and how much at a time. */
export const SPLIT_KEPT_MS = 15 * 60_000;
const DROP_ROWS = 2_000;
const DROP_PAUSE_MS = 250;

/** How far a shard is. */
export interface SplitProgress {
  state: "leaf" | "splitting" | "split";
  copied: number;
  rows: number;
}

export interface SplitDeps {
  at: (prefix: ShardPrefix) => Shard;
  /** Makes sure that ledgers have heard where this shard's sums came from; false: not yet. */
  settleOrigins: () => Promise<boolean>;
}

export class ShardSplit {
  readonly #ctx: DurableObjectState;
  readonly #sql: SqlStorage;
  readonly #prefix: ShardPrefix;
  readonly #state: StateOfShard;
  readonly #deps: SplitDeps;

  constructor(ctx: DurableObjectState, prefix: ShardPrefix, state: StateOfShard, deps: SplitDeps) {
    this.#ctx = ctx;
    this.#sql = ctx.storage.sql;
    this.#prefix = prefix;
    this.#state = state;
    this.#deps = deps;
  }

  /** Begins, where this is a leaf that can be split; asked for again, it says how far it is, to the root shard as well. */
  async begin(): Promise<SplitProgress> {
    if (this.#state.get().state === "leaf" && this.#prefix.length < SHARD_DEPTH_MAX) {
      this.#ctx.storage.transactionSync(() => {
        startLog(this.#sql);
        const rows = countRows(this.#sql);
        this.#state.set({ state: "splitting", table: 0, after: null, step: 0, rows, copied: 0 });
      });
    }
    const progress = this.progress();
    if (progress.state === "splitting") await this.#deps.at("").noteSplit(this.#prefix, progress);
    return progress;
  }

  progress(): SplitProgress {
    const state = this.#state.get();
    if (state.state === "splitting") return { state: state.state, copied: state.copied, rows: state.rows };
    return { state: state.state === "split" ? "split" : "leaf", copied: 0, rows: 0 };
  }

  /** What is next to do; returns when to go on, or null where nothing is left. */
  async work(nowMs: number): Promise<number | null> {
    const state = this.#state.get();
    if (state.state === "splitting") return this.#copy(nowMs);
    if (state.state === "leaf") return (await this.#deps.settleOrigins()) ? null : nowMs + SPLIT_RETRY_MS;
    if (state.state === "receiving") return null;
    if (!state.isTold) await this.#tell();
    const dueMs = state.sinceMs + SPLIT_KEPT_MS;
    return nowMs < dueMs ? dueMs : this.#drop(nowMs);
  }

  async #copy(nowMs: number): Promise<number> {
    const untilMs = Date.now() + RUN_MS;
    await this.begin();
    while (Date.now() < untilMs) {
      const state = this.#state.get();
      if (state.state !== "splitting") return nowMs;
      if (state.table < MOVED_TABLES.length) await this.#copyTable(state);
      else if (countChanges(this.#sql) > SPLIT_LAST_CHANGES) await this.#copyChanges();
      else if (!(await this.#deps.settleOrigins()) || !(await this.#end())) return nowMs + SPLIT_RETRY_MS;
    }
    return nowMs;
  }

  async #copyTable(state: Splitting): Promise<void> {
    const table = MOVED_TABLES[state.table];
    if (table === undefined) return;
    const step = this.#nextStep();
    const { pair, rows, after } = readTable(this.#sql, this.#prefix, table, state.after, step);
    await this.#send(pair);
    this.#advance({
      table: after === null ? state.table + 1 : state.table,
      after: after?.map(parseKeyValue) ?? null,
      copied: state.copied + rows,
    });
  }

  /** False where there was none. */
  async #copyChanges(): Promise<boolean> {
    const logged = loggedChanges(this.#sql, SPLIT_LAST_CHANGES);
    if (logged.length === 0) return false;
    const { pair, changes } = readChanges(this.#sql, this.#prefix, logged, this.#nextStep());
    await this.#send(pair);
    forgetChanges(this.#sql, changes);
    return true;
  }

  /** False where it took too long, or failed: then nothing has changed hands. */
  #end(): Promise<boolean> {
    // What throws in here would reset the object.
    return this.#ctx.blockConcurrencyWhile(async () => {
      try {
        const untilMs = Date.now() + SPLIT_GATE_MS;
        const copying = async () => {
          while (Date.now() < untilMs && (await this.#copyChanges()));
        };
        await orAfter(copying(), SPLIT_GATE_MS);
        return this.#commit();
      } catch (error) {
        console.warn(`shard ${this.#prefix} goes on copying: ${error}`);
        return false;
      }
    });
  }

  /** False where something is left that the children do not have. */
  #commit(): boolean {
    return this.#ctx.storage.transactionSync(() => {
      if (countChanges(this.#sql) > 0) return false;
      endLog(this.#sql);
      freeze(this.#sql, this.#prefix, this.#unusedTables());
      this.#state.set({ state: "split", sinceMs: Date.now(), isTold: false });
      return true;
    });
  }

  /** The children take over by themselves when they are first called; this makes sure that they begin their duties. */
  async #tell(): Promise<void> {
    await Promise.all(childPrefixes(this.#prefix).map((child) => this.#deps.at(child).takeOver()));
    await this.#deps.at("").noteSplit(this.#prefix, this.progress());
    const state = this.#state.get();
    if (state.state === "split") this.#state.set({ ...state, isTold: true });
  }

  /** One batch; returns when the next is due, or null where none is left. */
  #drop(nowMs: number): number | null {
    for (const table of this.#unusedTables()) {
      permitDeletion(this.#sql, table);
      const { key } = primaryKey(this.#sql, table);
      const { rowsWritten } = this.#sql.exec(
        `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} LIMIT ${DROP_ROWS})`,
      );
      if (rowsWritten > 0) return nowMs + DROP_PAUSE_MS;
    }
    return null;
  }

  /** A shard whose prefix is an ancestor's keeps its members, for those below. */
  #unusedTables(): string[] {
    return leafTables(ANCESTOR_DEPTHS.some((bits) => bits === this.#prefix.length));
  }

  #nextStep(): number {
    const state = this.#state.get();
    if (state.state !== "splitting") throw new MovedError(this.#prefix);
    this.#state.set({ ...state, step: state.step + 1 });
    return state.step + 1;
  }

  #advance(changes: Partial<Splitting>): void {
    const state = this.#state.get();
    if (state.state === "splitting") this.#state.set({ ...state, ...changes });
  }

  /** Both have it when this returns; also what is empty, by which a child learns that it is to be one. */
  async #send(pair: CopyPair): Promise<void> {
    const children = childPrefixes(this.#prefix);
    await Promise.all(
      pair.map(async (batch, i) => {
        const child = children[i];
        if (child !== undefined) await this.#deps.at(child).receive(batch);
      }),
    );
  }
}

function primaryKey(sql: SqlStorage, table: string): { key: string } {
  const columns = sql
    .exec<{ name: string }>("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table)
    .toArray();
  return { key: columns.map(({ name }) => name).join(", ") };
}

// Keys of the tables that move are text.
function parseKeyValue(value: SqlStorageValue): string | number {
  if (typeof value === "string" || typeof value === "number") return value;
  throw new TypeError("a key that is neither text nor a number");
}
