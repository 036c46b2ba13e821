// A shard that finds a chunk on too few failure domains, and has other nodes copy it: with real shards, real links and
// nodes that answer as real ones do.

import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { MEMBER_CACHE_MS } from "../../durable-objects/member-cache.ts";
import { CROWDED_AFTER_ATTEMPTS } from "../../durable-objects/repair.ts";
import type { RepairCounts } from "../../durable-objects/repairs-table.ts";
import { base64 } from "../../lib/base64.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { DAY_MS, RepairScene, type Taker } from "./repair-scene.ts";
import { append } from "./test-objects.ts";
import { reference } from "./test-rows.ts";

const GONE = { online: false, sinceMs: Date.now() - DAY_MS };

/** Members are remembered for a moment: what is said of them now is known after it. */
const forgetMembers = () => new Promise((resolve) => setTimeout(resolve, MEMBER_CACHE_MS + 100));

describe("a holder that is gone for longer than the grace", () => {
  test("is made up for by a node that has not got the chunk, and the chunk is back on target", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const gone = await scene.holder(GONE);
    const source = await scene.source();
    const taker = await scene.taker();
    await scene.run("sweep");
    expect(await scene.waiting()).toMatchObject({ reason: "gone", attempts: 0 });
    await scene.run("repair");
    expect(await scene.waiting()).toBeNull();
    expect(await scene.holders()).toEqual([gone, source.node.id, taker.node.id]);
    expect(taker.orders).toEqual([
      {
        ...{ chunk: scene.chunk, size: 1000, domain: scene.domain },
        sources: [{ id: source.node.id, url: null }],
      },
    ]);
    expect(source.orders).toEqual([]);
  });

  test("is made up for once, however often alarms come, and whatever is evicted between them", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.holder(GONE);
    await scene.source();
    const takers = [await scene.taker(), await scene.taker(), await scene.taker()];
    for (let i = 0; i < 2; i++) {
      await scene.run("sweep", "sweep");
      await evictDurableObject(scene.shard);
      await Promise.all([scene.run("repair"), scene.run("repair")]);
      await evictDurableObject(scene.shard);
    }
    expect(await scene.waiting()).toBeNull();
    expect(await scene.holders()).toHaveLength(3);
    expect(new Set(takers.flatMap(({ node, orders }) => orders.map(() => node.id))).size).toBe(1);
  });

  test("costs nothing where nobody needs the chunk", async () => {
    const scene = new RepairScene();
    await scene.holder(GONE);
    await scene.source();
    await scene.run("sweep");
    expect(await scene.waiting()).toBeNull();
  });

  test("is forgotten after a month, and only where others keep the chunk as often as needed", async () => {
    const long = { online: false, sinceMs: Date.now() - 31 * DAY_MS };
    const [kept, short] = [new RepairScene(), new RepairScene()];
    for (const scene of [kept, short]) await scene.need(scene === kept ? 1 : 2);
    const [, lastWord] = [await kept.holder(long), await short.holder(long)];
    const [here] = [await kept.holder(), await short.holder()];
    for (const scene of [kept, short]) await scene.run("sweep");
    expect(await kept.holders()).toEqual([here]);
    expect(await short.holders()).toContain(lastWord);
  });
});

