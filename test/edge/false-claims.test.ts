// THREATS 9: nodes that sign receipts for everything and hold nothing. Reads succeed through all of them, and each is off
// the list within three failures.

import { runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test, vi } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { isDelisted } from "../../lib/durability/standing.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { parseDomain, parseName } from "../../lib/names.ts";
import { placeReplicas } from "../../lib/overlay/placement.ts";
import { AuditedNode, auditNow, shardOf } from "./audit-scene.ts";
import { bytesOf, EDGE } from "./test-node.ts";
import { TestHolder } from "./test-objects.ts";

const LIARS = 20;
const FAILURES_MAX = 3;
const AUDIT_ROUNDS_MAX = 10;
const domain = parseDomain("example.org");

/** Every node's receipts are older than the honest one's: by age alone they would come first. */
async function claimFirst(liars: AuditedNode[], chunks: Hash[]): Promise<void> {
  for (const liar of liars) await liar.claim(chunks);
  for (const chunk of chunks) {
    await runInDurableObject(shardOf(chunk), (_, { storage }) => {
      for (const { id } of liars)
        storage.sql.exec("UPDATE holders SET since = 1 WHERE chunk = ? AND node = ?", chunk, id);
    });
  }
}

test("20 nodes that claim everything: reads succeed, and each is delisted within 3 failures", async () => {
  const honest = await TestHolder.create();
  const liars = await Promise.all(Array.from({ length: LIARS }, () => AuditedNode.create()));
  const objects = Array.from({ length: 12 }, (_, i) => ({
    ...{ domain, name: parseName(`claimed-${i}`), bytes: bytesOf(3000 + i, i + 1) },
  }));
  for (const object of objects) await honest.publish(object);
  await claimFirst(
    liars,
    objects.map(({ bytes }) => hashBytes(bytes)),
  );
  const failuresOf = async (liar: AuditedNode) => (await liar.record())?.failed ?? 0;
  for (const { name, bytes } of objects) {
    const response = await SELF.fetch(`${EDGE}/obj/${domain}/${name}`);
    expect(response.status).toBe(200);
    expect(hashBytes(new Uint8Array(await response.arrayBuffer()))).toBe(hashBytes(bytes));
  }
  // The edge is told of failures beside the answers; of what it has seen fail it reads more.
  await vi.waitFor(
    async () => {
      for (const liar of liars) expect(await failuresOf(liar)).toBeGreaterThan(0);
    },
    { timeout: 10_000 },
  );
  const areDelisted = async () =>
    (await Promise.all(liars.map((liar) => liar.member()))).every(({ standing }) => isDelisted(standing));
  const shards = objects.map(({ bytes }) => shardOf(hashBytes(bytes)));
  for (let round = 0; round < AUDIT_ROUNDS_MAX && !(await areDelisted()); round++) {
    for (const shard of shards) await auditNow(shard);
  }
  expect(await areDelisted()).toBe(true);
  for (const liar of liars) {
    const member = await liar.member();
    const request = { chunk: hashBytes(bytesOf(9)), sizeBytes: 1, domain, count: 1 };
    const place = (candidate: typeof member) =>
      placeReplicas(
        { ...request, taken: new Set(), avoid: new Set(), holders: [], hoursYield: false, nowMs: Date.now() },
        [candidate],
      );
    expect(place(member)).toEqual([]);
    // Control: it is for its standing, and nothing else.
    expect(place({ ...member, standing: 0.5 })).toEqual([liar.id]);
  }
  expect(Math.min(...(await Promise.all(liars.map(failuresOf))))).toBeGreaterThan(0);
  const asked = liars.map((liar) => liar.asked.length);
  const { name, bytes } = objects[0] ?? { name: parseName("none"), bytes: bytesOf(1) };
  const again = await SELF.fetch(`${EDGE}/obj/${domain}/${name}`);
  expect((await again.arrayBuffer()).byteLength).toBe(bytes.length);
  expect(liars.map((liar) => liar.asked.length)).toEqual(asked);
});

test("a node that claims is delisted by its first three failures, one that keeps its chunks by none", async () => {
  const [liar, keeper] = [await AuditedNode.create(), await AuditedNode.create()];
  const chunks = await keeper.hold(FAILURES_MAX, 77);
  await liar.claim(chunks);
  const index = new IndexClient(env);
  for (const chunk of chunks) {
    const holding = (await index.holdings([chunk])).get(chunk);
    for (const node of holding?.holders ?? []) {
      const { status } = await index.read({ id: node, url: null }, { hash: chunk });
      await index.noteChecks([{ chunk, node, code: status === "read" ? "passed" : status }]);
    }
  }
  expect(await liar.record()).toMatchObject({ failed: FAILURES_MAX });
  expect(isDelisted((await liar.member()).standing)).toBe(true);
  expect(isDelisted((await keeper.member()).standing)).toBe(false);
  expect(await index.locate(chunks)).toEqual(new Map(chunks.map((chunk) => [chunk, [keeper.id]])));
});
