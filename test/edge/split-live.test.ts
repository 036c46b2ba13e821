// Requests that go on while shards split: nothing that was acknowledged is lost, no answer is wrong, and a domain is charged for
// the same before, meanwhile and after.

import { SELF } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { forgetSplits } from "../../durable-objects/shard-router.ts";
import { base64 } from "../../lib/base64.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { splitShard } from "./split-scene.ts";
import { chunksOf, index, newDomain, Publication } from "./test-collection.ts";
import { EDGE, TestNode } from "./test-node.ts";

async function ok<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await SELF.fetch(`${EDGE}${path}`, init);
  expect([path, response.status]).toEqual([path, 200]);
  return response.json<T>();
}

/** Of a publish, all that is read back by requests to the edge. */
async function expectReadable({ id, nameHash, domain, chunks }: Publication): Promise<void> {
  const name = await ok<{ versions: { statement: string }[] }>(`/name/${nameHash}?domain=${domain}`);
  const statements = name.versions.map(({ statement }) => new TextDecoder().decode(base64.decode(statement)));
  expect(statements).toContain(`statement ${id}`);
  const located = await ok<{ chunks: { hash: Hash; holders: NodeId[] }[] }>("/chunk/locate", {
    method: "POST",
    body: JSON.stringify({ chunks }),
  });
  expect(located.chunks.map(({ hash, holders }) => [hash, holders.length])).toEqual(
    chunks.map((hash) => [hash, 1]),
  );
}

describe("while shards split", () => {
  test("what is published, planned, registered, receipted and removed is neither lost nor answered wrongly", async () => {
    const domain = newDomain();
    const holder = await TestNode.registered();
    const published: Publication[] = [];
    const removed: Publication[] = [];
    const planned: Hash[] = [];
    const nodes: TestNode[] = [holder];
    let isOver = false;
    let bytes = 0;

    const publish = async (label: string) => {
      const one = new Publication(domain, `${label}.bin`, chunksOf(`${domain} ${label}`, 6));
      await one.reference(holder.id);
      bytes += 600;
      expect(await one.append()).toBe("accepted");
      published.push(one);
      await expectReadable(one);
    };
    const publishing = async (who: string) => {
      for (let i = 0; !isOver && i < 60; i++) await publish(`${who}-${i}`);
    };
    const removing = async () => {
      while (!isOver) {
        const one = published.find((each) => !removed.includes(each));
        if (one !== undefined && removed.length < 10) {
          expect(await one.remove()).toBe("accepted");
          removed.push(one);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const planning = async () => {
      for (let i = 0; !isOver && i < 100; i++) {
        const chunks = chunksOf(`${domain} planned ${i}`, 3);
        const held = chunks.map((chunk) => ({ chunk, node: holder.id, sizeBytes: 100 }));
        const holders = await index.plan(chunks, domain, held);
        expect([...holders.values()].map((ids) => ids.length)).toEqual([1, 1, 1]);
        planned.push(...chunks);
      }
    };
    const registering = async () => {
      for (let i = 0; i < 12 && !isOver; i++) {
        const one = await TestNode.registered();
        nodes.push(one);
        for (const { id } of nodes) {
          const { nodes: found } = await ok<{ nodes: { id: NodeId }[] }>(`/closest/${id}`);
          expect(found[0]?.id).toBe(id);
          expect(found.length).toBeGreaterThanOrEqual(Math.min(20, nodes.length));
        }
      }
    };

    await publish("before");
    const work = Promise.all([publishing("a"), publishing("b"), removing(), planning(), registering()]);
    try {
      for (const prefix of ["0001", "0110", "1011", "1100"]) {
        await splitShard(prefix);
        await splitShard(`${prefix}1`);
      }
    } finally {
      isOver = true;
      await work;
    }

    expect(published.length).toBeGreaterThan(4);
    // As callers see it that know of no split, two levels behind.
    forgetSplits();
    for (const one of published) await expectReadable(one);
    const where = await index.locate(planned);
    expect(planned.filter((chunk) => where.get(chunk)?.length !== 1)).toEqual([]);
    const members = await index.members(nodes.map(({ id }) => id));
    expect(nodes.filter(({ id }) => members.get(id)?.online !== true)).toEqual([]);
    for (const { nameHash } of removed) {
      const page = await ok<{ removed?: string[] }>(`/name/${nameHash}?domain=${domain}`);
      expect(page.removed).toHaveLength(1);
    }
    expect(await index.usage(domain)).toEqual({ bytes, chunks: bytes / 100 });
  });
});