describe("a copy of a Manifest", () => {
  const head = { contentType: "text/plain", metadata: {}, size: 0, digest: hashBytes(new Uint8Array(0)) };

  /** A Manifest that two Versions of a name have, on one of two nodes, and a node that may take it. */
  async function sceneOf(text: string) {
    const bytes = encodeManifest(
      { ...head, metadata: { text }, redundancy: { replicas: 1 } },
      { chunks: [] },
    );
    const scene = new RepairScene(bytes);
    const object = { domain: scene.domain, name: parseName("a"), bytes: new Uint8Array(0) };
    const first = await append(object, bytes);
    const second = await append({ ...object, previous: { id: first, sequence: 1 } }, bytes);
    await scene.need(2, { nameHash: nameHashOf(scene.domain, object.name) });
    await scene.holder(GONE);
    await scene.source();
    return { scene, taker: await scene.taker(), versions: [second, first] };
  }

  const idsIn = ({ posted }: Taker) =>
    posted.flatMap((one) => ("version" in one ? hashBytes(base64.decode(one.version.statement)) : []));

  test("comes with all that names it", async () => {
    const { scene, taker, versions } = await sceneOf("handed");
    await scene.run("sweep", "repair");
    expect(await scene.waiting()).toBeNull();
    expect(await scene.holders()).toContain(taker.node.id);
    expect(idsIn(taker)).toEqual(versions);
  });

  test("does not count before its node knows what names it", async () => {
    const { scene, taker, versions } = await sceneOf("busy");
    taker.isBusy = true;
    await scene.run("sweep", "repair");
    expect(taker.orders).toHaveLength(1);
    expect(await scene.holders()).not.toContain(taker.node.id);
    expect(await scene.waiting()).toMatchObject({ attempts: 1 });
    taker.isBusy = false;
    await scene.run("repair");
    expect(await scene.holders()).toContain(taker.node.id);
    expect(idsIn(taker)).toEqual(versions);
  });
});

describe("a holder that is offline", () => {
  test.each([
    ["within the grace", { online: false, sinceMs: Date.now() - 60_000 }],
    ["on purpose, until a time that has not come", { ...GONE, awayUntilMs: Date.now() + DAY_MS }],
  ])("%s counts, and nothing is copied", async (_, changes) => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.holder(changes);
    await scene.source();
    const taker = await scene.taker();
    await scene.run("sweep", "repair");
    expect([await scene.waiting(), taker.orders]).toEqual([null, []]);
  });

  test("on purpose, until a time that has passed, counts no more", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.holder({ ...GONE, awayUntilMs: Date.now() - 1000 });
    await scene.source();
    await scene.run("sweep");
    expect(await scene.waiting()).toMatchObject({ reason: "gone" });
  });
});

describe("a holder that is leaving", () => {
  test("is made up for while it is still there, and copied from", async () => {
    const scene = new RepairScene();
    await scene.need(1);
    const leaving = await scene.holder({ leaving: true });
    await scene.run("sweep");
    // The shard's own alarm may be as quick as the test: there is nobody yet who could take it.
    expect(await scene.waiting()).toMatchObject({ reason: "leaving" });
    const taker = await scene.taker();
    await scene.run("repair");
    expect(taker.orders[0]?.sources).toEqual([{ id: leaving, url: null }]);
    expect(await scene.waiting()).toBeNull();
  });

  test("hears how many others keep its chunks, and asking has what is short repaired without a sweep", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const leaving = await scene.holder({ leaving: true });
    await scene.source();
    const question = { chunks: [scene.chunk], node: leaving, isLeaving: true };
    expect(await scene.shard.kept(question)).toEqual([{ hash: scene.chunk, copies: 1, target: 2 }]);
    expect(await scene.waiting()).toMatchObject({ reason: "leaving" });
    await scene.taker();
    await scene.run("repair");
    expect(await scene.shard.kept(question)).toEqual([{ hash: scene.chunk, copies: 2, target: 2 }]);
  });

  test("is not asked to take anything, nor is one that is away", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.source();
    const [a, b] = [await scene.taker(), await scene.taker()];
    const root = env.PARTITION_SHARD.getByName(shardName(""));
    const [memberA, memberB] = await root.members([a.node.id, b.node.id]);
    if (memberA === undefined || memberB === undefined) throw new Error("both are members");
    const [leaving, away] = [
      { ...memberA, leaving: true },
      { ...memberB, awayUntilMs: Date.now() + DAY_MS },
    ];
    for (const prefix of ["", a.node.id, b.node.id]) {
      const shard = prefix === "" ? root : env.PARTITION_SHARD.getByName(shardName(bits(prefix)));
      await shard.putMember(leaving);
      await shard.putMember(away);
    }
    await forgetMembers();
    await scene.run("sweep", "repair");
    expect([a.orders, b.orders]).toEqual([[], []]);
    expect(await scene.waiting()).toMatchObject({ detail: expect.stringContaining("no other home node") });
  });
});

