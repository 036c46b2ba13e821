// Every edge down: each object is found and verified from any one home node that can be reached, also what is held only by
// nodes behind NAT. Real processes; the edge's is killed.

import { randomBytes } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { nameHashOf, parseName } from "../../lib/names.ts";
import { CHUNKS_PER_PLAN_MAX, parseLocateAnswer } from "../../lib/wire/chunks.ts";
import { chunksOf, sha256 } from "./object-reads.ts";
import { writeFolder } from "./publish-tree.ts";
import { type CliResult, Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const withoutCurl = requirePrograms({ curl: "curl" }).missing.length > 0;
const NODES = 5;
/** The last ones have no listener. */
const HIDDEN = 3;
const HIDDEN_NUMBERS = ["3", "4", "5"];
/** Each on one node: some of them are on a hidden one. */
const SINGLES = 8;
const ANNOUNCED_WITHIN_MS = 60_000;
const SETUP_MS = 240_000;

describe("with the only edge killed", () => {
  const contents = new Map<string, Buffer>();
  let network: LocalNetwork;
  let publisher: Publisher;
  let onlyHidden: string[] = [];
  const treeFiles = { "index.html": "<p>hello", "a/one.txt": "one", "a/two.txt": "two", "b.bin": "three" };

  beforeAll(async () => {
    network = await startNetwork(NODES, HIDDEN);
    publisher = await Publisher.create(sharedView(network));
    await publishSingles();
    await publish("big", randomBytes(12 * 1024 * 1024));
    await publish("striped", randomBytes(8 * 1024 * 1024), "--redundancy", "2+1");
    await publish("twice", randomBytes(1000));
    await publish("twice", randomBytes(1000));
    const folder = await writeFolder(publisher, treeFiles);
    expect(await publisher.publish(folder, "tree")).toMatchObject({ code: 0 });
    onlyHidden = await namesOnlyHidden();
    await vi.waitUntil(isAnnounced, { timeout: ANNOUNCED_WITHIN_MS, interval: 200 });
    network.edge.kill("SIGKILL");
    await vi.waitUntil(() => !network.edge.isRunning, { timeout: 10_000, interval: 20 });
  }, SETUP_MS);

  afterAll(() => endNetwork(network));

  /** A tree, because that is one command. */
  async function publishSingles(): Promise<void> {
    const singles = Array.from({ length: SINGLES }, (_, i): [string, Buffer] => [
      `${i}`,
      randomBytes(20_000),
    ]);
    const folder = await writeFolder(publisher, Object.fromEntries(singles));
    expect(await publisher.publish(folder, "singles", "--replicas", "1")).toMatchObject({ code: 0 });
    for (const [name, content] of singles) contents.set(`singles/${name}`, content);
  }

  async function publish(name: string, content: Buffer, ...options: string[]): Promise<void> {
    const file = await publisher.writeFile("content", content);
    expect(await publisher.publish(file, name, ...options)).toMatchObject({ code: 0 });
    contents.set(name, content);
  }

  /** The numbers of the nodes that have the chunk on disk. */
  async function keepersOf(hash: string): Promise<string[]> {
    const numbers = Array.from({ length: NODES }, (_, i) => String(i + 1));
    const found = await Promise.all(
      numbers.map((number) =>
        access(join(network.dir, "nodes", number, "chunks", hash.slice(0, 2), hash)).then(
          () => [number],
          () => [],
        ),
      ),
    );
    return found.flat();
  }

  async function namesOnlyHidden(): Promise<string[]> {
    const names = Array.from({ length: SINGLES }, (_, i) => `singles/${i}`);
    const keepers = await Promise.all(
      names.map((name) => keepersOf(sha256(contents.get(name) ?? Buffer.alloc(0)))),
    );
    return names.filter((_, i) => keepers[i]?.every((number) => HIDDEN_NUMBERS.includes(number)));
  }

  /** Soft state: the holders announce what is new when they have it, which nothing else waits for. */
  async function isAnnounced(): Promise<boolean> {
    const chunks = await Promise.all([...contents.keys()].map((name) => chunksOf(publisher, name)));
    const names = [...contents.keys()].map((name) => nameHashOf(publisher.domain, parseName(name)));
    const hashes = [...new Set([...chunks.flat().map(({ hash }) => hash), ...names])];
    const told = await Promise.all(
      sharedView(network).nodeUrls.map(async (url) => {
        const body = JSON.stringify({ chunks: hashes.slice(0, CHUNKS_PER_PLAN_MAX) });
        const response = await fetch(`${url}/chunk/locate`, { method: "POST", body });
        return response.ok ? parseLocateAnswer(await response.json()).chunks : [];
      }),
    );
    return hashes.every((hash) =>
      told.flat().some((chunk) => chunk.hash === hash && chunk.holders.length > 0),
    );
  }

  async function get(
    from: string,
    target: string,
    ...options: string[]
  ): Promise<CliResult & { path: string }> {
    const path = join(publisher.folder, `out-${randomBytes(4).toString("hex")}`);
    const args = ["get", `${publisher.domain}/${target}`, "-o", path, "--from", from, ...options];
    return { ...(await publisher.holdfast(...args)), path };
  }

  test("some objects are held by nodes without a listener only", () => {
    expect(onlyHidden.length).toBeGreaterThan(0);
  });

  test.each([0, 1])("every object is read, whole and verified, from the reachable node %i", async (at) => {
    const from = sharedView(network).nodeUrls[at] ?? "";
    for (const [name, content] of contents) {
      const { code, stderr, path } = await get(from, name);
      expect({ name, code, stderr: code === 0 ? "" : stderr }).toEqual({ name, code: 0, stderr: "" });
      expect((await readFile(path)).equals(content)).toBe(true);
    }
  });

  test("a tree is read with its folders", async () => {
    const from = sharedView(network).nodeUrls[0] ?? "";
    const { code, stderr, path } = await get(from, "tree", "-r");
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    for (const [name, text] of Object.entries(treeFiles))
      expect(await readFile(join(path, name), "utf8")).toBe(text);
  });

  test("the log has all Versions of a name", async () => {
    const from = sharedView(network).nodeUrls[1] ?? "";
    const { code, stdout } = await publisher.holdfast(
      "log",
      `${publisher.domain}/twice`,
      "--json",
      "--from",
      from,
    );
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { sequence: number }[]).map(({ sequence }) => sequence)).toEqual([2, 1]);
  });

  test.skipIf(withoutCurl)(
    "curl is sent on to a node without a listener, through one that relays",
    async () => {
      const hash = sha256(contents.get(onlyHidden[0] ?? "") ?? Buffer.alloc(0));
      const [url = ""] = sharedView(network).nodeUrls;
      const curl = await run("curl", ["-fsSL", `${url}/chunk/${hash}`], { encoding: "buffer" });
      expect(sha256(curl.stdout)).toBe(hash);
    },
  );

  test("what nobody published is not found, and nothing is written", async () => {
    const from = sharedView(network).nodeUrls[0] ?? "";
    const { code, stderr, path } = await get(from, "nothing");
    expect(code).toBe(3);
    expect(stderr).toContain("not-found");
    await expect(access(path)).rejects.toThrow("ENOENT");
  });

  test("without a home node to begin at, nothing is read", async () => {
    const { code, stderr } = await publisher.holdfast(
      "get",
      `${publisher.domain}/big`,
      "-o",
      join(publisher.folder, "none"),
    );
    expect(code).toBe(5);
    expect(stderr).toContain("unreachable");
  });
});
