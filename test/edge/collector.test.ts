// What the shards let go of, and what never: references and charges, whatever is late, doubled, evicted or overtaken.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { COLLECT_BATCH, COLLECT_GRACE_MS } from "../../durable-objects/collector.ts";
import { type Hash, type NodeId, parseHash } from "../../lib/hash.ts";
import {
  beReborn,
  chunksOf,
  collectAll,
  collectIn,
  collectorDue,
  HOUR_MS,
  hashOf,
  index,
  newDomain,
  Publication,
  passTime,
  referencesTo,
  ringCollector,
  shardOf,
} from "./test-collection.ts";

const node = hashOf("a node") as NodeId;

// The edge is there before anything is published.
beforeAll(() => passTime(HOUR_MS));

async function publish(...args: ConstructorParameters<typeof Publication>): Promise<Publication> {
  const publication = new Publication(...args);
  await publication.reference(node);
  expect(await publication.append()).toBe("accepted");
  return publication;
}

async function countReferences(chunks: readonly Hash[]): Promise<number> {
  let count = 0;
  for (const chunk of chunks) count += await referencesTo(chunk);
  return count;
}

describe("the collector", () => {
  test("deletes what a Removal has ended, and charges the domain no more for it", async () => {
    const domain = newDomain();
    const chunks = chunksOf("removed", 20);
    const removed = await publish(domain, "a", chunks);
    const kept = await publish(domain, "b", chunks.slice(0, 5));
    await passTime(2 * HOUR_MS);
    await collectAll();
    expect(await countReferences(chunks)).toBe(25);
    expect(await index.usage(domain)).toEqual({ bytes: 2000, chunks: 20 });
    await removed.remove();
    await collectAll();
    expect(await countReferences(chunks)).toBe(5);
    expect(await countReferences(kept.chunks)).toBe(5);
    expect(await index.usage(domain)).toEqual({ bytes: 500, chunks: 5 });
    await collectAll();
    expect(await index.usage(domain)).toEqual({ bytes: 500, chunks: 5 });
  });

  test("keeps what an older Version needs that still stands, and what another domain needs", async () => {
    const [domain, other] = [newDomain(), newDomain()];
    const [shared = node] = chunksOf("shared", 1);
    const first = await publish(domain, "a", [shared]);
    const second = await publish(domain, "a", [shared, ...chunksOf("new", 1)], first);
    await publish(other, "a", [shared]);
    await passTime(2 * HOUR_MS);
    await second.remove();
    await collectAll();
    expect(await referencesTo(shared)).toBe(2);
    await first.remove();
    await collectAll();
    expect(await referencesTo(shared)).toBe(1);
    expect(await index.usage(domain)).toEqual({ bytes: 0, chunks: 0 });
    expect(await index.usage(other)).toEqual({ bytes: 100, chunks: 1 });
  });

  test("does not judge a young reference: its Version may be on its way", async () => {
    const domain = newDomain();
    const chunks = chunksOf("on its way", 3);
    const late = new Publication(domain, "a", chunks);
    await late.reference(node);
    await passTime(COLLECT_GRACE_MS - 60_000);
    await collectAll();
    expect(await countReferences(chunks)).toBe(3);
    expect(await late.append()).toBe("accepted");
    await passTime(2 * HOUR_MS);
    await collectAll();
    expect(await countReferences(chunks)).toBe(3);
  });

  test("deletes references to a Version that never came, once they are old", async () => {
    const domain = newDomain();
    const chunks = chunksOf("never", 3);
    await new Publication(domain, "a", chunks).reference(node);
    expect(await index.usage(domain)).toEqual({ bytes: 300, chunks: 3 });
    await passTime(2 * HOUR_MS);
    await collectAll();
    expect(await countReferences(chunks)).toBe(0);
    expect(await index.usage(domain)).toEqual({ bytes: 0, chunks: 0 });
  });

  test("has the right sum after removals and publishes in turn, evicted in between", async () => {
    const domain = newDomain();
    const chunks = chunksOf("in turn", 12);
    let previous: Publication | null = null;
    for (let round = 0; round < 3; round++) {
      const next: Publication = await publish(domain, "a", chunks, previous);
      expect(await index.usage(domain)).toEqual({ bytes: 1200, chunks: 12 });
      await passTime(2 * HOUR_MS);
      await next.remove();
      for (const chunk of chunks) {
        // Only what runs can be evicted.
        await index.charged([chunk], domain);
        await evictDurableObject(shardOf(chunk));
      }
      await collectAll();
      expect(await index.usage(domain)).toEqual({ bytes: 0, chunks: 0 });
      previous = next;
    }
  });

  test("never takes a reference that was written again while its name was being asked", async () => {
    const domain = newDomain();
    const [chunk = node] = chunksOf("again", 1);
    const shard = shardOf(chunk);
    const removed = await publish(domain, "a", [chunk]);
    await removed.remove();
    await passTime(2 * HOUR_MS);
    const again = new Publication(domain, "a", [chunk], removed);
    // The same Manifest under the same name: the same reference.
    expect(again.manifest).toBe(removed.manifest);
    for (let i = 0; i < 10; i++) {
      await passTime(2 * HOUR_MS);
      const [holdings] = await Promise.all([
        again.reference(node),
        ringCollector(shard),
        ringCollector(shard),
      ]);
      expect(holdings.get(chunk)).toEqual([node]);
      expect(await referencesTo(chunk)).toBe(1);
      expect(await index.usage(domain)).toEqual({ bytes: 100, chunks: 1 });
    }
    expect(await again.append()).toBe("accepted");
    await passTime(2 * HOUR_MS);
    await collectAll();
    expect(await referencesTo(chunk)).toBe(1);
  });

  test("goes on where it was, evicted and rung twice, over more than a batch", async () => {
    const domain = newDomain();
    // All in one shard; none needs to be the hash of anything.
    const many = Array.from({ length: COLLECT_BATCH + 10 }, (_, i) =>
      parseHash(`0${hashOf(`many ${i}`).slice(1)}`),
    );
    const removed = await publish(domain, "a", many);
    await removed.remove();
    await passTime(2 * HOUR_MS);
    const shard = shardOf(many[0] ?? node);
    for (let i = 0; i < 12; i++) {
      await Promise.all([ringCollector(shard), ringCollector(shard)]);
      await evictDurableObject(shard);
    }
    await collectIn(shard);
    expect(await index.usage(domain)).toEqual({ bytes: 0, chunks: 0 });
    expect(await referencesTo(many.at(-1) ?? node)).toBe(0);
  });

  test("tells a ledger later what it could not tell at once", async () => {
    const domain = newDomain();
    const [chunk = node] = chunksOf("untold", 1);
    await publish(domain, "a", [chunk]);
    const shard = shardOf(chunk);
    // The shard has changed its sum, and ended before it told anybody.
    await runInDurableObject(shard, (_, { storage }) =>
      storage.sql.exec(
        "UPDATE domain_totals SET bytes = 70, sequence = sequence + 1 WHERE domain = ?",
        domain,
      ),
    );
    expect(await index.usage(domain)).toEqual({ bytes: 100, chunks: 1 });
    await ringCollector(shard);
    expect(await index.usage(domain)).toEqual({ bytes: 70, chunks: 1 });
  });

  test("takes the word of no shard about what is older than that shard's tables", async () => {
    const domain = newDomain();
    const [chunk = node] = chunksOf("lost index", 1);
    const removed = await publish(domain, "a", [chunk]);
    await removed.remove();
    await passTime(2 * HOUR_MS);
    await beReborn(removed.nameHash);
    await collectAll();
    expect(await referencesTo(chunk)).toBe(1);
    await passTime(3 * HOUR_MS);
    await collectAll();
    // Control: the reference is older than the shard still, and of a shard that is older it is taken.
    expect(await referencesTo(chunk)).toBe(1);
    await runInDurableObject(shardOf(removed.nameHash), (_, { storage }) =>
      storage.sql.exec("UPDATE settings SET value = 0 WHERE key = 'born-at'"),
    );
    await collectAll();
    expect(await referencesTo(chunk)).toBe(0);
  });

  test("leaves references alone that do not say for which name they are", async () => {
    const domain = newDomain();
    const [chunk = node] = chunksOf("nameless", 1);
    const publication = await publish(domain, "a", [chunk]);
    await publication.remove();
    await runInDurableObject(shardOf(chunk), (_, { storage }) =>
      storage.sql.exec("UPDATE refs SET name_hash = '' WHERE chunk = ?", chunk),
    );
    await passTime(2 * HOUR_MS);
    await collectAll();
    expect(await referencesTo(chunk)).toBe(1);
  });

  test("is due while a shard has references, and not where it has none", async () => {
    const domain = newDomain();
    const [chunk = node] = chunksOf("due", 1);
    const shard = shardOf(chunk);
    await publish(domain, "a", [chunk]);
    await collectIn(shard);
    const due = await collectorDue(shard);
    expect(due).toBeGreaterThan(Date.now() + 23 * HOUR_MS);
    expect(due).toBeLessThan(Date.now() + 25 * HOUR_MS);
    await runInDurableObject(shard, (_, { storage }) => storage.sql.exec("DELETE FROM refs"));
    await ringCollector(shard);
    expect(await collectorDue(shard)).toBe(null);
    await publish(domain, "b", [chunk]);
    expect(await collectorDue(shard)).not.toBe(null);
  });
});