describe("a holder that has lost its disk", () => {
  test("holds no more what it was given before, and may take it again", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.source();
    const taker = await scene.taker();
    await scene.hold(taker.node.id);
    const root = env.PARTITION_SHARD.getByName(shardName(""));
    const [member] = await root.members([taker.node.id]);
    if (member === undefined) throw new Error("it is a member");
    await new Promise((resolve) => setTimeout(resolve, 5));
    await root.putMember({ ...member, lostMs: Date.now() });
    await forgetMembers();
    await scene.run("sweep");
    expect(await scene.holders()).not.toContain(taker.node.id);
    await scene.run("repair");
    expect(await scene.holders()).toContain(taker.node.id);
    expect(await scene.waiting()).toBeNull();
  });
});

describe("a chunk that no holder gives", () => {
  test("stays, says so, and is tried again later and later", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.holder(GONE);
    await scene.taker();
    await scene.run("sweep", "repair");
    const first = await scene.waiting();
    expect(first).toMatchObject({ attempts: 1, detail: "no holder gives it" });
    await scene.run("repair", "repair");
    const third = await scene.waiting();
    expect(third).toMatchObject({ attempts: 3 });
    const delay = (row: typeof first) => Number(row?.due) - Date.now();
    expect(delay(third)).toBeGreaterThan(2 * delay(first));
  });

  test("is counted in what the shard reports, and no more once a holder is back", async () => {
    const scene = new RepairScene();
    const counted = (isSo: (repairs: RepairCounts) => boolean) =>
      vi.waitUntil(
        async () => {
          const repairs = await scene.reported();
          return repairs !== null && isSo(repairs) ? repairs : null;
        },
        { timeout: 5000, interval: 50 },
      );
    await scene.need(2);
    await scene.holder(GONE);
    await scene.run("sweep", "repair");
    const before = await counted(({ unreadable }) => unreadable > 0);
    expect(before.short).toBeGreaterThanOrEqual(before.unreadable);
    await scene.source();
    await scene.taker();
    await scene.run("repair");
    const after = await counted(({ short }) => short === before.short - 1);
    expect(after.repaired.copies).toBe(before.repaired.copies + 1);
    expect(after.repaired.bytes).toBe(before.repaired.bytes + scene.bytes.length);
  });
});

