// An edge whose whole state is deleted has its index back from the home nodes that connect to it; so has another edge, with a key
// of its own, to which they connect. Nothing was copied beforehand: real processes, real folders.

import { randomBytes } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeKeyFiles } from "../../cli/local/key-files.ts";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { writeFolder } from "./publish-tree.ts";
import { Publisher, run } from "./publisher.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const NODES = 6;
const RELAYED = 2;
const TREE = { "a.txt": "file a", "sub/b.txt": "file b" };
let network: LocalNetwork;
let publisher: Publisher;
/** What each object's newest bytes hash to. */
const objects = new Map<string, string>();

beforeAll(async () => {
  network = await startNetwork(NODES, RELAYED, { SWEEP_SECONDS: "2" });
  publisher = await Publisher.create(sharedView(network));
  for (const text of ["one", "two", "three"]) await publish("small.txt", text);
  await publish("large.bin", randomBytes(5_000_000));
  await publish("striped.bin", randomBytes(3_000_000), "--redundancy", "2+2");
  await publish("withdrawn.txt", "taken back");
  await holdfast("remove", `${publisher.domain}/withdrawn.txt`, "--all", ...signing());
  objects.delete("withdrawn.txt");
  const tree = await publisher.publish(await writeFolder(publisher, TREE), "tree");
  expect(tree, tree.stderr).toMatchObject({ code: 0 });
});
afterAll(() => endNetwork(network));

const signing = () => ["--key", publisher.keyFile, "--author", publisher.author];

async function holdfast(...args: string[]): Promise<string> {
  const result = await publisher.holdfast(...args);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result.stdout;
}

async function publish(name: string, content: string | Uint8Array, ...flags: string[]): Promise<void> {
  const file = await publisher.writeFile(name, content);
  const result = await publisher.publish(file, name, ...flags);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  objects.set(name, hashBytes(await readFile(file)));
}

/** A name's Versions without what is told of today: who witnessed them, and who holds them. */
async function log(name: string): Promise<{ version: string; sequence: number }[]> {
  const versions: Record<string, unknown>[] = JSON.parse(
    await holdfast("log", `${publisher.domain}/${name}`, "--json"),
  );
  return versions.map(({ witnesses: _w, holders: _h, ...rest }) => rest) as never;
}

const edgeId = async () => parseEdgeStatus(await (await fetch(`${network.edgeUrl}/status`)).json()).id;

/** Ends the edge, deletes all that it had, and starts it again where it was; `prepare` is done between. */
async function loseEdge(prepare: () => Promise<void> = async () => undefined): Promise<void> {
  await network.edge.stop();
  await rm(join(network.dir, "edge"), { recursive: true });
  await prepare();
  await network.startEdge();
}

async function newEdgeKey(): Promise<void> {
  const file = join(network.dir, "keys", "another-edge");
  await makeKeyFiles(file, "another edge");
  const key = await readFile(file, "utf8");
  await writeFile(join(network.dir, "edge.env"), `EDGE_KEY=${JSON.stringify(key)}\n`);
}

async function check(): Promise<{ isComplete: boolean; tookMs: number; index: Record<string, number> }> {
  return JSON.parse(await holdfast("edge", "check", "--wait", "--json"));
}

async function expectAllBack(): Promise<void> {
  for (const [name, hash] of objects) {
    const { stdout } = await run("curl", ["-fsS", publisher.objectUrl(name)], {
      ...{ encoding: "buffer" as const, maxBuffer: 16e6 },
    });
    expect(hashBytes(new Uint8Array(stdout)), name).toBe(hash);
    const file = join(publisher.folder, `back-${name}`);
    await holdfast("get", `${publisher.domain}/${name}`, "-o", file, "--force");
    expect(hashBytes(await readFile(file)), name).toBe(hash);
  }
  expect((await fetch(publisher.objectUrl("withdrawn.txt"))).status).toBe(410);
  for (const [path, text] of Object.entries(TREE))
    expect(await (await fetch(publisher.objectUrl(`tree/${path}`))).text()).toBe(text);
  expect(await holdfast("ls", `${publisher.domain}/tree/`)).toContain("a.txt");
}

describe.each([
  ["that has lost its state", async () => undefined],
  ["with another key, elsewhere", newEdgeKey],
])("an edge %s", (_, prepare) => {
  test("has every object, Version and Removal back from home nodes, and goes on from there", async () => {
    const logs = await Promise.all([...objects.keys(), "withdrawn.txt"].map(log));
    const [before, id] = [await check(), await edgeId()];
    await loseEdge(prepare);
    expect((await edgeId()) === id).toBe(prepare !== newEdgeKey);
    await network.waitForNodes(NODES);
    const after = await check();
    console.log(`the index was back after ${after.tookMs} ms: ${JSON.stringify(after)}`);
    expect(after).toMatchObject({ isComplete: true, index: before.index });
    expect(await Promise.all([...objects.keys(), "withdrawn.txt"].map(log))).toEqual(logs);
    await expectAllBack();
    await publish("small.txt", `what follows ${logs[0]?.[0]?.version}`);
    const [newest, previous] = await log("small.txt");
    expect(previous).toMatchObject({ version: logs[0]?.[0]?.version, sequence: (newest?.sequence ?? 0) - 1 });
    await expectAllBack();
  }, 240_000);
});
