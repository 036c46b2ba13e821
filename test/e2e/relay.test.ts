// Home nodes that nobody can dial, with real processes: what they hold is published, read and referred to through the
// edge, and what breaks on the way costs time, never bytes.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { Child } from "../../cli/local/child.ts";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { BATCH_BODY_MAX } from "../../lib/chunk-batch.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { parseEdgeStatus } from "../../lib/wire/status.ts";
import { bareGet, chunksOf, getFile, judge, sha256 } from "./object-reads.ts";
import { holdfast, Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const MiB = 1024 * 1024;
const POLL_MS = 100;
const WAIT_MS = 60_000;
const EARLY_ANSWERS = 10;

const { missing } = requirePrograms({ curl: "curl", wget: "wget" });
const withoutCurl = missing.includes("curl");
/** Those that follow a redirect. */
const programs = ["curl", "wget"].filter((program) => !missing.includes(program));

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function statusOf(network: { edgeUrl: string }) {
  return parseEdgeStatus(await (await fetch(`${network.edgeUrl}/status`)).json());
}

async function publishFile(publisher: Publisher, name: string, content: Uint8Array): Promise<void> {
  const file = await publisher.writeFile(name, content);
  expect(await publisher.publish(file, name)).toMatchObject({ code: 0 });
}

async function readObject(publisher: Publisher, name: string): Promise<Buffer> {
  const response = await fetch(publisher.objectUrl(name));
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** A chunk's bytes, by a program that follows redirects. */
async function fetchBy(program: string, url: string): Promise<Buffer> {
  const args = program === "curl" ? ["-fsSL", url] : ["-q", "-O", "-", url];
  const { stdout } = await run(program, args, { encoding: "buffer", maxBuffer: 2 * CHUNK_BYTES_MAX });
  return stdout;
}

/** Status and Location of a request that is not followed. */
async function refer(url: string): Promise<{ status: number; location: string | null }> {
  const response = await fetch(url, { redirect: "manual" });
  await response.body?.cancel();
  return { status: response.status, location: response.headers.get("location") };
}

describe("a network whose nodes have no listener", () => {
  const content = randomBytes(12 * MiB + 345);
  let network: LocalNetwork;
  let publisher: Publisher;

  beforeAll(async () => {
    network = await startNetwork(3, 3);
    publisher = await Publisher.create(sharedView(network));
    await publishFile(publisher, "big", content);
  });

  afterAll(() => endNetwork(network));

  test("keeps what is published on all of them, and gives it back to curl and to a client", async () => {
    expect((await readObject(publisher, "big")).equals(content)).toBe(true);
    const { code, file } = await getFile(publisher, "big");
    expect(code).toBe(0);
    expect(file?.equals(content)).toBe(true);
    const [chunk] = await chunksOf(publisher, "big");
    const holders = await Promise.all(
      network.nodes.map((_, i) => holdsChunk(network, String(i + 1), chunk?.hash ?? "")),
    );
    expect(holders).toEqual([true, true, true]);
  });

  test("says of them that they have no URL", async () => {
    const { members, nodes } = await statusOf(network);
    expect(nodes.online).toBe(3);
    expect(members.map(({ url }) => url)).toEqual([null, null, null]);
    const { stdout } = await holdfast(sharedView(network), ["status"]);
    expect(stdout.match(/through the edge/g)?.length).toBe(3);
  });

  test.skipIf(withoutCurl)("says a chunk's length before and with its bytes", async () => {
    const { members } = await statusOf(network);
    const [chunk] = await chunksOf(publisher, "big");
    const url = `${network.edgeUrl}/via/${members[0]?.id}/chunk/${chunk?.hash}`;
    for (const args of [["-fsSI"], ["-fsSD", "-", "-o", "/dev/null"]]) {
      const { stdout } = await run("curl", [...args, url]);
      expect(stdout).toMatch(new RegExp(`^content-length: ${chunk?.size}\r$`, "im"));
    }
  });

  test.skipIf(withoutCurl)("is not sent what is larger than a chunk, or a batch of chunks", async () => {
    const { members } = await statusOf(network);
    const put = async (path: string, sizeBytes: number, ...options: string[]) => {
      const file = await publisher.writeFile("large", new Uint8Array(sizeBytes));
      const url = `${network.edgeUrl}/via/${members[0]?.id}${path}`;
      const args = ["-sS", "-T", file, "-w", "%{http_code}", "-o", "/dev/null", ...options, url];
      return (await run("curl", args)).stdout;
    };
    const path = `/chunk/${"0".repeat(64)}`;
    expect(await put(path, CHUNK_BYTES_MAX + 1)).toBe("413");
    expect(await put("/chunk", BATCH_BODY_MAX + 1)).toBe("413");
    // The node looks at the grant first. However often: the answer comes before the body has gone up.
    for (let i = 0; i < EARLY_ANSWERS; i++) {
      expect(await put(path, CHUNK_BYTES_MAX)).toBe("401");
      expect(await put(path, CHUNK_BYTES_MAX + 1, "-H", "Transfer-Encoding: chunked")).toBe("401");
    }
  });

  test("answers for a chunk with a redirect to the relay, and once it is hot with its bytes", async () => {
    const small = randomBytes(100_000);
    await publishFile(publisher, "small", small);
    const [chunk] = await chunksOf(publisher, "small");
    const url = `${network.edgeUrl}/chunk/${chunk?.hash}`;
    const cold = await refer(url);
    expect(cold).toEqual({
      status: 307,
      location: expect.stringMatching(
        new RegExp(`^${network.edgeUrl}/via/[0-9a-f]{64}/chunk/${chunk?.hash}$`),
      ),
    });
    for (const program of programs) expect((await fetchBy(program, url)).equals(small)).toBe(true);
    await until("the chunk is hot", async () => {
      expect((await readObject(publisher, "small")).equals(small)).toBe(true);
      return (await refer(url)).status === 200;
    });
    for (const program of programs) expect((await fetchBy(program, url)).equals(small)).toBe(true);
  });

  test("one of which is killed in the middle of a read lets another go on", async () => {
    const large = randomBytes(40 * MiB);
    await publishFile(publisher, "large", large);
    const response = await fetch(publisher.objectUrl("large"));
    const reader = response.body?.getReader();
    const blocks = [(await reader?.read())?.value ?? new Uint8Array(0)];
    network.nodes[0]?.process.kill("SIGKILL");
    for (let block = await reader?.read(); block?.value !== undefined; block = await reader?.read()) {
      blocks.push(block.value);
    }
    expect(sha256(Buffer.concat(blocks))).toBe(sha256(large));
    const { code, file } = await getFile(publisher, "large");
    expect(code).toBe(0);
    expect(file?.equals(large)).toBe(true);
  });
});

async function holdsChunk(network: { dir: string }, node: string, hash: string): Promise<boolean> {
  const folder = join(network.dir, "nodes", node, "chunks", hash.slice(0, 2));
  return (await readdir(folder).catch((): string[] => [])).includes(hash);
}

describe("a chunk that a node with a URL holds", () => {
  test("is found there by the programs that follow a redirect", async () => {
    const network = inject("network");
    const publisher = await Publisher.create(network);
    const content = randomBytes(50_000);
    await publishFile(publisher, "object", content);
    const [chunk] = await chunksOf(publisher, "object");
    const url = `${network.edgeUrl}/chunk/${chunk?.hash}`;
    const { status, location } = await refer(url);
    expect(status).toBe(307);
    expect(network.nodeUrls.map((nodeUrl) => `${nodeUrl}/chunk/${chunk?.hash}`)).toContain(location);
    for (const program of programs) expect((await fetchBy(program, url)).equals(content)).toBe(true);
  });
});

/** Passes connections on to a port, until it is closed with all of them: as a firewall that changed its mind. */
class Gate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  port = 0;

  constructor(targetPort: () => number) {
    this.#server = createServer((socket) => {
      const target = connect(targetPort(), "127.0.0.1");
      for (const one of [socket, target]) {
        this.#sockets.add(one);
        one.on("error", () => undefined);
        one.on("close", () => this.#sockets.delete(one));
      }
      socket.pipe(target).pipe(socket);
    });
  }

  async open(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    ({ port: this.port } = this.#server.address() as AddressInfo);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

describe("a node that was reachable at its URL when it registered, and is no more", () => {
  const content = randomBytes(10 * MiB);
  const name = "walled";
  let network: LocalNetwork;
  let publisher: Publisher;
  let walled: Child;
  let gate: Gate;

  beforeAll(async () => {
    network = await startNetwork(2, 2);
    // Past the ports of the network itself, within its free range.
    const port = Number(new URL(network.edgeUrl).port) + 30;
    gate = new Gate(() => port);
    await gate.open();
    const main = join(import.meta.dirname, "../../cli/main.ts");
    walled = new Child({
      name,
      command: process.execPath,
      args: [
        ...[main, "node", "run", "--dir", join(network.dir, "nodes", name), "--edge", network.edgeUrl],
        ...["--doh", network.dohUrl, "--listen", `127.0.0.1:${port}`],
        ...["--url", `http://127.0.0.1:${gate.port}`, "--pledge", "5GB", "--domains", "all"],
      ],
      logFile: join(network.dir, "logs", `${name}.log`),
    });
    walled.start();
    await network.waitForNodes(3);
    publisher = await Publisher.create(sharedView(network));
  });

  afterAll(async () => {
    gate.close();
    await walled.stop();
    await endNetwork(network);
  });

  test("is published to and read from through the relay", async () => {
    const url = `http://127.0.0.1:${gate.port}`;
    expect((await statusOf(network)).members.map((member) => member.url)).toContain(url);
    gate.close();
    await expect(fetch(url)).rejects.toThrow("fetch failed");
    await publishFile(publisher, "big", content);
    for (const { hash } of await chunksOf(publisher, "big")) {
      expect(await holdsChunk(network, name, hash)).toBe(true);
    }
    // Now it is the only one to ask.
    for (const node of network.nodes) node.process.kill("SIGKILL");
    const { code, file } = await getFile(publisher, "big");
    expect(code).toBe(0);
    expect(file?.equals(content)).toBe(true);
    expect((await readObject(publisher, "big")).equals(content)).toBe(true);
  });
});

describe("an edge that is killed and started again", () => {
  const content = randomBytes(20 * MiB);
  let network: LocalNetwork;
  let publisher: Publisher;

  beforeAll(async () => {
    network = await startNetwork(3, 3);
    publisher = await Publisher.create(sharedView(network));
    await publishFile(publisher, "big", content);
  });

  afterAll(() => endNetwork(network));

  test("has its nodes back, and what was read or published meanwhile is right or failed", async () => {
    let isOver = false;
    const outcomes = { got: 0, notGot: 0, whole: 0, broken: 0, published: 0, unpublished: 0 };
    const published = new Map<string, Buffer>();
    const get = async () => {
      const { code, file } = await getFile(publisher, "big");
      expect(file === null).toBe(code !== 0);
      if (file !== null) expect(file.equals(content)).toBe(true);
      outcomes[code === 0 ? "got" : "notGot"] += 1;
    };
    const readBare = async () => {
      const verdict = judge(await bareGet(publisher.objectUrl("big")), content);
      expect(verdict).not.toBe("corrupt");
      outcomes[verdict === "whole" ? "whole" : "broken"] += 1;
    };
    const publish = async () => {
      const name = `meanwhile-${published.size}-${outcomes.unpublished}`;
      const bytes = randomBytes(3 * MiB);
      const { code } = await publisher.publish(await publisher.writeFile(name, bytes), name);
      if (code === 0) published.set(name, bytes);
      outcomes[code === 0 ? "published" : "unpublished"] += 1;
    };
    // Each with a pause: they share a machine with everything that they ask.
    const loops = [get, readBare, publish].map(async (work) => {
      while (!isOver) {
        await work();
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    });
    // What a loop finds wrong ends the test at once.
    const untilAll = (what: string, isSo: () => boolean) =>
      Promise.race([until(what, async () => isSo()), Promise.all(loops)]);
    await untilAll("each has succeeded", () => outcomes.got * outcomes.whole * outcomes.published > 0);
    network.edge.kill("SIGKILL");
    await untilAll("each has failed", () => outcomes.notGot * outcomes.broken * outcomes.unpublished > 0);
    await network.startEdge();
    await network.waitForNodes(3);
    const before = { ...outcomes };
    const hasMore = (key: keyof typeof outcomes) => outcomes[key] > before[key];
    await untilAll("each succeeds again", () => hasMore("got") && hasMore("whole") && hasMore("published"));
    isOver = true;
    await Promise.all(loops);
    for (const [name, bytes] of published) {
      expect((await readObject(publisher, name)).equals(bytes)).toBe(true);
    }
  });

  test("is found again by its nodes themselves", async () => {
    const log = await readFile(network.nodes[0]?.process.logFile ?? "", "utf8");
    expect(log.match(/registered with the edge/g)?.length).toBeGreaterThan(1);
    expect(log).toContain("will connect again");
  });
});