describe("a chunk of a stripe", () => {
  test("that nobody gives is ordered with the others of its stripe, from a node that has none of them", async () => {
    const scene = new RepairScene();
    const [other, last] = [new Uint8Array(1000).fill(1), new Uint8Array(900).fill(2)];
    const encoder = new ParityEncoder(1, 1000);
    for (const bytes of [scene.bytes, other, last]) encoder.add(bytes);
    const [parity = other] = encoder.finish();
    const nodes = await Promise.all([scene.taker(), scene.taker(), scene.taker(), scene.taker()]);
    const [first, second, third, free] = nodes;
    const ref = (bytes: Uint8Array) => ({ hash: hashBytes(bytes), size: bytes.length });
    const manifest = encodeManifest(
      {
        ...{ size: 2900, digest: scene.chunk, contentType: "text/plain", metadata: {} },
        redundancy: { data: 3, parity: 1 },
      },
      { chunks: [scene.bytes, other, last].map(ref), parity: [ref(parity)] },
    );
    await scene.give(first, other);
    await scene.give(second, last);
    await scene.give(third, parity);
    const listedIn = await scene.give(first, manifest);
    await scene.need(1, { manifest: listedIn, listedIn });
    await scene.holder(GONE);
    await scene.run("sweep", "repair");
    expect([first, second, third].flatMap(({ orders }) => orders)).toEqual([]);
    const from = ({ node }: typeof first) => [{ id: node.id, url: null }];
    expect(free.orders).toEqual([
      {
        ...{ chunk: scene.chunk, size: 1000, domain: scene.domain, sources: [] },
        stripe: {
          data: [
            { ...ref(scene.bytes), sources: [] },
            { ...ref(other), sources: from(first) },
            { ...ref(last), sources: from(second) },
          ],
          parity: [{ ...ref(parity), sources: from(third) }],
        },
      },
    ]);
    expect(await scene.holders()).toContain(free.node.id);
    expect(await scene.waiting()).toBeNull();
  });

  test("goes beside another of its stripe only after some attempts found no failure domain without one", async () => {
    const scene = new RepairScene();
    const other = new Uint8Array(1000).fill(3);
    const encoder = new ParityEncoder(1, 1000);
    for (const bytes of [scene.bytes, other]) encoder.add(bytes);
    const [parity = other] = encoder.finish();
    const [first, second] = [await scene.taker(), await scene.taker()];
    const ref = (bytes: Uint8Array) => ({ hash: hashBytes(bytes), size: bytes.length });
    const manifest = encodeManifest(
      {
        ...{ size: 2000, digest: scene.chunk, contentType: "text/plain", metadata: {} },
        redundancy: { data: 2, parity: 1 },
      },
      { chunks: [scene.bytes, other].map(ref), parity: [ref(parity)] },
    );
    await scene.give(first, other);
    await scene.give(second, parity);
    const listedIn = await scene.give(first, manifest);
    await scene.need(1, { manifest: listedIn, listedIn });
    for (const chunk of [other, parity].map((bytes) => hashBytes(bytes))) {
      const { domain } = scene;
      const references = [reference({ chunk, domain, manifest: listedIn, copies: 1, listedIn })];
      await shardOf(chunk).write({ held: [], references, statements: [] });
    }
    await scene.holder(GONE);
    await scene.run("sweep");
    for (let i = 0; i < CROWDED_AFTER_ATTEMPTS; i++) await scene.run("repair");
    expect([...first.orders, ...second.orders]).toEqual([]);
    await scene.run("repair");
    expect([...first.orders, ...second.orders]).toHaveLength(1);
    // Better than none, and not where it should be: one of the two on one node waits for another.
    const waiting = await Promise.all([scene.chunk, hashBytes(other), hashBytes(parity)].map(reasonOf));
    expect(waiting.filter((reason) => reason !== null)).toEqual(["crowded"]);
  });

  test("that shares a failure domain with one of another shard is copied once more by whichever is left over", async () => {
    const scene = new RepairScene();
    const other = new Uint8Array(1000).fill(scene.chunk.charCodeAt(0));
    const encoder = new ParityEncoder(1, 1000);
    for (const bytes of [scene.bytes, other]) encoder.add(bytes);
    const [parity = other] = encoder.finish();
    const [shared, second] = [await scene.taker(), await scene.taker()];
    const ref = (bytes: Uint8Array) => ({ hash: hashBytes(bytes), size: bytes.length });
    const manifest = encodeManifest(
      {
        ...{ size: 2000, digest: scene.chunk, contentType: "text/plain", metadata: {} },
        redundancy: { data: 2, parity: 1 },
      },
      { chunks: [other, scene.bytes].map(ref), parity: [ref(parity)] },
    );
    await scene.give(shared, other);
    await scene.give(shared, scene.bytes);
    await scene.give(second, parity);
    const listedIn = await scene.give(second, manifest);
    await scene.need(1, { manifest: listedIn, listedIn });
    const free = await scene.taker();
    // Nobody looks for it before a shard is told.
    await scene.run("sweep", "repair");
    expect(free.orders).toEqual([]);
    await scene.shard.lookAt([scene.chunk]);
    await scene.run("repair");
    expect(free.orders).toHaveLength(1);
    expect(await scene.waiting()).toBeNull();
    expect(await scene.holders()).toContain(free.node.id);
  });
});

