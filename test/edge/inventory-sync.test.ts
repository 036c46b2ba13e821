// What a home node says that it holds, and what an edge makes of it: over real links, with nodes that answer as real ones do,
// and as no real one would.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { CLAIMED } from "../../durable-objects/chunks-table.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { YOUNG_MS } from "../../durable-objects/partition-shard.ts";
import { base64 } from "../../lib/base64.ts";
import { type Hash, hashBytes, type NodeId, partitionOf } from "../../lib/hash.ts";
import {
  differingPartitions,
  digestInventory,
  INVENTORY_DIGESTS_BYTES,
  LISTED_CHUNKS_MAX,
} from "../../lib/inventory-digests.ts";
import { parseDomain } from "../../lib/names.ts";
import { leafPrefix, partitionPrefix, shardName } from "../../lib/overlay/shards.ts";
import { KeepingNode } from "./keeping-node.ts";
import { RepairScene } from "./repair-scene.ts";
import { TestNode } from "./test-node.ts";
import { reference } from "./test-rows.ts";

const PATIENCE = { timeout: 5000, interval: 20 };
const DOMAIN = parseDomain("inventory.test");
const ONE_BYTE = new Uint8Array(1);
const text = new TextEncoder();
const hashOf = (words: string) => hashBytes(text.encode(words));
const shardOf = (chunk: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(chunk, 4)));

async function* inOrder(hashes: Iterable<Hash>): AsyncGenerator<{ hash: Hash }> {
  for (const hash of [...hashes].sort()) yield { hash };
}

async function refer(chunk: Hash): Promise<void> {
  const references = [reference({ chunk, domain: DOMAIN, manifest: chunk, copies: 1 })];
  await shardOf(chunk).write({ held: [], references, statements: [] });
}

async function row(chunk: Hash, node: NodeId): Promise<Record<string, SqlStorageValue> | null> {
  return runInDurableObject(
    shardOf(chunk),
    (_, { storage }) =>
      storage.sql.exec("SELECT * FROM holders WHERE chunk = ? AND node = ?", chunk, node).toArray()[0] ??
      null,
  );
}

const partitionsAsked = ({ asked }: KeepingNode) => asked.filter((path) => /^\/inventory\/\d/.test(path));

