// Since when a shard is complete: new, evicted, lost, or put in the place of others.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import type { NodeId } from "../../lib/hash.ts";
import { shardName } from "../../lib/overlay/shards.ts";
import { HOUR_MS, hashOf } from "./test-collection.ts";
import { emptyReport } from "./test-rows.ts";

const root = env.PARTITION_SHARD.getByName(shardName(""));
const node = hashOf("a node") as NodeId;
const chunk = hashOf("a chunk");
let shards = 0;

/** A shard that was never asked anything, of the edge's depth. */
function newShard() {
  const prefix = (shards++).toString(2).padStart(4, "0");
  return { prefix, shard: env.PARTITION_SHARD.getByName(shardName(prefix)) };
}

/** What becomes of a chunk that a node has held for so long. */
async function stateOf(
  shard: ReturnType<typeof newShard>["shard"],
  ageMs: number,
): Promise<string | undefined> {
  const since = new Date(Date.now() - ageMs).toISOString();
  return (await shard.takeInventory(node, [{ hash: chunk, since }]))[0];
}

beforeEach(() =>
  // The edge is two hours old.
  runInDurableObject(root, (_, { storage }) => {
    storage.sql.exec("DELETE FROM reports");
    storage.sql.exec("UPDATE settings SET value = ? WHERE key = 'made-at'", String(Date.now() - 2 * HOUR_MS));
  }),
);

test("a shard that is new on an old edge knows that there is nothing, and no more than the edge is old", async () => {
  const { shard } = newShard();
  expect(await stateOf(shard, HOUR_MS)).toBe("released");
  expect(await stateOf(shard, 3 * HOUR_MS)).toBe("unlisted");
  await evictDurableObject(shard);
  expect(await stateOf(shard, HOUR_MS)).toBe("released");
});

test("one that has reported in another life has lost what it had, and frees nothing from before", async () => {
  const { prefix, shard } = newShard();
  await root.report(prefix, emptyReport(1));
  expect(await stateOf(shard, HOUR_MS)).toBe("unlisted");
  await evictDurableObject(shard);
  expect(await stateOf(shard, HOUR_MS)).toBe("unlisted");
  expect(await stateOf(shard, -1000)).toBe("released");
});

test("one whose range shards of another depth served frees nothing from before; those beside and above did not", async () => {
  const [untouched, divided, joined] = [newShard(), newShard(), newShard()];
  for (const prefix of ["", "01010", "1010101"]) await root.report(prefix, emptyReport(1));
  expect(await stateOf(untouched.shard, HOUR_MS)).toBe("released");
  await root.report(`${divided.prefix}101`, emptyReport(1));
  expect(await stateOf(divided.shard, HOUR_MS)).toBe("unlisted");
  await root.report(joined.prefix.slice(0, 3), emptyReport(1));
  expect(await stateOf(joined.shard, HOUR_MS)).toBe("unlisted");
});

test("its own report does not make it look lost", async () => {
  const { prefix, shard } = newShard();
  await shard.recordTotals([]);
  await runInDurableObject(shard, (instance) => instance.alarm?.());
  const reported = await runInDurableObject(root, (_, { storage }) =>
    storage.sql.exec("SELECT 1 FROM reports WHERE prefix = ?", prefix).toArray(),
  );
  expect(reported).toHaveLength(1);
  expect(await stateOf(shard, HOUR_MS)).toBe("released");
});
