// How a split ends: what callers notice of the closed gate, and what becomes of the rows that a split shard has no use for.

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { ShardRouter } from "../../durable-objects/shard-router.ts";
import { ShardSplit, SPLIT_KEPT_MS } from "../../durable-objects/shard-split.ts";
import { type Splitting, StateOfShard } from "../../durable-objects/shard-state.ts";
import { leafTables } from "../../durable-objects/split-log.ts";
import { indexStatements } from "../../durable-objects/statements-table.ts";
import { parseDomain } from "../../lib/names.ts";
import { ANCESTOR_DEPTHS, childPrefixes } from "../../lib/overlay/shards.ts";
import { addRows, hashIn, newLeaf, rowsOf, rowTexts, shardAt, splitShard } from "./split-scene.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
/** More than are deleted at a time. */
const MANY_ROWS = 4_500;
const ALARMS_MAX = 200;
const PATIENCE = { timeout: 20_000, interval: 50 };
const DOMAIN = parseDomain("example.org");

/** The holders of a chunk, asked for as every caller does that knows of no split. */
function locate(prefix: string, chunk: ReturnType<typeof hashIn>) {
  const router = new ShardRouter(env.PARTITION_SHARD, prefix.length);
  return router.ask(chunk, (shard) => shard.locate([chunk]));
}

/** Brings a split as far as it comes before the gate is closed. */
async function copyAll(prefix: string): Promise<void> {
  await runInDurableObject(shardAt(prefix), async (_, ctx) => {
    const deps = { at: shardAt, settleOrigins: async () => false };
    const split = new ShardSplit(ctx, prefix, new StateOfShard(ctx.storage.sql), deps);
    await split.begin();
    await split.work(Date.now());
  });
  // What the shard remembers of itself is older.
  await evictDurableObject(shardAt(prefix));
}

/** Throws where the shard is not being copied. */
async function splittingOf(prefix: string): Promise<Splitting> {
  return runInDurableObject(shardAt(prefix), (_, { storage }) => {
    const state = new StateOfShard(storage.sql).get();
    if (state.state === "splitting") return state;
    throw new Error(`the shard is ${state.state}`);
  });
}

describe("the gate of a split", () => {
  test("opens where a child does not answer: calls that waited are answered, and copying goes on", async () => {
    const prefix = newLeaf();
    const [child] = childPrefixes(prefix);
    await addRows(prefix, SEEDS);
    await copyAll(prefix);
    // Of what is left for the gate, a row that has just come.
    await addRows(prefix, [...SEEDS, SEEDS.length + 1]);
    const before = await rowTexts(prefix);
    const chunks = SEEDS.map((seed) => hashIn(prefix, `chunk ${seed}`));
    const { step } = await splittingOf(prefix);
    const silence = Promise.withResolvers<void>();
    const silent = runInDurableObject(shardAt(child), (_, ctx) =>
      ctx.blockConcurrencyWhile(() => silence.promise),
    );
    await shardAt(prefix).split();
    const answers = Promise.all(chunks.map((chunk) => locate(prefix, chunk)));
    // Nobody reads this with the gate closed: it has been, and is open again.
    await vi.waitUntil(async () => (await splittingOf(prefix)).step > step, PATIENCE);
    const expected = chunks.map((chunk) => [{ chunk, holders: [expect.any(String)] }]);
    expect(await answers).toMatchObject(expected);
    silence.resolve();
    await silent;
    await splitShard(prefix);
    const parts = await Promise.all(childPrefixes(prefix).map(rowTexts));
    for (const table of ["holders", "versions", "members"])
      expect(parts.flatMap((part) => part.get(table) ?? []).sort()).toEqual(before.get(table));
    expect(await Promise.all(chunks.map((chunk) => locate(prefix, chunk)))).toMatchObject(expected);
  });
});

/** How many rows are left in these tables. */
async function countRows(prefix: string, tables: string[]): Promise<number> {
  const rows = await Promise.all(tables.map((table) => rowsOf(prefix, table)));
  return rows.flat().length;
}

/** When the shard goes on with its split; null: not any more. */
async function splitDueMs(prefix: string): Promise<number | null> {
  const duty = (await rowsOf(prefix, "duties")).find(({ name }) => name === "split");
  return duty === undefined ? null : Number(duty.due);
}

/** Has the shard do what is due next, whenever that is, until it has dropped its rows; how many were left each time. */
async function dropRows(prefix: string, tables: string[]): Promise<number[]> {
  const left: number[] = [];
  for (let alarms = 0; alarms < ALARMS_MAX && (await splitDueMs(prefix)) !== null; alarms++) {
    await runDurableObjectAlarm(shardAt(prefix));
    left.push(await countRows(prefix, tables));
  }
  return left;
}

describe("the rows of a shard that is split", () => {
  test("stay for as long as a call may take, and are deleted then, some at a time; the children have them", async () => {
    const prefix = newLeaf();
    const tables = leafTables(false);
    await addRows(prefix, SEEDS);
    await runInDurableObject(shardAt(prefix), (_, { storage: { sql } }) => {
      for (let i = 0; i < MANY_ROWS; i++) {
        const nameHash = hashIn(prefix, "a name");
        indexStatements(sql, [{ id: hashIn(prefix, `statement ${i}`), nameHash, domain: DOMAIN }]);
      }
    });
    const before = await countRows(prefix, tables);
    await splitShard(prefix);
    const inChildren = () =>
      Promise.all(childPrefixes(prefix).map((child) => countRows(child, ["statement_index", "holders"])));
    const children = await inChildren();
    expect(children.reduce((sum, rows) => sum + rows)).toBe(MANY_ROWS + 2 * SEEDS.length);
    const isTold = async () =>
      ((await splitDueMs(prefix)) ?? 0) > Date.now() + SPLIT_KEPT_MS - PATIENCE.timeout;
    await vi.waitUntil(isTold, PATIENCE);
    expect(await countRows(prefix, tables)).toBe(before);
    const left = await dropRows(prefix, tables);
    expect(left.at(-1)).toBe(0);
    expect(new Set(left).size).toBeGreaterThan(2);
    expect(await inChildren()).toEqual(children);
    // Empty, and still no leaf.
    expect(await shardAt(prefix).locate([])).toEqual({ moved: prefix });
  });

  test("that is above its children are deleted without its members, which it keeps for those below", async () => {
    const prefix = "1".repeat(ANCESTOR_DEPTHS[1]);
    await addRows(prefix, SEEDS);
    const members = await rowsOf(prefix, "members");
    await splitShard(prefix);
    await dropRows(prefix, leafTables(true));
    expect(await countRows(prefix, leafTables(true))).toBe(0);
    expect(await rowsOf(prefix, "members")).toEqual(members);
    const { members: closest } = await shardAt(prefix).closest(hashIn(prefix, "a target"), 20, "above");
    expect(closest.map(({ id }) => id)).toEqual(
      members.filter(({ online }) => online === 1).map(({ id }) => id),
    );
  });
});
