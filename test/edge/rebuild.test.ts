// An index that was lost, or never was, comes back from home nodes: names, Versions, Removals, Manifests, references, charges and
// holders, each verified on the way in, whatever comes first and whatever fails midway.

import { evictDurableObject, runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { fillingUntilMs } from "../../durable-objects/birth.ts";
import { CLAIMED } from "../../durable-objects/chunks-table.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import { STATEMENTS_PER_STEP_MAX } from "../../durable-objects/names-visit.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { leafPrefix } from "../../lib/overlay/shards.ts";
import { parseNameAnswer } from "../../lib/wire/names.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { verifyWitness } from "../../lib/witness.ts";
import { KeepingNode } from "./keeping-node.ts";
import {
  DOMAIN,
  type Kept,
  makeRemoval,
  makeVersion,
  OLD_KEY_FILL,
  ownEdge,
  shardOf,
  signerOf,
} from "./rebuild-scene.ts";
import { rowsOf, shardAt, splitShard } from "./split-scene.ts";
import { EDGE, TestNode } from "./test-node.ts";

const index = new IndexClient(env);
const STRANGER_FILL = 99;
const GRACE_MS = 60_000;

async function keeper(...kept: Kept[]): Promise<KeepingNode> {
  const node = await KeepingNode.create();
  keep(node, ...kept);
  return node;
}

function keep(node: KeepingNode, ...kept: Kept[]): void {
  node.keep(...kept);
  for (const { chunks } of kept) node.hold(...chunks);
}

async function history(length: number, name?: string): Promise<Kept[]> {
  const versions: Kept[] = [];
  for (let i = 0; i < length; i++)
    versions.push(
      await makeVersion({ previous: versions.at(-1) ?? null, ...(name === undefined ? {} : { name }) }),
    );
  return versions;
}

/** Ids of the name's Versions as the edge lists them; none where it does not know the name. */
async function listed({ nameHash }: Pick<Kept, "nameHash">): Promise<Hash[]> {
  const response = await SELF.fetch(`${EDGE}/name/${nameHash}?domain=${DOMAIN}`);
  if (response.status === 404) return [];
  const { versions } = parseNameAnswer(await response.json());
  return versions.map(({ statement }) => hashBytes(Uint8Array.from(atob(statement), (c) => c.charCodeAt(0))));
}

async function read({ body }: Kept): Promise<{ status: number; hash: Hash }> {
  const response = await SELF.fetch(`${EDGE}/obj/${body.domain}/${encodeURIComponent(body.name ?? "")}`);
  return { status: response.status, hash: hashBytes(new Uint8Array(await response.arrayBuffer())) };
}

async function status(): Promise<EdgeStatus> {
  return parseEdgeStatus(await (await SELF.fetch(`${EDGE}/status`)).json());
}

async function checkedOf(chunk: Hash, { id }: KeepingNode): Promise<number | null> {
  return runInDurableObject(shardOf(chunk), (_, { storage }) => {
    const [row] = storage.sql
      .exec<{ checked: number }>("SELECT checked FROM holders WHERE chunk = ? AND node = ?", chunk, id)
      .toArray();
    return row?.checked ?? null;
  });
}

describe("what volunteers keep comes back", () => {
  test("a name with its Versions, bytes, holders and charges; and it goes on", async () => {
    const versions = await history(3);
    const [, , newest] = versions as [Kept, Kept, Kept];
    const before = await index.usage(DOMAIN);
    const node = await keeper(...versions);
    await node.sync();
    expect(await listed(newest)).toEqual(versions.map(({ id }) => id).reverse());
    expect(await read(newest)).toEqual({ status: 200, hash: hashBytes(newest.bytes) });
    const chunks = versions.flatMap((version) => version.chunks);
    const hashes = chunks.map((bytes) => hashBytes(bytes));
    const holdings = await index.locate(hashes);
    expect(hashes.map((hash) => holdings.get(hash))).toEqual(hashes.map(() => [node.id]));
    const bytes = chunks.reduce((total, { length }) => total + length, before.bytes);
    expect(await index.usage(DOMAIN)).toEqual({ bytes, chunks: before.chunks + chunks.length });
    const next = await makeVersion({ previous: newest });
    const { id, body, manifestBytes } = next;
    const appended = await shardOf(next.nameHash).append([
      {
        ...{ ...body, id, manifestBytes, name: body.name ?? null, expires: null, key: "another key" },
        ...{
          bytes: new Uint8Array([1]),
          signature: "signature",
          right: { by: "domain-key" },
          delegation: null,
        },
        witness: { bytes: new Uint8Array([1]), signature: "witness signature" },
      },
    ]);
    expect(appended).toMatchObject([{ status: "accepted" }]);
  });

  test("in any order, from several nodes, and once", async () => {
    const versions = await history(4);
    const [first, second, third, fourth] = versions as [Kept, Kept, Kept, Kept];
    const late = await keeper(fourth, second);
    const early = await keeper(third, first, second);
    await late.sync();
    expect(await listed(first)).toEqual([fourth.id, second.id]);
    await early.sync();
    await late.sync();
    expect(await listed(first)).toEqual(versions.map(({ id }) => id).reverse());
  });

  test("with a witness of this edge's own where the key is in DNS, whosever came along", async () => {
    const version = await makeVersion({ witnessBy: await signerOf(STRANGER_FILL) });
    const node = await keeper(version);
    await node.sync();
    const stored = await index.shardOf(version.nameHash).version(version.id);
    const statement = { ...stored, body: version.body, key: (await signerOf(42)).key };
    const witness = await verifyWitness(stored?.witness as never, statement as never);
    expect(witness.key).toEqual((await ownEdge()).key);
  });

  test("by a key that has left DNS where this edge witnessed it, and not where a stranger did", async () => {
    const witnessed = await makeVersion({ keyFill: OLD_KEY_FILL, witnessBy: await ownEdge() });
    const claimed = await makeVersion({ keyFill: OLD_KEY_FILL, witnessBy: await signerOf(STRANGER_FILL) });
    const bare = await makeVersion({ keyFill: OLD_KEY_FILL });
    const node = await keeper(witnessed, claimed, bare);
    await node.sync();
    expect(await listed(witnessed)).toEqual([witnessed.id]);
    expect([await listed(claimed), await listed(bare)]).toEqual([[], []]);
    const stored = await index.shardOf(witnessed.nameHash).version(witnessed.id);
    expect(stored?.witness.signature).toBe(witnessed.listed.witnesses[0]?.signature);
  });

  test("what was taken back stays so, also where its Manifest is let go and the Removal comes last", async () => {
    const version = await makeVersion();
    const removal = await makeRemoval(version);
    const node = await KeepingNode.create();
    node.keep(version);
    await node.sync();
    // Without its Manifest it is nothing yet.
    expect(await listed(version)).toEqual([]);
    node.keep(removal);
    await node.sync();
    await node.sync();
    expect(await listed(version)).toEqual([version.id]);
    expect((await read(version)).status).toBe(410);
  });

  test("a Removal before what it names", async () => {
    const version = await makeVersion();
    const removal = await makeRemoval(version);
    const [a, b] = [await KeepingNode.create(), await keeper(version)];
    a.keep(removal);
    await a.sync();
    await b.sync();
    expect((await read(version)).status).toBe(410);
  });

  test("a Manifest's parts from whoever has them", async () => {
    const version = await makeVersion({ inParts: true });
    const [manifest, part, payload] = version.chunks as [Uint8Array, Uint8Array, Uint8Array];
    const [teller, holder] = [await KeepingNode.create(), await KeepingNode.create()];
    teller.keep(version);
    teller.hold(manifest);
    holder.hold(part, payload);
    await teller.sync();
    expect(await listed(version)).toEqual([]);
    await holder.sync();
    await teller.sync();
    await holder.sync();
    expect(await listed(version)).toEqual([version.id]);
    expect(await read(version)).toEqual({ status: 200, hash: hashBytes(version.bytes) });
  });

  test("its holders count as copies once they were read, without being asked for", async () => {
    const version = await makeVersion();
    const [honest, liar] = [await keeper(version), await keeper(version)];
    const payload = hashBytes(version.bytes);
    liar.lie = (path) => (path === `/chunk/${payload}` ? new Uint8Array(3) : undefined);
    await honest.sync();
    await liar.sync();
    expect([await checkedOf(payload, honest), await checkedOf(payload, liar)]).toEqual([CLAIMED, CLAIMED]);
    await vi.waitFor(
      async () => {
        expect(await checkedOf(payload, honest)).toBeGreaterThan(0);
        expect(await checkedOf(payload, liar)).toBeNull();
      },
      { timeout: 10_000 },
    );
  });

  test("so do those that come while others are read, wherever they stand among them", async () => {
    const version = await makeVersion();
    const payload = hashBytes(version.bytes);
    const nodes = [new KeepingNode(await TestNode.create()), new KeepingNode(await TestNode.create())];
    const [before, node] = nodes.sort((a, b) => (a.id < b.id ? -1 : 1)) as [KeepingNode, KeepingNode];
    for (const one of nodes) keep(one, version);
    const isIn = Promise.withResolvers<void>();
    node.lie = (path) => (path === `/chunk/${payload}` ? isIn.promise.then(() => undefined) : undefined);
    await node.join();
    await node.sync();
    await vi.waitFor(() => expect(node.asked).toContain(`/chunk/${payload}`), { timeout: 10_000 });
    await before.join();
    await before.sync();
    isIn.resolve();
    const isRead = async () => expect(await checkedOf(payload, before)).toBeGreaterThan(0);
    await vi.waitFor(isRead, { timeout: 10_000 });
  });
});

describe("midway", () => {
  const COUNT = STATEMENTS_PER_STEP_MAX + 20;

  /** Many Versions that do not say their names, all of one partition. */
  async function crowd(): Promise<Kept[]> {
    const head = hashBytes(crypto.getRandomValues(new Uint8Array(8))).slice(0, 4);
    return Promise.all(
      Array.from({ length: COUNT }, (_, i) => {
        const nameHash = `${head}${hashBytes(new Uint8Array([i])).slice(4)}` as Hash;
        return makeVersion({ nameHash });
      }),
    );
  }

  async function countListed(versions: Kept[]): Promise<number> {
    const found = await Promise.all(versions.map(({ id, nameHash }) => shardOf(nameHash).version(id)));
    return found.filter((one) => one !== null).length;
  }

  test("an eviction loses a step at most, and a step is bounded", async () => {
    const versions = await crowd();
    const node = await keeper(...versions);
    await node.step();
    expect(await countListed(versions)).toBe(STATEMENTS_PER_STEP_MAX);
    await evictDurableObject(node.link);
    await node.sync();
    expect(await countListed(versions)).toBe(COUNT);
    expect(node.asked.filter((path) => path.startsWith("/inventory/statement/"))).toHaveLength(COUNT);
  });

  test("a node that vanishes brings the rest when it is back", async () => {
    const versions = await crowd();
    const node = await keeper(...versions);
    await node.step();
    let answers = 0;
    node.lie = (path) => {
      if (!path.startsWith("/inventory/statement/") || ++answers < 10) return undefined;
      node.node.close();
      return new Promise(() => undefined);
    };
    await node.step();
    expect(await countListed(versions)).toBe(STATEMENTS_PER_STEP_MAX);
    node.lie = () => undefined;
    await node.join();
    await node.sync();
    expect(await countListed(versions)).toBe(COUNT);
  });
});

test("the edge says how much is back, what it refused and why, and since when", async () => {
  const good = await makeVersion();
  const bad = await makeVersion({ keyFill: OLD_KEY_FILL });
  // Before it registers: from then on the edge may ask by itself.
  const before = (await status()).inventories;
  await (await keeper(good, bad)).sync();
  const { inventories, needed } = await status();
  const refused = (of: typeof before) => of?.statements.refused["key-not-authorized"] ?? 0;
  expect(refused(inventories) - refused(before)).toBe(1);
  expect((inventories?.statements.taken ?? 0) - (before?.statements.taken ?? 0)).toBe(1);
  expect((inventories?.chunks.taken ?? 0) - (before?.chunks.taken ?? 0)).toBe(2);
  expect(Date.parse(inventories?.until ?? "")).toBeGreaterThanOrEqual(Date.parse(inventories?.since ?? ""));
  expect(needed).toBeDefined();
});

test("claims are read, and wait for others, where their shard is split meanwhile", async () => {
  const version = await makeVersion();
  const payload = hashBytes(version.bytes);
  const node = await keeper(version);
  let isSplit = false;
  node.lie = (path) =>
    path === `/chunk/${payload}` && !isSplit ? new Promise<never>(() => undefined) : undefined;
  await node.sync();
  const prefix = leafPrefix(payload, 4);
  await splitShard(prefix);
  isSplit = true;
  const child = leafPrefix(payload, prefix.length + 1);
  const untilMs = await runInDurableObject(shardAt(child), (_, { storage }) =>
    fillingUntilMs(storage.sql, GRACE_MS, Date.now()),
  );
  expect(untilMs).not.toBeNull();
  const isRead = async () => {
    const row = (await rowsOf(child, "holders")).find(({ chunk }) => chunk === payload);
    expect(row?.checked).toBeGreaterThan(0);
  };
  await vi.waitFor(isRead, { timeout: 10_000 });
});
