// Real home nodes that go for good, for a while, and with their disks: what was acknowledged is copied to others before
// the last copy goes, and nothing is copied that need not be.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork, LocalNode } from "../../cli/local/network.ts";
import { parseLocateAnswer } from "../../lib/wire/chunks.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { SeededRandom } from "../random.ts";
import { chunksOf } from "./object-reads.ts";
import { Publisher } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const TIMEOUT_MS = 180_000;
/** A node that is started again is back in half of it. */
const GRACE_S = 8;
const QUICK = { REPAIR_GRACE_SECONDS: String(GRACE_S), SWEEP_SECONDS: "1" };
const REPLICAS = 3;
/** What would be copied would be so by then: a grace, a sweep and a few rounds of repair. */
const LONG_ENOUGH_MS = (GRACE_S + 6) * 1000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function statusOf(network: LocalNetwork): Promise<EdgeStatus> {
  return parseEdgeStatus(await (await fetch(`${network.edgeUrl}/status`)).json());
}

/** For each chunk, how many nodes that run have its file. */
async function copiesOf(network: LocalNetwork, hashes: readonly string[]): Promise<number[]> {
  const running = network.nodes.filter(({ process }) => process.isRunning);
  const files = await Promise.all(running.map((node) => filesOf(network, node)));
  return hashes.map((hash) => files.filter((names) => names.has(hash)).length);
}

async function filesOf(network: LocalNetwork, node: LocalNode): Promise<Set<string>> {
  const folder = folderOf(network, node, "chunks");
  if (!existsSync(folder)) return new Set();
  const names = await readdir(folder, { recursive: true });
  return new Set(names.map((name) => name.split("/").at(-1) ?? ""));
}

function folderOf(network: LocalNetwork, { name }: LocalNode, ...path: string[]): string {
  return join(network.dir, "nodes", name.replace("node-", ""), ...path);
}

async function until(what: string, isSo: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await pause(250);
  }
}

interface Scene {
  network: LocalNetwork;
  publisher: Publisher;
  content: Buffer;
  hashes: string[];
}

async function publishOn(network: LocalNetwork, mebibytes = 8, ...redundancy: string[]): Promise<Scene> {
  const publisher = await Publisher.create(sharedView(network));
  const content = new SeededRandom(publisher.domain).bytes(mebibytes * 1024 * 1024);
  const file = await publisher.writeFile("object", content);
  const options = redundancy.length === 0 ? ["--replicas", String(REPLICAS)] : redundancy;
  expect(await publisher.publish(file, "object", ...options)).toMatchObject({ code: 0 });
  const hashes = (await chunksOf(publisher, "object")).map(({ hash }) => hash);
  return { network, publisher, content, hashes };
}

const onTarget = (copies: number[]) => copies.every((count) => count >= REPLICAS);

async function expectWhole({ publisher, content }: Scene): Promise<void> {
  const response = await fetch(publisher.objectUrl("object"));
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
}

/** The node that holds most of the chunks, of those that run. */
async function fullest({ network, hashes }: Scene): Promise<LocalNode> {
  const running = network.nodes.filter(({ process }) => process.isRunning);
  const counted = await Promise.all(
    running.map(async (node) => {
      const files = await filesOf(network, node);
      return { node, count: hashes.filter((hash) => files.has(hash)).length };
    }),
  );
  const [most] = counted.sort((a, b) => b.count - a.count);
  if (most === undefined || most.count === 0) throw new Error("no node holds anything");
  return most.node;
}

/** Returns when its process has ended. */
async function killFullest(scene: Scene): Promise<void> {
  const { process } = await fullest(scene);
  process.kill("SIGKILL");
  await until("it has ended", async () => !process.isRunning);
}

describe("a network that repairs", () => {
  let network: LocalNetwork;
  let scene: Scene;

  beforeAll(async () => {
    network = await startNetwork(6, 2, QUICK);
    scene = await publishOn(network);
  }, TIMEOUT_MS);

  afterAll(() => endNetwork(network), TIMEOUT_MS);

  test(
    "copies nothing while all is well, nor for a node that is back within the grace",
    async () => {
      const node = await fullest(scene);
      const before = await copiesOf(network, scene.hashes);
      await node.process.stop();
      await pause(1000);
      node.process.start();
      await network.waitForNodes(6);
      await pause(LONG_ENOUGH_MS);
      expect(await copiesOf(network, scene.hashes)).toEqual(before);
      expect((await statusOf(network)).repairs).toMatchObject({ short: 0, copiesToday: 0 });
    },
    TIMEOUT_MS,
  );

  test(
    "is back on target after a node was killed for good, and says what it did",
    async () => {
      const node = await fullest(scene);
      node.process.kill("SIGKILL");
      await until("the copies are made", async () => onTarget(await copiesOf(network, scene.hashes)));
      await until("the edge says so", async () => {
        const { repairs } = await statusOf(network);
        return repairs !== undefined && repairs.short === 0 && repairs.copiesToday > 0;
      });
      await rm(folderOf(network, node), { recursive: true });
      await expectWhole(scene);
      const answer = await fetch(`${network.edgeUrl}/chunk/locate`, {
        method: "POST",
        body: JSON.stringify({ chunks: scene.hashes }),
      });
      const { chunks, online = [] } = parseLocateAnswer(await answer.json());
      for (const { holders } of chunks)
        expect(holders.filter((id) => online.includes(id)).length).toBeGreaterThanOrEqual(REPLICAS);
    },
    TIMEOUT_MS,
  );
});

