// Audits in real shards, of nodes that answer through their real tunnels.

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { SUSPECT_REST_MS } from "../../durable-objects/suspects-table.ts";
import { STANDING_CLEAR, STANDING_MIN, STANDING_UNKNOWN } from "../../lib/durability/standing.ts";
import { uptimeOf } from "../../lib/durability/uptime.ts";
import { hashBytes } from "../../lib/hash.ts";
import { AuditedNode, auditNow, checkedAt, repairsOf, shardOf, shardsOf } from "./audit-scene.ts";
import { bytesOf, EDGE } from "./test-node.ts";

const RUNS_MAX = 20;

/** Rounds of all shards that list something of the node, one after the other; false where it was not found. */
async function auditUntilFound(node: AuditedNode): Promise<boolean> {
  for (let run = 0; run < RUNS_MAX; run++) {
    for (const shard of shardsOf(node.chunks)) {
      await auditNow(shard);
      if (((await node.record())?.failed ?? 0) > 0) return true;
    }
  }
  return false;
}

describe("a node that dropped a tenth of 200 chunks", () => {
  test("is found by audits, loses what it does not have, and its chunk is queued for repair", async () => {
    const [bad, good] = [await AuditedNode.create(), await AuditedNode.create()];
    const chunks = await bad.hold(200, 1);
    await good.hold(200, 2);
    for (const chunk of chunks.slice(0, 20)) bad.drop(chunk);
    expect(await auditUntilFound(bad)).toBe(true);
    // 0.9^150 is less than one in a million.
    expect(bad.asked.length).toBeLessThan(150);
    const record = await bad.record();
    expect(record?.events[0]).toMatchObject({ code: "missing" });
    const lost = chunks.slice(0, 20).filter((chunk) => bad.asked.includes(`/chunk/${chunk}`));
    for (const chunk of lost) {
      expect(await checkedAt(chunk, bad.id)).toBe(null);
      expect(await repairsOf(shardOf(chunk))).toContainEqual({ chunk, reason: "missing" });
    }
    expect((await bad.member()).standing).toBeLessThan(STANDING_CLEAR);
    // Control: who keeps everything is read as well, and only gains by it.
    for (let run = 0; run < RUNS_MAX && good.asked.length <= 10; run++) {
      for (const shard of shardsOf(good.chunks)) await auditNow(shard);
    }
    expect(good.asked.length).toBeGreaterThan(10);
    expect(await good.record()).toMatchObject({ failed: 0, events: [] });
    expect((await good.member()).standing).toBeGreaterThan(STANDING_UNKNOWN);
  });
});

describe("an audit", () => {
  test("notes when a chunk was given, for the holder and for the node, with what it speaks for", async () => {
    const node = await AuditedNode.create();
    const [chunk = hashBytes(bytesOf(1))] = await node.hold(1, 3);
    expect(await checkedAt(chunk, node.id)).toBe(0);
    for (let i = 0; i < RUNS_MAX && node.asked.length === 0; i++) await auditNow(shardOf(chunk));
    expect(await checkedAt(chunk, node.id)).toBeGreaterThan(Date.now() - 60_000);
    const record = await node.record();
    expect(record).toMatchObject({ failed: 0, uptime: expect.any(Number) });
    expect(record?.passed).toBeGreaterThan(0);
    expect(await node.member()).toMatchObject({ chunks: 1, shards: 1 });
  });

  test("of other bytes takes the holder off as well, and says so", async () => {
    const node = await AuditedNode.create();
    const [chunk = hashBytes(bytesOf(1))] = await node.hold(1, 4);
    node.spoil(chunk);
    for (let i = 0; i < RUNS_MAX && node.asked.length === 0; i++) await auditNow(shardOf(chunk));
    expect(await checkedAt(chunk, node.id)).toBe(null);
    expect((await node.record())?.events).toMatchObject([{ chunk, code: "corrupt" }]);
    expect(await node.member()).toMatchObject({ chunks: null, shards: 0 });
    await vi.waitUntil(() => node.node.records.length > 0);
    expect(node.node.records.at(-1)).toMatchObject({ failed: 1, events: [{ chunk, code: "corrupt" }] });
  });

  test("that nobody answers loses nothing: offline is not lost", async () => {
    const node = await AuditedNode.create();
    const [chunk = hashBytes(bytesOf(1))] = await node.hold(1, 5);
    node.node.onFrame(() => node.node.close());
    for (let i = 0; i < RUNS_MAX && (await node.record()) === null; i++) await auditNow(shardOf(chunk));
    expect((await node.record())?.events).toMatchObject([{ chunk, code: "unreachable" }]);
    expect(await checkedAt(chunk, node.id)).toBe(0);
    expect(await repairsOf(shardOf(chunk))).not.toContainEqual({ chunk, reason: expect.anything() });
    expect((await node.member()).standing).toBe(STANDING_UNKNOWN);
    await vi.waitUntil(async () => !(await node.member()).online);
  });

  test("round that comes twice reads nothing more; after an eviction it goes on", async () => {
    const node = await AuditedNode.create();
    const chunks = await node.hold(3, 6);
    const shard = shardOf(chunks[0] ?? node.id);
    for (let i = 0; i < RUNS_MAX && node.asked.length === 0; i++) await auditNow(shard);
    const asked = node.asked.length;
    await runInDurableObject(shard, (_, { storage }) => {
      storage.sql.exec("UPDATE duties SET due = ? WHERE name = 'audit'", Date.now());
    });
    await runDurableObjectAlarm(shard);
    expect(node.asked.length).toBe(asked);
    await evictDurableObject(shard);
    for (let i = 0; i < RUNS_MAX && node.asked.length === asked; i++) await auditNow(shard);
    expect(node.asked.length).toBeGreaterThan(asked);
  });
});