describe("what a node holds", () => {
  test("is claimed where something refers to it, comes last, and counts for no publish", async () => {
    const [known, unknown] = [hashOf("known"), hashOf("unknown")];
    await refer(known);
    const { node } = await KeepingNode.create([known, unknown]).then(async (holding) => {
      await holding.sync();
      return holding;
    });
    expect(await row(known, node.id)).toMatchObject({ size: 1000, checked: CLAIMED });
    expect(await row(unknown, node.id)).toBeNull();
    const receipted = await TestNode.registered();
    await shardOf(known).write({
      held: [{ chunk: known, node: receipted.id, sizeBytes: 1000 }],
      references: [],
      statements: [],
    });
    expect((await shardOf(known).locate([known]))[0]?.holders).toEqual([receipted.id, node.id]);
    const planned = await new IndexClient(env).plan([known], DOMAIN, []);
    expect(planned.get(known)).toEqual([receipted.id]);
  });

  test("is not asked for again where nothing has changed, and of what has changed only the partitions", async () => {
    const chunks = Array.from({ length: 300 }, (_, i) => hashOf(`many ${i}`));
    const holding = await KeepingNode.create(chunks);
    // In a shard that is not young, what it has no use for is not asked for again.
    await growUp();
    await holding.sync();
    expect(await isAgreed(holding)).toBe(true);
    const partitions = new Set(chunks.map(partitionOf));
    expect(new Set(partitionsAsked(holding)).size).toBe(partitions.size);
    holding.asked.length = 0;
    holding.sent = 0;
    holding.node.close();
    await holding.join();
    await holding.sync();
    expect(holding.asked).toEqual([
      expect.stringMatching(/^\/inventory\/names\?known=[0-9a-f]{64}$/),
      expect.stringMatching(/^\/inventory\?known=[0-9a-f]{64}$/),
    ]);
    expect(holding.sent).toBeLessThan(64 * 1024);
    const fresh = hashOf("fresh");
    holding.held.set(fresh, new Uint8Array(1000));
    await holding.sync();
    expect(partitionsAsked(holding)).toEqual([`/inventory/${partitionOf(fresh)}`]);
  });

  test("costs two questions where 100,000 chunks are as they were: 64 KiB, and no call of a shard", async () => {
    const chunks = Array.from({ length: 100_000 }, (_, i) => hashOf(`one of many ${i}`));
    const holding = await KeepingNode.create();
    await holding.sync();
    for (const chunk of chunks) holding.held.set(chunk, ONE_BYTE);
    await agreeOn(holding);
    await holding.sync();
    holding.node.close();
    holding.sent = 0;
    holding.asked.length = 0;
    await holding.join();
    const calls = await countShardCalls(holding, () => holding.sync());
    expect([holding.asked.length, calls]).toEqual([2, 0]);
    expect(holding.sent).toBeLessThan(64 * 1024);
    // Control: one chunk more is one partition, and its shard is told.
    holding.held.set(hashOf("one more"), new Uint8Array(1000));
    expect(await countShardCalls(holding, () => holding.sync())).toBeGreaterThan(0);
    expect(partitionsAsked(holding)).toHaveLength(1);
  });

  test("and does not any more, takes it off the list, and has the chunk looked at", async () => {
    const chunk = hashOf("given up");
    await refer(chunk);
    const holding = await KeepingNode.create([chunk]);
    await holding.sync();
    expect(await row(chunk, holding.node.id)).not.toBeNull();
    holding.held.delete(chunk);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await holding.sync();
    expect(await row(chunk, holding.node.id)).toBeNull();
  });

  test("that another node's statements give a use for is asked for again while the edge is young", async () => {
    const chunk = hashOf("of use later");
    const holding = await KeepingNode.create([chunk]);
    await beYoung(chunk);
    await holding.sync();
    expect(await row(chunk, holding.node.id)).toBeNull();
    await refer(chunk);
    await holding.sync();
    expect(await row(chunk, holding.node.id)).toMatchObject({ checked: CLAIMED });
  });

  test("may be more than one answer takes", async () => {
    const partition = 77;
    const chunks = Array.from(
      { length: LISTED_CHUNKS_MAX + 10 },
      (_, i) => `134${hashOf(`page ${i}`).slice(3)}` as Hash,
    );
    expect(new Set(chunks.map(partitionOf))).toEqual(new Set([partition]));
    for (const chunk of chunks.slice(-1)) await refer(chunk);
    const holding = await KeepingNode.create(chunks);
    await holding.sync();
    expect(partitionsAsked(holding)).toHaveLength(2);
    expect(await row(chunks.at(-1) as Hash, holding.node.id)).toMatchObject({ checked: CLAIMED });
  });
});

describe("a claim", () => {
  test("that is true becomes a copy by its first read, and nothing is copied", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.source();
    const claimer = await scene.taker();
    claimer.bytes = scene.bytes;
    await claim(scene.chunk, claimer.node.id);
    await scene.run("sweep", "repair");
    expect(await scene.waiting()).toBeNull();
    expect(claimer.orders).toEqual([]);
    expect(await row(scene.chunk, claimer.node.id)).toMatchObject({ checked: expect.any(Number) });
    expect(Number((await row(scene.chunk, claimer.node.id))?.checked)).toBeGreaterThan(0);
  });

  test("that is false is read after all others, and whoever makes it is delisted within three failures", async () => {
    const liar = await new RepairScene().taker();
    for (let i = 0; i < 3; i++) {
      const scene = new RepairScene();
      await scene.need(2);
      const source = await scene.source();
      await claim(scene.chunk, liar.node.id);
      expect(await scene.holders()).toEqual([source.node.id, liar.node.id]);
      await scene.run("sweep", "repair");
      expect(await row(scene.chunk, liar.node.id)).toBeNull();
    }
    const member = (await new IndexClient(env).members([liar.node.id])).get(liar.node.id);
    await vi.waitFor(async () => {
      await new IndexClient(env).checkLinks([liar.node.id]);
      const now = (await new IndexClient(env).members([liar.node.id])).get(liar.node.id);
      expect(now?.standing).toBeLessThan(0.25);
    }, PATIENCE);
    expect(member).toBeDefined();
  });
});