describe("what a new holder says", () => {
  test("of others is not believed before the shard has seen it itself", async () => {
    const scene = new RepairScene();
    await scene.need(3);
    const [honest, empty] = [await scene.source(), await scene.source()];
    empty.bytes = null;
    const taker = await scene.taker();
    taker.say = (order) => {
      const failed = [honest, empty].map(({ node }) => ({ id: node.id, code: "missing" as const }));
      return scene.copied(taker, order, failed);
    };
    await scene.run("sweep", "repair");
    const holders = await scene.holders();
    expect(holders).toContain(honest.node.id);
    expect(holders).toContain(taker.node.id);
    expect(holders).not.toContain(empty.node.id);
  });

  test("of itself is worth its signed receipt: another's is none", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const source = await scene.source();
    const liar = await scene.taker();
    liar.say = (order) => scene.copied(source, order);
    await scene.run("sweep", "repair");
    expect(await scene.holders()).toEqual([source.node.id]);
    liar.say = null;
    await scene.run("repair");
    expect(await scene.holders()).toEqual([source.node.id, liar.node.id]);
  });

  test("is no: the next one is asked", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    await scene.source();
    const takers = [await scene.taker(), await scene.taker()];
    let asked = 0;
    for (const taker of takers)
      taker.say = async (order) => (asked++ === 0 ? "refuses" : scene.copied(taker, order));
    await scene.run("sweep", "repair");
    expect(asked).toBe(2);
    expect(await scene.waiting()).toBeNull();
  });
});

/** Why a chunk is looked at, or null where it is not. */
function reasonOf(chunk: Hash): Promise<string | null> {
  return runInDurableObject(shardOf(chunk), (_, { storage }) => {
    const [row] = storage.sql
      .exec<{ reason: string }>("SELECT reason FROM repairs WHERE chunk = ?", chunk)
      .toArray();
    return row?.reason ?? null;
  });
}

function shardOf(chunk: Hash) {
  return env.PARTITION_SHARD.getByName(shardName(leafPrefix(chunk, 4)));
}

function bits(id: string): string {
  return Number.parseInt(id.slice(0, 1), 16).toString(2).padStart(4, "0");
}

describe("a copy that takes long", () => {
  test("keeps no other chunk of its shard waiting, nor the shard's other duties", async () => {
    const scene = new RepairScene();
    await scene.need(2);
    const source = await scene.source();
    const taker = await scene.taker();
    const held = Promise.withResolvers<void>();
    taker.say = async (order) => {
      if (order.chunk === scene.chunk) await held.promise;
      return scene.copied(taker, order);
    };
    await scene.run("sweep");
    const running = scene.run("repair");
    await vi.waitFor(() => expect(taker.orders).toHaveLength(1));
    const other = besideIn(leafPrefix(scene.chunk, 4));
    await scene.shard.write({
      held: [{ chunk: other, node: source.node.id, sizeBytes: 1000 }],
      references: [reference({ chunk: other, domain: scene.domain, manifest: other, copies: 2 })],
      statements: [],
    });
    const sweeping = scene.run("sweep");
    await vi.waitFor(async () => expect((await scene.shard.locate([other]))[0]?.holders).toHaveLength(2), {
      timeout: 10_000,
    });
    expect(await scene.waiting()).not.toBeNull();
    held.resolve();
    await Promise.all([running, sweeping]);
    await vi.waitFor(async () => expect(await scene.waiting()).toBeNull());
    expect(taker.orders.map(({ chunk }) => chunk)).toEqual([scene.chunk, other]);
  }, 20_000);
});

/** A hash in the shard. */
function besideIn(prefix: string): Hash {
  for (let i = 0; ; i++) {
    const hash = hashBytes(new TextEncoder().encode(`beside ${i}`));
    if (leafPrefix(hash, 4) === prefix) return hash;
  }
}
