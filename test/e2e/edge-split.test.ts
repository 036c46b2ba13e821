// holdfast edge split, as an operator runs it: on real processes, with readers and publishers at it all the time.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseSplitAnswer } from "../../lib/wire/operator.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";
import { writeFolder } from "./publish-tree.ts";
import { type CliResult, holdfast, Publisher, run } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const NODES = 4;
const RELAYED = 1;
const SHARDS = 16;
const FILES = 40;
const SLOW = { timeout: 240_000 };
let network: LocalNetwork;
let publisher: Publisher;
/** What each object's newest bytes hash to. */
const objects = new Map<string, string>();
let published = 0;

beforeAll(async () => {
  network = await startNetwork(NODES, RELAYED);
  publisher = await Publisher.create(sharedView(network));
  await publish("first.bin", randomBytes(3_000_000));
  const files = Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`${i}.txt`, `file ${i}`]));
  ok(await publisher.publish(await writeFolder(publisher, files), "tree"));
  for (const [path, text] of Object.entries(files)) objects.set(`tree/${path}`, hashBytes(Buffer.from(text)));
});
afterAll(() => endNetwork(network));

function ok(result: CliResult): string {
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result.stdout;
}

async function publish(name: string, bytes: Uint8Array): Promise<void> {
  ok(await publisher.publish(await publisher.writeFile(name, bytes), name));
  objects.set(name, hashBytes(new Uint8Array(bytes)));
}

const split = (...args: string[]) =>
  holdfast(network, ["edge", "split", ...args, "--key", network.sampleKeyFile]);
const status = async (): Promise<EdgeStatus> =>
  parseEdgeStatus(await (await fetch(`${network.edgeUrl}/status`)).json());

/** Every object by curl; one of them by the command, which verifies it. */
async function expectReadable(): Promise<void> {
  for (const [name, hash] of objects) {
    const { stdout } = await run("curl", ["-fsS", publisher.objectUrl(name)], {
      ...{ encoding: "buffer" as const, maxBuffer: 16e6 },
    });
    expect(hashBytes(new Uint8Array(stdout)), name).toBe(hash);
  }
  const [name = "", hash] = [...objects].at(-1) ?? [];
  const file = `${publisher.folder}/read-back`;
  ok(await publisher.holdfast("get", `${publisher.domain}/${name}`, "-o", file, "--force"));
  expect(hashBytes(await readFile(file))).toBe(hash);
}

/** Reads and publishes for as long as `work` takes, and once at least. */
async function amidTraffic<T>(work: Promise<T>): Promise<T> {
  let isOver = false;
  const traffic = async (step: () => Promise<void>) => {
    do await step();
    while (!isOver);
  };
  const going = Promise.all([
    traffic(expectReadable),
    traffic(() => publish(`during-${published++}.bin`, randomBytes(100_000))),
  ]);
  try {
    return await work;
  } finally {
    isOver = true;
    await going;
  }
}

/** What the edge's own numbers say of its index, once its shards have reported. */
async function expectIndex(before: EdgeStatus["index"], names: number): Promise<void> {
  await expect
    .poll(async () => (await status()).index.names, { timeout: 30_000, interval: 200 })
    .toBe(before.names + names);
  const { index } = await status();
  expect(index.versions).toBe(before.versions + names);
  expect(index.chunks).toBeGreaterThan(before.chunks);
}

describe("holdfast edge split", () => {
  test("splits one shard, and then says that it is", async () => {
    expect((await status()).shards).toMatchObject({ count: SHARDS, depthMin: 4, depthMax: 4 });
    const { stdout, stderr } = await split("0110");
    expect(stdout).toMatch(/^SHARD +STATE +ROWS\n0110 +splitting +\d+\n$/);
    expect(stderr).toContain("the shard is split\n");
    expect((await status()).shards).toMatchObject({ count: SHARDS + 1, depthMax: 5, splitting: [] });
    expect(ok(await split("0110", "--json"))).toContain('"state": "split"');
    await expectReadable();
  });

  test("splits all of them under traffic; nothing is lost, and nothing is charged twice", async () => {
    const before = await status();
    const usage = await usageOf();
    const counted = published;
    const stdout = ok(await amidTraffic(split("--all", "--json")));
    const shards = parseSplitAnswer({ shards: JSON.parse(stdout) }).shards;
    expect(shards.map(({ state }) => state)).toEqual(Array(SHARDS + 1).fill("splitting"));
    expect(shards.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(FILES);
    expect((await status()).shards).toMatchObject({ count: 2 * (SHARDS + 1), depthMin: 5, depthMax: 6 });
    await expectReadable();
    await expectIndex(before.index, published - counted);
    const now = await usageOf();
    // A chunk and a Manifest for each.
    expect(now.chunks).toBe(usage.chunks + 2 * (published - counted));
  });

  test("goes on where it was after the edge was started again", SLOW, async () => {
    ok(await split("--all", "--no-wait"));
    await network.edge.stop();
    await network.startEdge();
    await network.waitForNodes(NODES);
    // What was under way is taken up after a minute where the platform does not ring again before.
    await expect
      .poll(async () => (await status()).shards?.count, { timeout: 120_000, interval: 500 })
      .toBe(4 * (SHARDS + 1));
    await amidTraffic(Promise.resolve());
    await expectReadable();
  });

  test.each([
    [["012"], "expected up to 10 digits 0 and 1", 2],
    [["01100110011"], "expected up to 10 digits 0 and 1", 2],
    [["01"], "this edge has no shard 01", 2],
    [["0110011001"], "this edge has no shard 0110011001", 2],
    [[], "name one shard by its bits, or say --all", 2],
    [["0110", "--all"], "name one shard by its bits, or say --all", 2],
  ])("says what is wrong with %j", async (args, words, code) => {
    const result = await split(...args);
    expect(result.stderr).toContain(words);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  test("takes no word of who is no operator", async () => {
    const { code, stderr } = await publisher.holdfast(
      "edge",
      "split",
      "--all",
      "--key",
      publisher.keyFile,
      "--json",
    );
    expect(code).toBe(4);
    expect(stderr).toContain("key-not-authorized");
  });
});

async function usageOf(): Promise<{ bytes: number; chunks: number }> {
  const response = await fetch(`${network.edgeUrl}/domain/${publisher.domain}`);
  return ((await response.json()) as { usage: { bytes: number; chunks: number } }).usage;
}