describe("what others saw", () => {
  const index = () => new IndexClient(env);

  test("counts where it went wrong, and only for what was listed", async () => {
    const [holder, stranger] = [await AuditedNode.create(), await AuditedNode.create()];
    const [chunk = hashBytes(bytesOf(1)), other = chunk] = await holder.hold(2, 7);
    await index().noteChecks([
      { chunk, node: holder.id, code: "missing" },
      { chunk, node: stranger.id, code: "missing" },
      { chunk: other, node: holder.id, code: "passed" },
    ]);
    expect(await checkedAt(chunk, holder.id)).toBe(null);
    expect(await checkedAt(other, holder.id)).toBeGreaterThan(0);
    expect(await stranger.record()).toBe(null);
    // What a reader chose to read speaks for the chunk, and not for the node.
    expect(await holder.record()).toMatchObject({ passed: 0, failed: 1 });
  });

  test("brings a node that has nothing below the least within three failures", async () => {
    const node = await AuditedNode.create();
    const chunks = await node.hold(3, 8);
    for (const [i, chunk] of chunks.entries()) {
      await index().noteChecks([{ chunk, node: node.id, code: "missing" }]);
      if (i < 2) continue;
      expect((await node.member()).standing).toBeLessThan(STANDING_MIN);
    }
  });

  test("is not held against a node for what it said that it lost", async () => {
    const node = await AuditedNode.create();
    const [chunk = hashBytes(bytesOf(1))] = await node.hold(1, 9);
    const member = await node.member();
    await shardOf(node.id).putMember({ ...member, lostMs: Date.now() + 1000 });
    await index().noteChecks([{ chunk, node: node.id, code: "missing" }]);
    expect(await checkedAt(chunk, node.id)).toBe(null);
    expect(await node.record()).toMatchObject({ failed: 0 });
  });
});

