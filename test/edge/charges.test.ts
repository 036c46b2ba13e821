// What domains are charged for in the shards: once for each chunk, whatever is repeated, late, doubled or evicted.

import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { quotaOf } from "../../durable-objects/quota.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { reference } from "./test-rows.ts";

const hashOf = (text: string): Hash => hashBytes(new Uint8Array(new TextEncoder().encode(text)));
const node = hashOf("node") as NodeId;
const manifest = hashOf("manifest");
const index = new IndexClient(env);
let domains = 0;
const newDomain = () => parseDomain(`d${++domains}.example.org`);
const chunksOf = (label: string, count: number) =>
  Array.from({ length: count }, (_, i) => hashOf(`${label} ${i}`));

function writesOf(chunks: Hash[], domain = newDomain(), sizeBytes = 100) {
  return {
    held: chunks.map((chunk) => ({ chunk, node, sizeBytes })),
    references: chunks.map((chunk) => reference({ chunk, manifest, domain })),
    statements: [],
  };
}

async function evictAll(): Promise<void> {
  const shards = Array.from({ length: 16 }, (_, i) => i.toString(2).padStart(4, "0"));
  for (const prefix of shards) {
    const shard = env.PARTITION_SHARD.getByName(shardName(prefix));
    // Only what runs can be evicted.
    await shard.usage(parseDomain("example.org"));
    await evictDurableObject(shard);
  }
}

describe("a domain", () => {
  test("is charged once for each chunk, over all shards, however often and at once it is written", async () => {
    const domain = newDomain();
    const chunks = chunksOf("often", 60);
    const writes = writesOf(chunks, domain);
    await Promise.all([index.write(writes), index.write(writes)]);
    await index.write(writes);
    await evictAll();
    await index.write({ ...writes, references: [...writes.references, ...writes.references] });
    // By another Manifest: the chunks are the same.
    await index.write({
      ...writes,
      references: writes.references.map((row) => ({ ...row, manifest: hashOf("m2") })),
    });
    expect(await index.usage(domain)).toEqual({ bytes: 6000, chunks: 60 });
    await index.write(writesOf(chunksOf("more", 5), domain));
    await evictAll();
    expect(await index.usage(domain)).toEqual({ bytes: 6500, chunks: 65 });
  });

  test("is charged for what another references as well, and so is that one", async () => {
    const chunks = chunksOf("shared", 10);
    const [one, other] = [newDomain(), newDomain()];
    await index.write(writesOf(chunks, one));
    expect(await index.charged(chunks, other)).toEqual(new Set());
    await index.write(writesOf(chunks.slice(0, 4), other));
    expect(await index.usage(one)).toEqual({ bytes: 1000, chunks: 10 });
    expect(await index.usage(other)).toEqual({ bytes: 400, chunks: 4 });
    expect(await index.charged(chunks, other)).toEqual(new Set(chunks.slice(0, 4)));
  });

  test("is not charged for what nobody holds, and is when somebody does", async () => {
    const domain = newDomain();
    const writes = writesOf(chunksOf("unheld", 3), domain);
    await index.write({ ...writes, held: [] });
    expect(await index.usage(domain)).toEqual({ bytes: 0, chunks: 0 });
    await index.write(writes);
    expect(await index.usage(domain)).toEqual({ bytes: 300, chunks: 3 });
  });

  test("does not pay less because a holder said that there is less", async () => {
    const domain = newDomain();
    const chunks = chunksOf("understated", 2);
    await index.write(writesOf(chunks, domain, 1));
    expect(await index.usage(domain)).toEqual({ bytes: 2, chunks: 2 });
    const honest = writesOf(chunks, domain, 100);
    await index.write({
      ...honest,
      held: honest.held.map((row) => ({ ...row, node: hashOf("other") as NodeId })),
    });
    expect(await index.usage(domain)).toEqual({ bytes: 200, chunks: 2 });
  });

  test("has no quota unless it is set", () => {
    expect(quotaOf(index, newDomain())).toBe(null);
    const limited = new IndexClient({ ...env, QUOTA_BYTES: "5", DOMAIN_QUOTAS: "a.org=7, b.org=0" });
    expect(["a.org", "b.org", "c.org"].map((name) => quotaOf(limited, parseDomain(name)))).toEqual([7, 0, 5]);
  });
});

describe("a ledger", () => {
  test("keeps each shard's newest sum, whatever comes late or twice", async () => {
    const domain = newDomain();
    const ledger = env.PARTITION_SHARD.getByName(shardName(leafPrefix(hashOf(domain), 4)));
    const tell = (shard: string, bytes: number, sequence: number) =>
      ledger.recordTotals([{ shard, total: { domain, bytes, chunks: bytes / 10, sequence } }]);
    await tell("0000", 50, 2);
    await tell("0000", 20, 1);
    await tell("0000", 50, 2);
    await tell("0001", 30, 1);
    await evictDurableObject(ledger);
    expect(await ledger.usage(domain)).toEqual({ bytes: 80, chunks: 8 });
    await tell("0000", 60, 3);
    expect(await ledger.usage(domain)).toEqual({ bytes: 90, chunks: 9 });
  });
});
