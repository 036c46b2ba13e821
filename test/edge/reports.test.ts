import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import type { Network } from "../../durable-objects/shard-answers.ts";
import { type Hash, hashBytes, type NodeId, partitionOf } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { childPrefixes, leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { hashIn, newLeaf, shardAt } from "./split-scene.ts";
import { emptyReport, reference } from "./test-rows.ts";

const domain = parseDomain("example.org");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const text = (value: string) => new Uint8Array(new TextEncoder().encode(value));
const hashOf = (value: string) => hashBytes(text(value));
const root = env.PARTITION_SHARD.getByName(shardName(""));
const PATIENCE = { timeout: 10_000, interval: 100 };

describe("reports", () => {
  test("reach the root shard, which adds them up without asking anyone", async () => {
    const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(nameHash, 4)));
    const chunk = `${nameHash.slice(0, 8)}${"0".repeat(56)}` as Hash;
    const held = [1, 2].map((i) => ({ chunk, node: hashOf(`node ${i}`) as NodeId, sizeBytes: 10 }));
    await shard.write({ held, references: [], statements: [] });
    await shard.append([
      {
        ...{
          id: hashOf("v1"),
          nameHash,
          domain,
          name,
          sequence: 1,
          previous: null,
          time: "2026-01-01T00:00:01.000Z",
          expires: null,
        },
        ...{ manifest: hashOf("m1"), size: 1, author: "a@example.org", key: "key a" },
        ...{
          bytes: text("statement"),
          signature: "signature",
          manifestBytes: text("manifest"),
          right: { by: "domain-key" },
          delegation: null,
        },
        witness: { bytes: text("witness"), signature: "witness signature" },
      },
    ]);
    const report = await vi.waitUntil(async () => {
      const network = await root.network(10);
      return network.index.versions > 0 ? network : null;
    }, PATIENCE);
    expect(report.index).toEqual({ names: 1, versions: 1, chunks: 1, replicas: 2, chunkBytes: 10 });
    expect(report.partitions.holders.reduce((sum, count) => sum + count, 0)).toBe(2);
    expect(report.recent).toMatchObject([{ domain, name, version: hashOf("v1") }]);
  });
});

describe("what nodes have brought back", () => {
  const node = hashOf("a keeper") as NodeId;
  const NOTHING = { held: [], references: [], statements: [] };

  const referenceTo = (chunk: Hash) => reference({ chunk, manifest: hashOf("a manifest"), domain });

  /** What the edge says as soon as no shard is behind. */
  async function counted(): Promise<Network> {
    return vi.waitUntil(async () => {
      const network = await root.network(10);
      return network.behind === 0 ? network : null;
    }, PATIENCE);
  }

  test("is behind until it is counted, also what nobody is known to hold, in a shard that has nothing else", async () => {
    const before = await counted();
    const leaf = newLeaf();
    const [first, second] = [hashIn(leaf, "first"), hashIn(leaf, "second")];
    await shardAt(leaf).write({ ...NOTHING, references: [referenceTo(first)] }, "node");
    expect((await root.network(10)).behind).toBe(1);
    const { needed } = await counted();
    expect(needed.chunks - before.needed.chunks).toBe(1);
    expect(needed.unheld - before.needed.unheld).toBe(1);
    await shardAt(leaf).write({ ...NOTHING, references: [referenceTo(second)] }, "node");
    expect((await root.network(10)).behind).toBe(1);
    expect((await counted()).needed.chunks - before.needed.chunks).toBe(2);
  });

  test("is on too few nodes as soon as it is counted, whenever the shard looks for what is short", async () => {
    const before = await counted();
    const leaf = newLeaf();
    const chunk = hashIn(leaf, "on one of two");
    await shardAt(leaf).write({ ...NOTHING, references: [{ ...referenceTo(chunk), copies: 2 }] }, "node");
    const few = async () => (await counted()).needed.few - before.needed.few;
    expect(await few()).toBe(0);
    await shardAt(leaf).write({ ...NOTHING, held: [{ chunk, node, sizeBytes: 10 }] }, "node");
    expect(await few()).toBe(1);
    const another = hashOf("another keeper") as NodeId;
    await shardAt(leaf).write({ ...NOTHING, held: [{ chunk, node: another, sizeBytes: 10 }] }, "node");
    expect(await few()).toBe(0);
  });

  test("is behind where it was known already, by what a publisher wrote that is not counted yet", async () => {
    const before = await counted();
    const leaf = newLeaf();
    const chunk = hashIn(leaf, "published");
    const held = [{ chunk, node, sizeBytes: 10 }];
    await shardAt(leaf).write({ ...NOTHING, held, references: [referenceTo(chunk)] });
    expect((await root.network(10)).behind).toBe(0);
    const claim = { node, partition: partitionOf(chunk), chunks: [{ hash: chunk, size: 10 }] };
    const { added } = await shardAt(leaf).claim({ ...claim, askedMs: Date.now() });
    expect(added).toBe(0);
    expect((await root.network(10)).behind).toBe(1);
    const { index } = await counted();
    expect(index.replicas - before.index.replicas).toBe(1);
  });
});

describe("the root shard", () => {
  const behind = async () => (await root.network(10)).behind;

  test("knows by its number whether a report has what it was told of, whichever comes first", async () => {
    const leaf = newLeaf();
    await root.report(leaf, emptyReport(3));
    await root.noteBehind(leaf, 3);
    expect(await behind()).toBe(0);
    await root.noteBehind(leaf, 4);
    await root.noteBehind(leaf, 3);
    expect(await behind()).toBe(1);
    await root.report(leaf, emptyReport(4));
    expect(await behind()).toBe(0);
  });

  test("waits for both children of a shard that was split before it could report", async () => {
    const leaf = newLeaf();
    await root.noteBehind(leaf, 1);
    const [left = "", right = ""] = childPrefixes(leaf);
    await root.report(left, emptyReport(1));
    expect(await behind()).toBe(1);
    await root.report(right, emptyReport(1));
    expect(await behind()).toBe(0);
  });
});
