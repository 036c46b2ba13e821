import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";

const domain = parseDomain("example.org");
const name = parseName("app.iso");
const nameHash = nameHashOf(domain, name);
const text = (value: string) => new Uint8Array(new TextEncoder().encode(value));
const hashOf = (value: string) => hashBytes(text(value));

describe("reports", () => {
  test("reach the root shard, which adds them up without asking anyone", async () => {
    const shard = env.PARTITION_SHARD.getByName(shardName(leafPrefix(nameHash, 4)));
    const root = env.PARTITION_SHARD.getByName(shardName(""));
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
    const report = await vi.waitUntil(
      async () => {
        const network = await root.network(10);
        return network.index.versions > 0 ? network : null;
      },
      { timeout: 10_000, interval: 100 },
    );
    expect(report.index).toEqual({ names: 1, versions: 1, chunks: 1, replicas: 2, chunkBytes: 10 });
    expect(report.partitions.holders.reduce((sum, count) => sum + count, 0)).toBe(2);
    expect(report.recent).toMatchObject([{ domain, name, version: hashOf("v1") }]);
  });
});