describe("a network whose volunteers come and go", () => {
  let network: LocalNetwork;
  let scene: Scene;
  const nodeCommand = (node: LocalNode, ...args: string[]) =>
    scene.publisher.holdfast("node", ...args, "--dir", folderOf(network, node));

  beforeAll(async () => {
    network = await startNetwork(6, 2, QUICK);
    scene = await publishOn(network);
  }, TIMEOUT_MS);

  afterAll(() => endNetwork(network), TIMEOUT_MS);

  test(
    "copies nothing for a node that said that it would be away",
    async () => {
      const node = await fullest(scene);
      const before = await copiesOf(network, scene.hashes);
      const day = new Date(Date.now() + 24 * 3600 * 1000).toISOString();
      expect(await nodeCommand(node, "pause", "--until", day)).toMatchObject({ code: 0 });
      await node.process.stop();
      await pause(LONG_ENOUGH_MS);
      expect((await statusOf(network)).repairs).toMatchObject({ copiesToday: 0 });
      node.process.start();
      await network.waitForNodes(6);
      expect(await copiesOf(network, scene.hashes)).toEqual(before);
      expect(await nodeCommand(node, "pause", "--end")).toMatchObject({ code: 0 });
    },
    TIMEOUT_MS,
  );

  test(
    "loses nothing where a node leaves, waits until it may go, and is killed with its folder",
    async () => {
      const node = await fullest(scene);
      const left = await nodeCommand(node, "leave", "--json");
      expect(left).toMatchObject({ code: 0 });
      expect(JSON.parse(left.stdout)).toMatchObject({ isSafe: true, short: 0, problem: null });
      node.process.kill("SIGKILL");
      await rm(folderOf(network, node), { recursive: true });
      // At once: nothing is left to a repair.
      expect(onTarget(await copiesOf(network, scene.hashes))).toBe(true);
      await expectWhole(scene);
    },
    TIMEOUT_MS,
  );

  test(
    "fills a node again whose disk was lost, or others in its place",
    async () => {
      const node = await fullest(scene);
      await node.process.stop();
      await rm(folderOf(network, node, "chunks"), { recursive: true });
      expect(onTarget(await copiesOf(network, scene.hashes))).toBe(false);
      node.process.start();
      await until("the copies are made", async () => onTarget(await copiesOf(network, scene.hashes)));
      await expectWhole(scene);
    },
    TIMEOUT_MS,
  );

  test(
    "replaces a chunk that was corrupt on a disk, once somebody has read it there",
    async () => {
      const node = await fullest(scene);
      const id = await idOf(node);
      const files = await filesOf(network, node);
      const bad = scene.hashes.find((hash) => files.has(hash)) ?? "";
      const path = folderOf(network, node, "chunks", bad.slice(0, 2), bad);
      await writeFile(path, "nothing of the kind");
      await (await fetch(`${network.edgeUrl}/via/${id}/chunk/${bad}`)).body?.cancel();
      await until("it is gone from there, and the copies are made", async () => {
        const found = await readFile(path).catch(() => Buffer.alloc(0));
        return found.toString() !== "nothing of the kind" && onTarget(await intactOf([bad]));
      });
    },
    TIMEOUT_MS,
  );

  async function idOf(node: LocalNode): Promise<string> {
    const { stdout } = await nodeCommand(node, "status", "--json");
    return (JSON.parse(stdout) as { id: string }).id;
  }

  /** As copiesOf, of files that have their hash. */
  async function intactOf(hashes: string[]): Promise<number[]> {
    const running = network.nodes.filter(({ process }) => process.isRunning);
    return Promise.all(
      hashes.map(async (hash) => {
        const files = await Promise.all(
          running.map((node) =>
            readFile(folderOf(network, node, "chunks", hash.slice(0, 2), hash)).catch(() => Buffer.alloc(0)),
          ),
        );
        return files.filter((bytes) => createHash("sha256").update(bytes).digest("hex") === hash).length;
      }),
    );
  }
});

describe("an object in stripes", () => {
  const NODES = 7;
  let network: LocalNetwork;

  beforeAll(async () => {
    network = await startNetwork(NODES, 2, QUICK);
  }, TIMEOUT_MS);

  afterAll(() => endNetwork(network), TIMEOUT_MS);

  test(
    "has the chunks that a node took with it made anew, and outlives as many again as its parity",
    async () => {
      const scene = await publishOn(network, 8, "--redundancy", "3+2");
      const isThere = async () => (await copiesOf(network, scene.hashes)).every((count) => count > 0);
      expect(await isThere()).toBe(true);
      await killFullest(scene);
      expect(await isThere()).toBe(false);
      await until("the chunks are made anew", isThere);
      await until("all is on target", async () => (await statusOf(network)).repairs?.short === 0);
      for (let i = 0; i < 2; i++) await killFullest(scene);
      await expectWhole(scene);
    },
    TIMEOUT_MS,
  );
});

describe("a network that looks over nothing (SWEEP_SECONDS=0)", () => {
  let network: LocalNetwork;

  beforeAll(async () => {
    network = await startNetwork(4, 1, { ...QUICK, SWEEP_SECONDS: "0" });
  }, TIMEOUT_MS);

  afterAll(() => endNetwork(network), TIMEOUT_MS);

  test(
    "stays short after a node was killed: the copies of the test above are the repair's",
    async () => {
      const scene = await publishOn(network);
      await killFullest(scene);
      await pause(2 * LONG_ENOUGH_MS);
      expect(onTarget(await copiesOf(network, scene.hashes))).toBe(false);
    },
    TIMEOUT_MS,
  );
});
