// Shards that split because of what they list (SPLIT_ROWS is a hundred here), and those that do not.

import { SELF } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { forgetSplits } from "../../durable-objects/shard-router.ts";
import { childPrefixes, type ShardPrefix } from "../../lib/overlay/shards.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { hashIn } from "./split-scene.ts";
import { index, newDomain, Publication } from "./test-collection.ts";
import { EDGE, TestNode } from "./test-node.ts";

const SPLIT_ROWS = 100;
const DEPTH = 4;
const LARGE = "0110";
const SMALL = "1001";
const PATIENCE = { timeout: 40_000, interval: 100 };

async function status(): Promise<EdgeStatus> {
  return parseEdgeStatus(await (await SELF.fetch(`${EDGE}/status`)).json());
}

/** A publish of so many chunks whose shard begins with this prefix. */
async function publishIn(prefix: ShardPrefix, label: string, count: number, holder: TestNode) {
  const chunks = Array.from({ length: count }, (_, i) => hashIn(prefix, `${label} ${i}`));
  const one = new Publication(newDomain(), `${label}.bin`, chunks);
  await one.reference(holder.id);
  expect(await one.append()).toBe("accepted");
  return one;
}

test("a shard splits by itself when it lists too much, and so do its children, while all of it is found", async () => {
  const holder = await TestNode.registered();
  const small = await publishIn(SMALL, "small", SPLIT_ROWS / 2, holder);
  const first = await publishIn(LARGE, "first", SPLIT_ROWS - 20, holder);
  const known = small.chunks.length + first.chunks.length;
  await vi.waitUntil(async () => (await status()).index.replicas === known, PATIENCE);
  expect((await status()).shards).toMatchObject({ count: 2 ** DEPTH, splitting: [] });
  const second = await publishIn(LARGE, "second", SPLIT_ROWS, holder);
  const isSplit = async (prefix: ShardPrefix) => (await index.root().shards()).split.includes(prefix);
  await vi.waitUntil(() => isSplit(LARGE), PATIENCE);
  const [child] = childPrefixes(LARGE);
  const third = await publishIn(child, "third", SPLIT_ROWS, holder);
  await vi.waitUntil(() => isSplit(child), PATIENCE);
  const { leaves } = await index.root().shards();
  expect(leaves).toContain(SMALL);
  forgetSplits();
  for (const { chunks, domain } of [small, first, second, third]) {
    const holders = await index.locate(chunks);
    expect(chunks.map((chunk) => holders.get(chunk))).toEqual(chunks.map(() => [holder.id]));
    expect(await index.usage(domain)).toEqual({ bytes: 100 * chunks.length, chunks: chunks.length });
  }
});