describe("an inventory that is none", () => {
  const chunk = hashOf("claimed by a liar");
  const digests = async (hashes: Hash[]) => digestInventory(inOrder(hashes));
  const zeros = base64.encode(new Uint8Array(INVENTORY_DIGESTS_BYTES));
  test.each<[string, (path: string) => Promise<unknown> | unknown]>([
    ["whose digests do not fit its root", async () => ({ ...(await answerOf([chunk])), partitions: zeros })],
    [
      "that leaves out digests of another root",
      async () => ({ ...(await answerOf([chunk])), partitions: null }),
    ],
    ["whose digests are too short", () => ({ root: hashOf(""), partitions: "AAAA", count: 1 })],
    ["that is not JSON of an inventory", () => ({ chunks: [] })],
    ["that lists chunks of other partitions", (path) => listing(path, [hashOf("elsewhere 1")])],
    ["that lists a chunk twice", (path) => listing(path, [chunk, chunk])],
    ["that never ends", (path) => listing(path, [chunk], chunk)],
    [
      "that lists more than may be",
      (path) =>
        listing(
          path,
          Array.from({ length: 1001 }, () => chunk),
        ),
    ],
  ])("%s is not taken in", async (_, lie) => {
    await refer(chunk);
    const holding = await KeepingNode.create([chunk]);
    holding.lie = (path) => lie(path);
    await holding.sync();
    expect(await row(chunk, holding.node.id)).toBeNull();
    // Control: as it is, it is taken in.
    holding.lie = () => undefined;
    await holding.sync();
    expect(await row(chunk, holding.node.id)).toMatchObject({ checked: CLAIMED });
  });

  async function answerOf(hashes: Hash[]) {
    const { root, partitions } = await digests(hashes);
    return { root, partitions: base64.encode(partitions), count: hashes.length };
  }

  function listing(path: string, hashes: Hash[], next: Hash | null = null): unknown {
    if (!/^\/inventory\/\d/.test(path)) return undefined;
    return { chunks: hashes.map((hash) => ({ hash, size: 1000 })), next };
  }
});

async function claim(chunk: Hash, node: NodeId): Promise<void> {
  await shardOf(chunk).claim({
    node,
    partition: partitionOf(chunk),
    chunks: [{ hash: chunk, size: 1000 }],
    askedMs: Date.now(),
  });
}

/** As if the edge had agreed to what the node holds now. */
async function agreeOn({ link, held }: KeepingNode): Promise<void> {
  const { partitions } = await digestInventory(inOrder(held.keys()));
  await runInDurableObject(link, (_, { storage }) =>
    storage.sql.exec(
      "INSERT OR REPLACE INTO inventory_walks (kind, agreed, wanted, done, after, open) VALUES ('chunks', ?, NULL, 0, NULL, 0)",
      partitions,
    ),
  );
}

/** How often the node's link addresses a shard while `work` is done. */
async function countShardCalls({ link }: KeepingNode, work: () => Promise<void>): Promise<number> {
  let calls = 0;
  await runInDurableObject(link, (instance) => {
    const counted = { getByName: (name: string) => [calls++, env.PARTITION_SHARD.getByName(name)][1] };
    Object.assign(instance, { env: { ...env, PARTITION_SHARD: counted } });
  });
  await work();
  await runInDurableObject(link, (instance) => Object.assign(instance, { env }) && undefined);
  return calls;
}

async function isAgreed({ link, held }: KeepingNode): Promise<boolean> {
  const { partitions } = await digestInventory(inOrder(held.keys()));
  return runInDurableObject(link, (_, { storage }) => {
    const [found] = storage.sql
      .exec<{ agreed: ArrayBuffer }>("SELECT agreed FROM inventory_walks WHERE kind = 'chunks'")
      .toArray();
    const agreed = new Uint8Array(found?.agreed ?? new ArrayBuffer(INVENTORY_DIGESTS_BYTES));
    return differingPartitions(agreed, partitions).length === 0;
  });
}

/** All shards are complete since long ago. */
async function growUp(): Promise<void> {
  for (let i = 0; i < 16; i++) await setBorn(partitionPrefix(i * 64, 4), Date.now() - 2 * YOUNG_MS);
}

async function beYoung(chunk: Hash): Promise<void> {
  await setBorn(leafPrefix(chunk, 4), Date.now());
}

async function setBorn(prefix: string, atMs: number): Promise<void> {
  const shard = env.PARTITION_SHARD.getByName(shardName(prefix));
  await runInDurableObject(shard, (_, { storage }) => {
    storage.sql.exec("INSERT OR REPLACE INTO settings (key, value) VALUES ('born-at', ?)", String(atMs));
  });
}
