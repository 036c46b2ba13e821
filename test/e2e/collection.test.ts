// What becomes of bytes that were taken back, on real edges and home nodes: charges, chunk files, what others still need of
// the same bytes, and what is published from what is there already.

import { randomBytes } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { parseNodeConfig } from "../../home-node/config.ts";
import { createHomeNode, type HomeNode } from "../../home-node/home-node.ts";
import { digestOf } from "../../home-node/store/digest.ts";
import type { Hash } from "../../lib/hash.ts";
import { chunkFiles, passTimeAtEdge, passTimeAtNode } from "./past-time.ts";
import { type CliResult, Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const HOUR_MS = 3_600_000;
const PATIENCE = { timeout: 60_000, interval: 300 };
/** Edges start anew, and home nodes go round several times. */
const SLOW = { timeout: 300_000 };
/** Between two rounds of the home nodes. */
const COLLECT_SECONDS = 3;
const PAYLOAD_BYTES = 200_000;

const ok = (result: CliResult) => {
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result;
};

interface RunningNode {
  node: HomeNode;
  dir: string;
  holds: (chunk: Hash) => Promise<boolean>;
}

async function startNode(
  name: string,
  networks: LocalNetwork[],
  domains: "all" | string[],
): Promise<RunningNode> {
  const [{ dir: folder, dohUrl } = { dir: "", dohUrl: "" }] = networks;
  const dir = join(folder, "nodes", name);
  const config = parseNodeConfig({
    ...{ dir, listen: { host: "127.0.0.1", port: 0 }, publicUrl: null, advertise: true },
    ...{ edges: networks.map(({ edgeUrl }) => edgeUrl), dohUrls: [dohUrl], diskReserveBytes: 0 },
    pledge: { bytes: 10 ** 9, uploadRate: null, downloadRate: null, domains },
    collectSeconds: COLLECT_SECONDS,
  });
  const node = createHomeNode(config, { log: pino({ level: "silent" }) });
  await node.start();
  const holds = async (chunk: Hash) => (await chunkFiles(dir)).includes(`${chunk.slice(0, 2)}/${chunk}`);
  return { node, dir, holds };
}

const receivedBytes = async (nodes: RunningNode[]) => {
  const statuses = await Promise.all(nodes.map(({ node }) => node.status()));
  return statuses.reduce((sum, { traffic }) => sum + traffic.total.direct.in.bytes, 0);
};
const linkedWith = (count: number, { node }: RunningNode) =>
  vi.waitFor(async () => {
    const { edges } = await node.status();
    expect(edges.filter(({ state }) => state === "registered")).toHaveLength(count);
  }, PATIENCE);
const usageOf = async ({ network, domain }: Publisher) => {
  const response = await fetch(`${network.edgeUrl}/domain/${domain}`);
  return ((await response.json()) as { usage: { bytes: number; chunks: number } }).usage;
};
const remove = (publisher: Publisher, name: string) =>
  publisher.holdfast(
    ...["remove", `${publisher.domain}/${name}`, "--all", "--key", publisher.keyFile],
    ...["--author", publisher.author],
  );

/** Bytes that make one chunk, in a file of the publisher's. */
async function payloadOf(publisher: Publisher, name: string) {
  const bytes = new Uint8Array(randomBytes(PAYLOAD_BYTES));
  return { bytes, hash: digestOf(bytes), file: await publisher.writeFile(name, bytes) };
}

describe("on one edge", () => {
  let network: LocalNetwork;
  let [publisher, other]: Publisher[] = [];
  const nodes: RunningNode[] = [];
  let chosen: RunningNode;

  beforeAll(async () => {
    network = await startNetwork(0, 0);
    publisher = await Publisher.create(sharedView(network));
    other = await Publisher.create(sharedView(network));
    for (const name of ["a", "b"]) nodes.push(await startNode(name, [network], "all"));
    chosen = await startNode("chosen", [network], [publisher.domain]);
    for (const node of [...nodes, chosen]) await linkedWith(1, node);
    await network.waitForNodes(3);
  });
  afterAll(async () => {
    await Promise.all([...nodes, chosen].map(({ node }) => node.stop()));
    await endNetwork(network);
  });

  const publishers = () => {
    if (publisher === undefined || other === undefined) throw new Error("not started");
    return { publisher, other };
  };

  test("the same bytes by another domain are not sent again to holders that accept it, and count", async () => {
    const { publisher, other } = publishers();
    const { file, hash, bytes } = await payloadOf(publisher, "shared");
    ok(await publisher.publish(file, "shared", "--replicas", "3"));
    for (const node of [...nodes, chosen]) expect(await node.holds(hash)).toBe(true);
    const before = await receivedBytes([...nodes, chosen]);
    const copy = await other.writeFile("copy", bytes);
    ok(await other.publish(copy, "copy", "--replicas", "2"));
    // The Manifest alone travelled.
    expect((await receivedBytes([...nodes, chosen])) - before).toBeLessThan(PAYLOAD_BYTES / 10);
    expect((await usageOf(other)).bytes).toBeGreaterThan(PAYLOAD_BYTES);
    // The third holder keeps it for the other domain only.
    const refused = await other.publish(copy, "copy-3", "--replicas", "3");
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain("too-few-nodes");
  });

  test(
    "what was taken back is charged no more and deleted; what another name or domain needs stays",
    SLOW,
    async () => {
      const { publisher, other } = publishers();
      const [gone, kept, foreign] = [
        await payloadOf(publisher, "gone"),
        await payloadOf(publisher, "kept"),
        await payloadOf(publisher, "foreign"),
      ];
      const before = await usageOf(publisher);
      for (const { file } of [gone, kept, foreign])
        ok(await publisher.publish(file, `taken-back-${file.split("/").at(-1)}`, "--replicas", "2"));
      ok(await publisher.publish(kept.file, "stays", "--replicas", "2"));
      ok(await other.publish(await other.writeFile("f", foreign.bytes), "stays", "--replicas", "2"));
      expect(await passTimeAtEdge(network, 30 * HOUR_MS)).toBeGreaterThan(0);
      for (const { dir } of [...nodes, chosen]) await passTimeAtNode(dir, 30 * HOUR_MS);
      for (const node of [...nodes, chosen]) await linkedWith(1, node);
      // Control: all of it is needed, and nothing is deleted.
      await new Promise((resolve) => setTimeout(resolve, 4 * COLLECT_SECONDS * 1000));
      for (const { hash } of [gone, kept, foreign]) {
        const held = await Promise.all([...nodes, chosen].map((node) => node.holds(hash)));
        expect(held.filter((isHeld) => isHeld).length).toBeGreaterThanOrEqual(2);
      }
      for (const name of ["gone", "kept", "foreign"]) ok(await remove(publisher, `taken-back-${name}`));
      // "stays" is left: its payload and its Manifest.
      const after = await usageOf(publisher);
      expect(after.chunks - before.chunks).toBe(2);
      expect(after.bytes - before.bytes).toBeLessThan(PAYLOAD_BYTES + 2000);
      await vi.waitFor(async () => {
        for (const node of [...nodes, chosen]) expect(await node.holds(gone.hash)).toBe(false);
      }, PATIENCE);
      for (const { hash } of [kept, foreign]) {
        const held = await Promise.all(nodes.map((node) => node.holds(hash)));
        expect(held).toContain(true);
      }
      for (const [who, { bytes }] of [[publisher, kept] as const, [other, foreign] as const]) {
        const answer = await fetch(who.objectUrl("stays"));
        expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
      }
      // Both copies of the payload, wherever they were.
      const reclaimed = async () => {
        const statuses = await Promise.all([...nodes, chosen].map(({ node }) => node.status()));
        return statuses.reduce((sum, { reclaimed: { bytes } }) => sum + bytes, 0);
      };
      await expect.poll(reclaimed, PATIENCE).toBeGreaterThan(2 * PAYLOAD_BYTES);
    },
  );

  test("what was deleted can be published again", async () => {
    const { publisher } = publishers();
    const file = join(publisher.folder, "gone");
    ok(await publisher.publish(file, "taken-back-gone", "--replicas", "2"));
    const answer = await fetch(publisher.objectUrl("taken-back-gone"));
    expect(Buffer.from(await answer.arrayBuffer()).equals(await readFile(file))).toBe(true);
  });
});

describe("on two edges", () => {
  let networks: LocalNetwork[] = [];
  let node: RunningNode;

  beforeAll(async () => {
    networks = [await startNetwork(0, 0), await startNetwork(0, 0)];
    node = await startNode("both", networks, "all");
    await linkedWith(2, node);
  });
  afterAll(async () => {
    await node.node.stop();
    await Promise.all(networks.map(endNetwork));
  });

  test("a home node keeps what one of them needs, and deletes what neither does", SLOW, async () => {
    const [first, second] = networks as [LocalNetwork, LocalNetwork];
    const one = await Publisher.create(sharedView(first));
    const two = await Publisher.create(sharedView(second));
    // The node asks the resolver of the first network.
    await appendFile(first.zoneFile, await readFile(second.zoneFile, "utf8"));
    const { file, bytes, hash } = await payloadOf(one, "payload");
    ok(await one.publish(file, "payload", "--replicas", "1"));
    const copy = await two.writeFile("payload", bytes);
    // Another Manifest of the same chunk.
    ok(await two.publish(copy, "payload", "--replicas", "1", "--content-type", "text/x-two"));
    for (const network of networks) await passTimeAtEdge(network, 30 * HOUR_MS);
    await passTimeAtNode(node.dir, 30 * HOUR_MS);
    await linkedWith(2, node);
    // The first takes in what the node keeps for the second; of the domain of the first, the second finds nothing in its DNS.
    const atFirst = `${first.edgeUrl}/obj/${two.domain}/payload`;
    await vi.waitFor(async () => expect((await fetch(atFirst)).status).toBe(200), PATIENCE);
    ok(await remove(one, "payload"));
    expect((await usageOf(one)).chunks).toBe(0);
    // The Manifest of the first is deleted, and the payload is not.
    await vi.waitFor(
      async () => expect((await node.node.status()).reclaimed.chunks).toBeGreaterThan(0),
      PATIENCE,
    );
    await new Promise((resolve) => setTimeout(resolve, 4 * COLLECT_SECONDS * 1000));
    expect(await node.holds(hash)).toBe(true);
    const answer = await fetch(two.objectUrl("payload"));
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    ok(await remove(two, "payload"));
    // What was taken back at the second, the first hears from the node as it heard of it: daily, and when the node registers.
    await passTimeAtEdge(first, 30 * HOUR_MS);
    await linkedWith(2, node);
    await vi.waitFor(async () => expect((await fetch(atFirst)).status).toBe(410), PATIENCE);
    await vi.waitFor(async () => expect(await node.holds(hash)).toBe(false), PATIENCE);
    expect(await chunkFiles(node.dir)).toEqual([]);
  });
});
