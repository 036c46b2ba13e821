// Home nodes among themselves, without any edge: real nodes with real stores, on real sockets.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ANNOUNCE_DELAY_MS, ROUND_PERIOD_MS } from "../../home-node/overlay/announcer.ts";
import { CONTACTS_FILE } from "../../home-node/overlay/contact-file.ts";
import { RECORD_LIFETIME_MS } from "../../home-node/overlay/provider-records.ts";
import { RECORDS_FILE } from "../../home-node/overlay/record-file.ts";
import { FAILED_TRIES_MAX } from "../../home-node/overlay/routing-table.ts";
import { SECOND_LOOK_MS, UPKEEP_PERIOD_MS } from "../../home-node/overlay/upkeep.ts";
import { digestOf } from "../../home-node/store/digest.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { K } from "../../lib/overlay/distance.ts";
import { lookup } from "../../lib/overlay/lookup.ts";
import { parseLocateAnswer, REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  ManualClock,
  postNames,
  publicationOf,
  putChunk,
  settle,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";
import {
  closestAt,
  contactsOf,
  parseReferral,
  postJson,
  referredBy,
  startNet,
  untilAsync,
  untilContacts,
} from "./overlay-fixture.ts";
import { Edge } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;

beforeEach(async () => {
  clock = new ManualClock();
  dns = await TestDns.start(cleanup);
});
/** A node that is being asked by another waits for it. */
const STOP_TIMEOUT_MS = 60_000;
afterEach(() => cleanup.run(), STOP_TIMEOUT_MS);

async function startMet(count: number): Promise<TestNode[]> {
  const nodes = await startNet(count, cleanup, dns, { clock });
  await clock.advance(SECOND_LOOK_MS);
  await untilContacts(nodes, nodes.length - 1);
  return nodes;
}

function nth(nodes: readonly TestNode[], index: number): TestNode {
  const node = nodes[index];
  if (node === undefined) throw new RangeError(`there is no node ${index}`);
  return node;
}

async function give(node: TestNode): Promise<{ bytes: Uint8Array<ArrayBuffer>; hash: Hash }> {
  const chunk = chunkOf(100);
  expect((await putChunk(node, await createPublisher(node), chunk)).status).toBe(201);
  return chunk;
}

/** How many hashes the node keeps in mind for others. */
async function recordsOf({ node }: TestNode): Promise<number> {
  return (await node.status()).overlay?.records.records ?? 0;
}

async function untilRecords(nodes: readonly TestNode[], count: number): Promise<void> {
  await untilAsync(`each of ${nodes.length} nodes has ${count} records`, async () => {
    const records = await Promise.all(nodes.map(recordsOf));
    return records.every((size) => size === count);
  });
}

/** Who keeps what is at this path, as a look-up that begins at one node finds out. */
async function findHolders(start: TestNode, path: string, hash: Hash): Promise<NodeId[]> {
  const ask = async ({ url }: { url: string | null }) => {
    const headers = { accept: REFERRAL_TYPE };
    const response = await fetch(`${url}${path}`, { redirect: "manual", headers });
    if (response.headers.get("content-type") === REFERRAL_TYPE)
      return { value: parseReferral(await response.json()), contacts: [] };
    if (response.status === 200) return { value: [], contacts: [] };
    const { closer, holders } = await referredBy(response);
    return { value: holders, contacts: closer };
  };
  const { key } = await start.node.status();
  const first = { id: start.id, key, url: start.url };
  const { values } = await lookup<Contact, Contact[]>(hash, [first], { ask });
  return [...new Set(values.flatMap(({ value }) => value.map(({ id }) => id)))];
}

describe("twelve nodes that know only one of them", () => {
  it("find each other", async () => {
    const nodes = await startMet(12);
    for (const node of nodes) {
      const known = (await closestAt(node, node.id)).map(({ id }) => id);
      expect(known.sort()).toEqual(
        nodes
          .map(({ id }) => id)
          .filter((id) => id !== node.id)
          .sort(),
      );
    }
  });

  it("refer to what one of them was given within about a second", async () => {
    const nodes = await startMet(12);
    const [first, third] = [nth(nodes, 0), nth(nodes, 2)];
    const chunk = await give(third);
    await clock.advance(ANNOUNCE_DELAY_MS);
    const others = nodes.filter(({ id }) => id !== third.id);
    await untilRecords(others, 1);
    for (const { url } of others) {
      const moved = await fetch(`${url}/chunk/${chunk.hash}`, { redirect: "manual" });
      expect(moved.status).toBe(307);
      expect(moved.headers.get("location")).toBe(`${third.url}/chunk/${chunk.hash}`);
      expect(moved.headers.get("cache-control")).toBe("no-store");
      expect(moved.headers.get("vary")).toContain("Accept");
    }
    const followed = await fetch(`${first.url}/chunk/${chunk.hash}`);
    expect(new Uint8Array(await followed.arrayBuffer())).toEqual(chunk.bytes);
    const referral = await fetch(`${first.url}/chunk/${chunk.hash}`, { headers: { accept: REFERRAL_TYPE } });
    expect(referral.headers.get("content-type")).toBe(REFERRAL_TYPE);
    expect(parseReferral(await referral.json())).toMatchObject([{ id: third.id, url: third.url }]);
  });

  it("say of a name who keeps it, and who may know more", async () => {
    const nodes = await startMet(4);
    const [first, last] = [nth(nodes, 0), nth(nodes, 3)];
    const { json, nameHash, manifest } = await publicationOf(last, "notes/today");
    expect((await postNames(last, [json])).status).toBe(200);
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilRecords(nodes.slice(0, 3), 2);
    const { holders, closer } = await referredBy(
      await fetch(`${first.url}/name/${nameHash}?domain=example.org`),
    );
    expect(holders.map(({ id }) => id)).toEqual([last.id]);
    expect(closer).toHaveLength(3);
    expect(await findHolders(first, `/chunk/${digestOf(manifest)}`, digestOf(manifest))).toEqual([last.id]);
  });

  it("locate many chunks at once, their own among them", async () => {
    const nodes = await startMet(3);
    const [first, second] = [nth(nodes, 0), nth(nodes, 1)];
    const [own, other, nobodys] = [await give(first), await give(second), chunkOf(10)];
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilRecords([nth(nodes, 2)], 2);
    const body = JSON.stringify({ chunks: [own.hash, other.hash, nobodys.hash] });
    const answer = parseLocateAnswer(await (await postJson(`${first.url}/chunk/locate`, body)).json());
    expect(answer.chunks.map(({ holders }) => holders)).toEqual([[first.id], [second.id], []]);
    expect(answer.nodes.map(({ url }) => url).sort()).toEqual([first.url, second.url].sort());
  });
});

describe("a net of more nodes than are told of anything", { timeout: 120_000 }, () => {
  it("finds from any of them what one of them keeps", async () => {
    const nodes = await startNet(24, cleanup, dns, { clock });
    await clock.advance(SECOND_LOOK_MS);
    await untilAsync("each knows twenty others or more", async () => {
      const known = await Promise.all(nodes.map(contactsOf));
      return known.every((size) => size >= K);
    });
    const holder = nth(nodes, 17);
    const { hash } = await give(holder);
    await clock.advance(ANNOUNCE_DELAY_MS);
    const keepers = async () => {
      const records = await Promise.all(nodes.map(recordsOf));
      return records.filter((count) => count > 0).length;
    };
    await untilAsync("the nodes nearest to it are told", async () => (await keepers()) >= K - 1);
    expect(await keepers()).toBeLessThanOrEqual(K);
    const untold: TestNode[] = [];
    for (const node of nodes) if (node !== holder && (await recordsOf(node)) === 0) untold.push(node);
    expect(untold.length).toBeGreaterThanOrEqual(nodes.length - 1 - K);
    for (const node of untold) expect(await findHolders(node, `/chunk/${hash}`, hash)).toEqual([holder.id]);
  });
});

describe("what is announced", () => {
  it("is announced again each day, and forgotten two days after the last time", async () => {
    const nodes = await startMet(2);
    const [keeper, holder] = [nth(nodes, 0), nth(nodes, 1)];
    const { hash } = await give(holder);
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilRecords([keeper], 1);
    const status = async () => (await fetch(`${keeper.url}/chunk/${hash}`, { redirect: "manual" })).status;
    for (let day = 0; day < 3; day++) {
      await clock.advance(ROUND_PERIOD_MS);
      await untilAsync("the round of the day is over", async () => {
        const { overlay } = await holder.node.status();
        return clock.now() - Date.parse(overlay?.announced.at ?? "") < ROUND_PERIOD_MS;
      });
      expect(await status()).toBe(307);
    }
    expect((await holder.node.status()).overlay?.announced.hashes).toBe(1);
    await holder.node.stop();
    await clock.advance(RECORD_LIFETIME_MS + UPKEEP_PERIOD_MS);
    expect(await status()).toBe(404);
    await untilRecords([keeper], 0);
  });

  it("reaches a node that comes later, when all of it is announced anew", async () => {
    const [holder] = await startNet(1, cleanup, dns, { clock });
    if (holder === undefined) throw new RangeError("there is no node");
    await give(holder);
    const late = await startTestNode(cleanup, dns, { clock, config: { join: [holder.url] } });
    await untilContacts([holder, late], 1);
    await untilRecords([late], 1);
  });
});

describe("a node that starts again", () => {
  it("keeps its contacts and what others announced", async () => {
    const nodes = await startMet(3);
    const [first, second] = [nth(nodes, 0), nth(nodes, 1)];
    const { hash } = await give(second);
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilRecords([first, nth(nodes, 2)], 1);
    for (const { node } of nodes) await node.stop();
    const again = await startTestNode(cleanup, dns, { clock, dir: first.dir });
    expect(await contactsOf(again)).toBe(2);
    const { holders } = await referredBy(await fetch(`${again.url}/name/${hash}?domain=example.org`));
    expect(holders.map(({ id, url }) => [id, url])).toEqual([[second.id, second.url]]);
  });

  it.each([CONTACTS_FILE, RECORDS_FILE])("begins anew where its file %s is damaged", async (name) => {
    const nodes = await startMet(2);
    const first = nth(nodes, 0);
    await first.node.stop();
    await writeFile(join(first.dir, name), "{}\n damaged");
    const again = await startTestNode(cleanup, dns, { clock, dir: first.dir });
    expect(await readFile(join(first.dir, `${name}.damaged`), "utf8")).toContain("damaged");
    expect(await recordsOf(again)).toBe(0);
  });

  it("joins by the contacts that it had while its edge is down", async () => {
    const nodes = await startMet(2);
    const edge = await Edge.start(cleanup, clock);
    const linked = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url] } });
    const connection = await edge.connection(0);
    connection.challenge.node = linked.id;
    const { key } = await nth(nodes, 0).node.status();
    await connection.register([{ id: nth(nodes, 0).id, key, url: nth(nodes, 0).url }]);
    await untilContacts([...nodes, linked], 2);
    await linked.node.stop();
    connection.socket.terminate();
    // Nobody listens there.
    const down = { edges: ["http://127.0.0.1:1"] };
    const again = await startTestNode(cleanup, dns, { clock, dir: linked.dir, config: down });
    expect(again.url).not.toBe(linked.url);
    await untilContacts([again], 2);
    await untilAsync("the others know where it is now", async () => {
      const known = await Promise.all(nodes.map((node) => closestAt(node, again.id)));
      return known.every((contacts) => contacts.some(({ url }) => url === again.url));
    });
    const { hash } = await give(nth(nodes, 1));
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilRecords([again], 1);
    expect((await fetch(`${again.url}/chunk/${hash}`, { redirect: "manual" })).status).toBe(307);
  });
});

describe("a node that is gone", () => {
  it("leaves the tables of the others", async () => {
    const nodes = await startMet(4);
    const gone = nth(nodes, 3);
    await gone.node.stop();
    const left = nodes.slice(0, 3);
    for (let hour = 0; hour < FAILED_TRIES_MAX + 1; hour++) {
      await clock.advance(UPKEEP_PERIOD_MS);
      await settle();
    }
    await untilContacts(left, 2);
    for (const node of left) {
      const known = await closestAt(node, gone.id);
      expect(known.map(({ id }) => id)).not.toContain(gone.id);
    }
  });
});
