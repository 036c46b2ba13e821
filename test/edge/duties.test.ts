// What a shard has to do later, on its one alarm: in a real Durable Object's storage.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { DUTY_LOOK_MS, DUTY_RETRY_MS, DUTY_TICK_MS, Duties } from "../../durable-objects/duties.ts";
import { shardName } from "../../lib/overlay/shards.ts";

const PATIENCE = { timeout: 10_000, interval: 50 };
const LATER = Date.now() + 3_600_000;

/** Runs `work` with duties that write down what is done, in storage of its own. */
async function withDuties(
  work: (duties: Duties<"a" | "b">, done: string[], storage: DurableObjectStorage) => Promise<void>,
  returns: { a?: () => number | null | Promise<number | null> } = {},
): Promise<void> {
  const shard = env.PARTITION_SHARD.getByName(shardName("0101"));
  await runInDurableObject(shard, async (_, { storage }) => {
    storage.sql.exec("DELETE FROM duties");
    await storage.deleteAlarm();
    const done: string[] = [];
    const duties = new Duties(storage, {
      a: async () => {
        done.push("a");
        return returns.a?.() ?? null;
      },
      b: async () => {
        done.push("b");
        return null;
      },
    });
    await work(duties, done, storage);
    storage.sql.exec("DELETE FROM duties");
    await storage.deleteAlarm();
  });
}

test("the alarm is set for the earliest of what is asked, and an earlier time stands", async () => {
  await withDuties(async (duties, done, storage) => {
    await duties.ask("a", LATER);
    await duties.ask("b", LATER + 5000);
    await duties.ask("b", LATER + 9000);
    expect(await storage.getAlarm()).toBe(LATER);
    await duties.run(LATER);
    expect(done).toEqual(["a"]);
    expect(await storage.getAlarm()).toBe(LATER + 5000);
    await duties.run(LATER + 5000);
    expect(done).toEqual(["a", "b"]);
    expect([duties.isAsked("a"), duties.isAsked("b")]).toEqual([false, false]);
  });
});

test("an alarm that comes early does what it was set for, and one that comes late all that is due", async () => {
  await withDuties(async (duties, done) => {
    await duties.ask("a", LATER);
    await duties.ask("b", LATER + 1);
    await duties.run(Date.now());
    expect(done).toEqual(["a"]);
    await duties.ask("a", LATER);
    await duties.run(LATER + 1);
    expect(done).toEqual(["a", "a", "b"]);
  });
});

test("one that fails is tried again, and keeps no other from being done", async () => {
  const fail = () => {
    throw new Error("on purpose");
  };
  await withDuties(
    async (duties, done, storage) => {
      await duties.ask("a", LATER);
      await duties.ask("b", LATER);
      await duties.run(LATER);
      expect(done.toSorted()).toEqual(["a", "b"]);
      expect([duties.isAsked("a"), duties.isAsked("b")]).toEqual([true, false]);
      expect(await storage.getAlarm()).toBe(LATER + DUTY_RETRY_MS);
    },
    { a: fail },
  );
});

test("one that takes long keeps no other waiting, is not begun twice, and keeps the alarm open", async () => {
  const long = Promise.withResolvers<number | null>();
  await withDuties(
    async (duties, done, storage) => {
      await duties.ask("a", LATER);
      let isOver = false;
      const running = duties.run(LATER).then(() => {
        isOver = true;
      });
      // Should the object be evicted all the same, it is done again.
      expect(await storage.getAlarm()).toBe(LATER);
      await duties.ask("b", LATER + 1);
      await vi.waitFor(() => expect(done).toEqual(["a", "b"]), PATIENCE);
      await duties.ask("a", LATER + 2);
      await new Promise((resolve) => setTimeout(resolve, 2 * DUTY_TICK_MS));
      expect([done, isOver, duties.isAsked("a")]).toEqual([["a", "b"], false, true]);
      long.resolve(null);
      await running;
      expect(await storage.getAlarm()).toBe(LATER + 2);
      await duties.run(LATER + 2);
      expect([done, duties.isAsked("a")]).toEqual([["a", "b", "a"], false]);
    },
    { a: () => long.promise },
  );
}, 30_000);

test.each([
  ["soon", 50_000],
  ["late", 2 * DUTY_LOOK_MS],
])("one that is asked for %s while it is done is done again then", async (_, afterMs) => {
  const long = Promise.withResolvers<null>();
  await withDuties(
    async (duties, done, storage) => {
      await duties.ask("a", LATER);
      const running = duties.run(LATER);
      expect(duties.isAsked("a")).toBe(false);
      await duties.ask("a", LATER + afterMs);
      expect(duties.isAsked("a")).toBe(true);
      long.resolve(null);
      await running;
      expect(await storage.getAlarm()).toBe(LATER + afterMs);
      await duties.run(LATER + afterMs);
      expect(done).toEqual(["a", "a"]);
      expect(duties.isAsked("a")).toBe(false);
    },
    { a: () => long.promise },
  );
});

test("one that says when it is due again is done again then", async () => {
  await withDuties(
    async (duties, _, storage) => {
      await duties.ask("a", LATER);
      await duties.run(LATER);
      expect(await storage.getAlarm()).toBe(LATER + 77);
    },
    { a: () => LATER + 77 },
  );
});