describe("the ledger", () => {
  const ledgerOf = async (node: AuditedNode) => {
    const rows = await runInDurableObject(shardOf(node.id), (_, { storage }) =>
      storage.sql.exec("SELECT served_bytes, taken_bytes FROM node_ledger WHERE node = ?", node.id).toArray(),
    );
    return rows[0] ?? null;
  };

  test("has what the edge saw a node take and give, each chunk that it was given once", async () => {
    const node = await AuditedNode.create();
    const [chunk = hashBytes(bytesOf(1))] = await node.hold(1, 12);
    await node.claim([chunk]);
    for (const path of [`/via/${node.id}/chunk/${chunk}`, `/via/${node.id}/chunk/${chunk}`]) {
      const answer = await SELF.fetch(`${EDGE}${path}`);
      expect((await answer.arrayBuffer()).byteLength).toBe(60);
    }
    await vi.waitFor(async () =>
      expect(await ledgerOf(node)).toEqual({ served_bytes: 120, taken_bytes: 60 }),
    );
  });

  test("has against a node what it did not give through the relay, where it is listed for it", async () => {
    const [holder, other] = [await AuditedNode.create(), await AuditedNode.create()];
    const [chunk = hashBytes(bytesOf(1))] = await holder.hold(1, 13);
    holder.drop(chunk);
    for (const { id } of [holder, other])
      expect((await SELF.fetch(`${EDGE}/via/${id}/chunk/${chunk}`)).status).toBeGreaterThanOrEqual(400);
    await vi.waitFor(async () => expect(await holder.record()).toMatchObject({ failed: 1 }));
    expect(await other.record()).toBe(null);
    expect(await checkedAt(chunk, holder.id)).toBe(null);
  });

  test("has how long a node was online, whatever is said twice", async () => {
    const [node] = [await AuditedNode.create()];
    const member = await node.member();
    const hour = 3_600_000;
    const root = shardOf(node.id);
    const start = Date.now() - 10 * hour;
    const say = (online: boolean, sinceMs: number, epoch: number) =>
      root.putMember({ ...member, online, sinceMs, epoch });
    await runInDurableObject(root, (_, { storage }) => {
      storage.sql.exec("UPDATE members SET first_seen = ?, since = ? WHERE id = ?", start, start, node.id);
    });
    for (let i = 0; i < 2; i++) await say(false, start + 4 * hour, 1);
    for (let i = 0; i < 2; i++) await say(true, start + 8 * hour, 2);
    const [now] = await root.members([node.id]);
    expect(now?.onlineMs).toBe(4 * hour);
    expect(uptimeOf(now ?? member, Date.now())).toBeCloseTo(0.6, 3);
  });
});

describe("a complaint", () => {
  const complain = (chunks: { hash: string; node: string }[]) =>
    SELF.fetch(`${EDGE}/chunk/suspect`, { method: "POST", body: JSON.stringify({ chunks }) });

  test("is not believed: the holder is read next, and stays where it gives the chunk", async () => {
    const [honest, liar] = [await AuditedNode.create(), await AuditedNode.create()];
    const [chunk = hashBytes(bytesOf(1))] = await honest.hold(1, 10);
    await liar.claim([chunk]);
    const answer = await complain([honest, liar].map(({ id }) => ({ hash: chunk, node: id })));
    expect([answer.status, await answer.json()]).toEqual([202, { noted: 2 }]);
    expect(await checkedAt(chunk, honest.id)).toBe(0);
    await auditNow(shardOf(chunk), 0);
    expect(await checkedAt(chunk, honest.id)).toBeGreaterThan(0);
    expect(await checkedAt(chunk, liar.id)).toBe(null);
    expect((await honest.member()).standing).toBe(STANDING_UNKNOWN);
    expect((await liar.member()).standing).toBeLessThan(STANDING_UNKNOWN);
  });

  test("of who is no holder, or showed the chunk lately, is dropped; the same again counts once", async () => {
    const [holder, stranger] = [await AuditedNode.create(), await AuditedNode.create()];
    const [chunk = hashBytes(bytesOf(1))] = await holder.hold(1, 11);
    expect(await (await complain([{ hash: chunk, node: stranger.id }])).json()).toEqual({ noted: 0 });
    const mine = [{ hash: chunk, node: holder.id }];
    expect(await (await complain([...mine, ...mine])).json()).toEqual({ noted: 1 });
    await auditNow(shardOf(chunk), 0);
    expect(holder.asked.length).toBe(1);
    expect(await (await complain(mine)).json()).toEqual({ noted: 0 });
    await runInDurableObject(shardOf(chunk), (_, { storage }) => {
      storage.sql.exec(
        "UPDATE holders SET checked = ? WHERE chunk = ?",
        Date.now() - SUSPECT_REST_MS - 1,
        chunk,
      );
    });
    expect(await (await complain(mine)).json()).toEqual({ noted: 1 });
  });

  test("is bounded, and refused where it is out of form", async () => {
    const row = { hash: hashBytes(bytesOf(1)), node: hashBytes(bytesOf(2)) };
    for (const body of [
      { chunks: [] },
      { chunks: new Array(65).fill(row) },
      { chunks: [{ hash: "x", node: "y" }] },
      7,
    ]) {
      const answer = await SELF.fetch(`${EDGE}/chunk/suspect`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      expect(answer.status).toBe(400);
    }
  });
});
