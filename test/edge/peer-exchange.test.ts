// What an edge hands on to its peers: each statement that a publisher brought, to each of them, until the peer has said what it
// did with it.

import { runDurableObjectAlarm, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import { parseNamesRequest } from "../../lib/wire/names.ts";
import { PEERS_MAX } from "../../lib/wire/peers.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { asked, origin, script } from "./peer-scene.ts";
import type { Asked } from "./peer-script.ts";
import { splitShard } from "./split-scene.ts";
import { bytesOf, EDGE } from "./test-node.ts";
import { TestHolder } from "./test-objects.ts";

const PATIENCE = { timeout: 10_000, interval: 50 };
const domain = parseDomain("handed.example.org");
let names = 0;
let holder: TestHolder;
let came: Asked[] = [];

const shardOf = (prefix: string) => env.PARTITION_SHARD.getByName(shardName(prefix));

/** Publishes an object; its id, and the shard of its name. */
async function publish() {
  const name = parseName(`handed-${++names}`);
  const id = await holder.publish({ domain, name, bytes: bytesOf(100, names) });
  const prefix = leafPrefix(nameHashOf(domain, name), 4);
  return { id, prefix, shard: shardOf(prefix) };
}

async function handedOn(): Promise<Asked[]> {
  came.push(...(await asked()));
  return came.filter(({ path }) => path === "/peer/names");
}

/** Ids of what a peer was offered, in its order. */
async function offered(peer: number): Promise<Hash[]> {
  const requests = (await handedOn()).filter((request) => request.origin === origin(peer));
  return requests.flatMap(({ body }) =>
    parseNamesRequest(JSON.parse(body)).statements.map((posted) =>
      hashBytes(parseSigned("version" in posted ? posted.version : posted.removal).bytes),
    ),
  );
}

const untilOffered = (peer: number, id: Hash, times = 1) =>
  vi.waitUntil(async () => (await offered(peer)).filter((one) => one === id).length >= times, PATIENCE);

/** Has the shard do what is due next, whenever that is, until the peer was offered the statement so often. */
async function untilOfferedByAlarms(
  shard: ReturnType<typeof shardOf>,
  peer: number,
  id: Hash,
  times: number,
) {
  const isOffered = async () => (await offered(peer)).filter((one) => one === id).length >= times;
  for (let alarms = 0; alarms < 20 && !(await isOffered()); alarms++) await runDurableObjectAlarm(shard);
  expect(await isOffered()).toBe(true);
}

async function statusOf(peer: number): Promise<EdgeStatus["peers"][number] | undefined> {
  const { peers } = parseEdgeStatus(await (await SELF.fetch(`${EDGE}/status`)).json());
  return peers.find(({ url }) => url === origin(peer));
}

beforeEach(async () => {
  await asked();
  came = [];
  holder ??= await TestHolder.create();
});

describe("a statement that a publisher brought", () => {
  test("is handed on to each peer, with all that it takes to check it, once", async () => {
    const { id, shard } = await publish();
    for (let peer = 0; peer < PEERS_MAX; peer++) await untilOffered(peer, id);
    const [request] = await handedOn();
    const [posted] = parseNamesRequest(JSON.parse(request?.body ?? "")).statements;
    expect(posted).toMatchObject({ manifest: expect.any(String), witnesses: [{}] });
    expect(request?.isFromPeer).toBe(true);
    for (let alarms = 0; alarms < 5; alarms++) await runDurableObjectAlarm(shard);
    expect(await offered(0)).toEqual([id]);
  });

  test("comes to a peer that is down when that is back, and says meanwhile that it waits", async () => {
    await script(1, "/peer/names", { status: 503, body: "down" });
    const { id, shard } = await publish();
    await untilOffered(1, id);
    await untilOffered(0, id);
    await vi.waitUntil(async () => (await statusOf(1))?.waiting === 1, PATIENCE);
    expect(await statusOf(1)).toMatchObject({ reachable: false });
    expect(await statusOf(0)).toMatchObject({ reachable: true, waiting: 0 });
    await script(1, "/peer/names", { does: "ordinary" });
    await untilOfferedByAlarms(shard, 1, id, 2);
    await vi.waitUntil(async () => (await statusOf(1))?.waiting === 0, PATIENCE);
    expect(await statusOf(1)).toMatchObject({ reachable: true });
    expect(await offered(0)).toEqual([id]);
  });

  test("is offered no more to a peer that refuses it for good", async () => {
    await script(2, "/peer/names", { does: { refuse: "gone" } });
    const { id, shard } = await publish();
    await untilOffered(2, id);
    for (let alarms = 0; alarms < 5; alarms++) await runDurableObjectAlarm(shard);
    expect(await offered(2)).toEqual([id]);
  });

  test("is offered again to a peer that cannot take it now", async () => {
    await script(3, "/peer/names", { does: { refuse: "dns-failed" } });
    const { id, shard } = await publish();
    await untilOffered(3, id);
    await script(3, "/peer/names", { does: "ordinary" });
    await untilOfferedByAlarms(shard, 3, id, 2);
  });

  test("waits for a peer that answers something else, or too much, or from elsewhere", async () => {
    await script(4, "/peer/names", { body: JSON.stringify({ results: [] }) });
    await script(5, "/peer/names", { does: "huge" });
    await script(6, "/peer/names", { status: 307, location: `${origin(0)}/peer/names` });
    const { id } = await publish();
    for (const peer of [4, 5, 6]) await untilOffered(peer, id);
    await vi.waitUntil(
      async () => (await Promise.all([4, 5, 6].map(statusOf))).every((one) => (one?.waiting ?? 0) >= 1),
      PATIENCE,
    );
    expect(await offered(0)).toEqual([id]);
  });

  test("is handed on by what its shard was split into, where it waited for that", async () => {
    await script(7, "/peer/names", { status: 503, body: "down" });
    const { id, prefix } = await publish();
    await untilOffered(7, id);
    await script(7, "/peer/names", { does: "ordinary" });
    await splitShard(prefix);
    await untilOffered(7, id, 2);
  });
});
