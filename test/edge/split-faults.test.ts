// A split that is broken off at every message, before it arrives or before its answer does; evictions; and late messages.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { type Shard, ShardRouter } from "../../durable-objects/shard-router.ts";
import { ShardSplit } from "../../durable-objects/shard-split.ts";
import { StateOfShard } from "../../durable-objects/shard-state.ts";
import { childPrefixes } from "../../lib/overlay/shards.ts";
import { addRows, hashIn, newLeaf, rowsOf, rowTexts, shardAt, splitShard } from "./split-scene.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
/** Of a whole split, which has two for each table and some: the first, some between, and all from the last changes on. */
const MESSAGES = [0, 1, 2, 3, 8, 13, 21, ...Array.from({ length: 30 }, (_, i) => 31 + i)];

/** Stubs of which every call is counted, and the one with number `at` fails. */
function failing(at: number, when: "before" | "after") {
  const counted = { calls: 0 };
  const stub = (prefix: string): Shard => {
    const shard: object = shardAt(prefix);
    const get = (_: Shard, method: string) => {
      return async (...args: unknown[]) => {
        const isLost = counted.calls++ === at;
        if (isLost && when === "before") throw new Error("the message was lost");
        const answer: unknown = await Reflect.apply(Reflect.get(shard, method), shard, args);
        if (isLost) throw new Error("the answer was lost");
        return answer;
      };
    };
    return new Proxy<Shard>({} as Shard, { get });
  };
  return { counted, stub };
}

/** One life of a shard that splits; true where it came to its end. What it has in memory ends with it. */
async function live(prefix: string, stub: (prefix: string) => Shard): Promise<boolean> {
  return runInDurableObject(shardAt(prefix), async (_, ctx) => {
    const state = new StateOfShard(ctx.storage.sql);
    const split = new ShardSplit(ctx, prefix, state, { at: stub, settleOrigins: async () => true });
    await split.begin().catch(() => undefined);
    await split.work(Date.now()).catch(() => undefined);
    await split.work(Date.now()).catch(() => undefined);
    const now = state.get();
    return now.state === "split" && now.isTold;
  });
}

async function expectWhole(prefix: string, before: Map<string, string[]>): Promise<void> {
  const parts = await Promise.all(childPrefixes(prefix).map(rowTexts));
  for (const [table, texts] of before) {
    if (table === "domain_totals") continue;
    const found = parts.flatMap((part) => part.get(table) ?? []);
    expect([table, found.sort()]).toEqual([table, texts]);
  }
}

describe("a split that is broken off", () => {
  test.each(["before", "after"] as const)(
    "at any message, %s it arrived, is gone on with, and loses and doubles nothing",
    async (when) => {
      for (const at of MESSAGES) {
        const prefix = newLeaf();
        await addRows(prefix, SEEDS);
        const before = await rowTexts(prefix);
        const chunk = hashIn(prefix, "chunk 1");
        const { counted, stub } = failing(at, when);
        await live(prefix, stub);
        // What the evicted shard had in memory is gone.
        await evictDurableObject(shardAt(prefix));
        expect(
          await new ShardRouter(env.PARTITION_SHARD, prefix.length).ask(chunk, (shard) =>
            shard.locate([chunk]),
          ),
        ).toMatchObject([{ holders: [expect.any(String)] }]);
        for (let lives = 0; lives < 4 && !(await live(prefix, shardAt)); lives++);
        await splitShard(prefix);
        await expectWhole(prefix, before);
        if (counted.calls <= at) return;
      }
      throw new Error("a split takes fewer messages");
    },
  );

  test("is asked for twice at once, and splits once", async () => {
    const prefix = newLeaf();
    await addRows(prefix, SEEDS);
    const before = await rowTexts(prefix);
    await Promise.all([shardAt(prefix).split(), shardAt(prefix).split(), splitShard(prefix)]);
    await splitShard(prefix);
    await expectWhole(prefix, before);
  });
});

describe("a child", () => {
  test("does not take a message that comes late for the newest, and says so", async () => {
    const prefix = newLeaf();
    const [child] = childPrefixes(prefix);
    const row = { id: hashIn(child, "late"), name_hash: hashIn(child, "late"), domain: "example.org" };
    const rows = [{ table: "statement_index", row }];
    const answer = (step: number, gone: boolean) =>
      runInDurableObject(shardAt(child), (instance) =>
        instance
          .receive({
            step,
            rows: gone ? [] : rows,
            gone: gone ? [{ table: "statement_index", key: [row.id] }] : [],
          })
          .then(
            () => "written",
            () => "refused",
          ),
      );
    expect(await answer(1, false)).toBe("written");
    expect(await answer(3, true)).toBe("written");
    expect(await answer(2, false)).toBe("refused");
    await evictDurableObject(shardAt(child));
    expect(await answer(3, false)).toBe("refused");
    expect(await rowsOf(child, "statement_index")).toEqual([]);
  });

  test("serves nobody before its parent is split, and from then on whoever calls first", async () => {
    const prefix = newLeaf();
    const [child] = childPrefixes(prefix);
    await addRows(prefix, SEEDS);
    const locate = () =>
      runInDurableObject(shardAt(child), (instance) =>
        instance.locate([]).then(
          () => "answered",
          () => "refused",
        ),
      );
    await runInDurableObject(shardAt(child), (instance) => instance.receive({ step: 0, rows: [], gone: [] }));
    expect(await locate()).toBe("refused");
    await evictDurableObject(shardAt(child));
    expect(await locate()).toBe("refused");
    await splitShard(prefix);
    expect(await locate()).toBe("answered");
  });
});