describe("a Removal", () => {
  test("ends the references at once that are old enough, and charges go down; doubled, it is the same", async () => {
    const domain = newDomain();
    const chunks = chunksOf("at once", 20);
    const removed = await publish(domain, "a", chunks);
    const kept = await publish(domain, "b", chunks.slice(0, 5));
    await passTime(2 * HOUR_MS);
    // Control: nothing has ended.
    await removed.endUses();
    expect(await countReferences(chunks)).toBe(25);
    await removed.remove();
    await Promise.all([removed.endUses(), removed.endUses()]);
    await removed.endUses();
    expect(await countReferences(chunks)).toBe(5);
    expect(await countReferences(kept.chunks)).toBe(5);
    expect(await index.usage(domain)).toEqual({ bytes: 500, chunks: 5 });
  });

  test("ends nothing that another Version of the name still needs, or that is being published again", async () => {
    const domain = newDomain();
    const chunks = chunksOf("not at once", 3);
    const first = await publish(domain, "a", chunks);
    const second = await publish(domain, "a", chunks, first);
    await passTime(2 * HOUR_MS);
    await second.remove();
    await second.endUses();
    expect(await countReferences(chunks)).toBe(3);
    await first.remove();
    const third = new Publication(domain, "a", chunks, second);
    await third.reference(node);
    await first.endUses();
    expect(await countReferences(chunks)).toBe(3);
    expect(await third.append()).toBe("accepted");
    await passTime(2 * HOUR_MS);
    await first.endUses();
    await collectAll();
    expect(await countReferences(chunks)).toBe(3);
    expect(await index.usage(domain)).toEqual({ bytes: 300, chunks: 3 });
  });

  test("ends nothing that is older than the tables of its name's shard", async () => {
    const domain = newDomain();
    const chunks = chunksOf("older than the name", 2);
    const removed = await publish(domain, "a", chunks);
    await passTime(2 * HOUR_MS);
    await beReborn(removed.nameHash);
    await removed.remove();
    await removed.endUses();
    expect(await countReferences(chunks)).toBe(2);
  });
});
