// A home node as its volunteer meets it: identity, configuration, status, pace, and a clean stop.

import { execFileSync } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseNodeConfig } from "../../home-node/config.ts";
import { SOFTWARE } from "../../home-node/link/link-session.ts";
import { RateLimit } from "../../home-node/server/rate.ts";
import { nodeIdOf, parsePublicKeyLine } from "../../lib/openssh-key.ts";
import { parseNodeStatus } from "../../lib/wire/nodes.ts";
import { requirePrograms } from "../e2e/requires.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  ManualClock,
  problemIn,
  putChunk,
  startTestNode,
  TestDns,
  until,
} from "./home-node-fixture.ts";

const withoutSsh = requirePrograms({ "ssh-keygen": "openssh-client" }).missing.length > 0;

const cleanup = new Cleanup();
let dns: TestDns;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
});
afterEach(() => cleanup.run());

describe("the identity", () => {
  it.skipIf(withoutSsh)("is a private key that ssh-keygen reads and only its owner may", async () => {
    const { id, dir } = await startTestNode(cleanup, dns);
    const path = join(dir, "identity");
    const line = execFileSync("ssh-keygen", ["-y", "-f", path], { encoding: "utf8" });
    expect(nodeIdOf(parsePublicKeyLine(line).blob)).toBe(id);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it.skipIf(withoutSsh)("is one that ssh-keygen made, where there is one", async () => {
    const dir = await cleanup.directory();
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, "identity")]);
    const { id } = await startTestNode(cleanup, dns, { dir });
    const line = await readFile(join(dir, "identity.pub"), "utf8");
    expect(nodeIdOf(parsePublicKeyLine(line).blob)).toBe(id);
  });

  it.skipIf(withoutSsh)("stops the start where it is encrypted or damaged, and is not replaced", async () => {
    const dir = await cleanup.directory();
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "secret", "-f", join(dir, "identity")]);
    await expect(startTestNode(cleanup, dns, { dir })).rejects.toMatchObject({ code: "invalid-key" });
    await writeFile(join(dir, "identity"), "damaged");
    await expect(startTestNode(cleanup, dns, { dir })).rejects.toMatchObject({ code: "invalid-key" });
    expect(await readFile(join(dir, "identity"), "utf8")).toBe("damaged");
  });
});

describe("the configuration", () => {
  const good = {
    dir: "/tmp/node",
    listen: null,
    publicUrl: null,
    advertise: false,
    edges: ["https://edge.example.org"],
    dohUrls: ["https://dns.example/dns-query"],
    pledge: { bytes: 1, uploadRate: null, downloadRate: 65_536, domains: ["example.org"] },
  };

  it("is taken as it stands, with a reserve of 1 GiB on the disk", () => {
    const left = {
      denyFile: null,
      diskReserveBytes: 1024 ** 3,
      join: [],
      repairRate: null,
      lostDisk: false,
      relay: true,
      name: null,
    };
    expect(parseNodeConfig(good)).toEqual({ ...good, ...left, scrubRate: 1024 ** 2, collectSeconds: 86_400 });
  });

  it.each([
    ["an unknown field", { more: 1 }],
    ["an edge that is not http", { edges: ["ftp://edge.example.org"] }],
    ["no resolver", { dohUrls: [] }],
    ["a port that does not exist", { listen: { host: "::", port: 65_536 } }],
    ["a rate too low for a chunk", { pledge: { ...good.pledge, uploadRate: 65_535 } }],
    ["a domain that is none", { pledge: { ...good.pledge, domains: ["example"] } }],
  ])("is refused with %s", (_what, change) => {
    expect(() => parseNodeConfig({ ...good, ...change })).toThrowError(
      expect.objectContaining({ code: "invalid-request" }),
    );
  });
});

describe("the HTTP surface", () => {
  it("says in /status who the node is, as an edge asks it", async () => {
    const { id, url, node } = await startTestNode(cleanup, dns);
    const body: unknown = await (await fetch(`${url}/status`)).json();
    const status = parseNodeStatus(body);
    expect(status.id).toBe(id);
    expect(nodeIdOf(Buffer.from(status.key, "base64"))).toBe(id);
    expect(body).toMatchObject({ chunks: 0, url: (await node.status()).url });
  });

  it("names the software by the package's version", async () => {
    const { version } = JSON.parse(await readFile("package.json", "utf8"));
    expect(SOFTWARE).toBe(`holdfast/${version}`);
  });

  it("answers what is not there with a problem", async () => {
    const { url } = await startTestNode(cleanup, dns);
    for (const path of ["/nodes", "/obj/example.org/a"]) {
      expect(await problemIn(await fetch(url + path))).toBe("404 not-found");
    }
  });

  it("answers a method that a path does not have with 405 and those it has", async () => {
    const { url } = await startTestNode(cleanup, dns);
    const response = await fetch(`${url}/chunk/${chunkOf(1).hash}`, { method: "DELETE" });
    expect(response.headers.get("allow")).toBe("GET, HEAD, PUT");
    expect(await problemIn(response)).toBe("405 method-not-allowed");
    expect(await problemIn(await fetch(`${url}/names`))).toBe("405 method-not-allowed");
  });

  it("lets a page of another origin upload", async () => {
    const { url } = await startTestNode(cleanup, dns);
    const headers = {
      Origin: "https://page.example",
      "Access-Control-Request-Method": "PUT",
      "Access-Control-Request-Headers": "holdfast-grant,holdfast-upload",
    };
    const response = await fetch(`${url}/chunk/${chunkOf(1).hash}`, { method: "OPTIONS", headers });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(response.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("holdfast-grant");
  });

  it("tells nothing of the inside when it fails", async () => {
    const deps = { freeDiskBytes: () => Promise.reject(new Error("secret path /home/alice")) };
    const node = await startTestNode(cleanup, dns, { deps });
    const response = await putChunk(node, await createPublisher(node), chunkOf(10));
    expect([response.status, response.headers.get("content-type")]).toEqual([
      500,
      "application/problem+json",
    ]);
    const text = await response.text();
    expect(text).toContain('"code":"internal"');
    expect(text).not.toContain("secret");
  });

  it("refuses headers over 32 KiB, and takes two of 12 KiB", async () => {
    const { url } = await startTestNode(cleanup, dns);
    const path = `${url}/chunk/${chunkOf(1).hash}`;
    const statusWith = async (bytes: number) => {
      const headers = { "X-One": "x".repeat(bytes), "X-Two": "x".repeat(bytes) };
      return (await fetch(path, { headers })).status;
    };
    expect(await statusWith(12 * 1024)).toBe(404);
    expect(await statusWith(17 * 1024)).toBe(431);
  });

  it("listens nowhere when it is told so, and still answers requests", async () => {
    const { node, url } = await startTestNode(cleanup, dns, { config: { listen: null } });
    expect(url).toBe("");
    const response = await node.fetch(new Request("http://node/status"));
    expect(await response.json()).toMatchObject({ url: null });
  });

  it("is not told to edges unless it is meant to be", async () => {
    const hidden = await startTestNode(cleanup, dns, { config: { advertise: false } });
    expect((await hidden.node.status()).url).toBeNull();
    const publicUrl = "https://node.example.org";
    const named = await startTestNode(cleanup, dns, { config: { publicUrl } });
    expect((await named.node.status()).url).toBe(publicUrl);
  });
});

describe("stopping", () => {
  it("lets a request in flight finish and takes no new ones", async () => {
    const node = await startTestNode(cleanup, dns, { pledge: { uploadRate: 65_536 } });
    const chunk = chunkOf(200_000);
    await putChunk(node, await createPublisher(node), chunk);
    const response = await fetch(`${node.url}/chunk/${chunk.hash}`);
    const stopped = node.node.stop();
    await new Promise((resolve) => setTimeout(resolve, 200)); // long enough for idle connections to be closed
    await expect(fetch(`${node.url}/status`)).rejects.toThrow();
    const body = response.arrayBuffer();
    await secondsUntil(node.clock, body);
    expect(new Uint8Array(await body)).toEqual(chunk.bytes);
    await stopped;
  });

  it("frees the port", async () => {
    const node = await startTestNode(cleanup, dns);
    await node.node.stop();
    const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
    const failed = await new Promise((resolve) => {
      socket.on("connect", () => resolve(false));
      socket.on("error", () => resolve(true));
    });
    socket.destroy();
    expect(failed).toBe(true);
  });
});

describe("bandwidth", () => {
  it("passes a second's worth at once, then what the rate allows", async () => {
    const clock = new ManualClock();
    const limit = new RateLimit(1_000, clock);
    await limit.take(1_000);
    const passed: string[] = [];
    for (const name of ["first", "second"]) void limit.take(500).then(() => passed.push(name));
    await clock.advance(499);
    expect(passed).toEqual([]);
    await clock.advance(1);
    expect(passed).toEqual(["first"]);
    await clock.advance(499);
    expect(passed).toEqual(["first"]);
    await clock.advance(1);
    expect(passed).toEqual(["first", "second"]);
  });

  it("saves up no more than a second's worth", async () => {
    const clock = new ManualClock();
    const limit = new RateLimit(1_000, clock);
    await clock.advance(60_000);
    await limit.take(1_000);
    void limit.take(100);
    expect(clock.sleepingUntil).toEqual([100]);
  });

  it("does not sleep where there is no limit", async () => {
    const clock = new ManualClock();
    await new RateLimit(null, clock).take(1e12);
    expect(clock.sleepingUntil).toEqual([]);
  });

  it("slows what the node serves, without refusing it", async () => {
    const node = await startTestNode(cleanup, dns, { pledge: { uploadRate: 65_536 } });
    const chunk = chunkOf(65_536 * 5);
    await putChunk(node, await createPublisher(node), chunk);
    const response = await fetch(`${node.url}/chunk/${chunk.hash}`);
    const body = response.arrayBuffer();
    expect(await secondsUntil(node.clock, body)).toBe(4);
    expect(new Uint8Array(await body)).toEqual(chunk.bytes);
  });

  it("slows what the node receives, without refusing it", async () => {
    const node = await startTestNode(cleanup, dns, { pledge: { downloadRate: 65_536 } });
    const response = putChunk(node, await createPublisher(node), chunkOf(65_536 * 4));
    expect(await secondsUntil(node.clock, response)).toBe(3);
    expect((await response).status).toBe(201);
  });
});

const TRANSFER_SLEEP_MAX_MS = 10_000;

/** Seconds by which the clock must be advanced before `work` is done. */
async function secondsUntil(clock: ManualClock, work: Promise<unknown>): Promise<number> {
  let isDone = false;
  void work.finally(() => {
    isDone = true;
  });
  const startMs = clock.now();
  // The counters' minute is no part of it.
  const transferSleeps = () => clock.sleepingUntil.filter((ms) => ms <= TRANSFER_SLEEP_MAX_MS);
  while (!isDone) {
    await until("the transfer waits or is done", () => isDone || transferSleeps().length > 0);
    const [nextMs] = transferSleeps();
    if (!isDone && nextMs !== undefined) await clock.advance(nextMs);
  }
  return Math.round((clock.now() - startMs) / 1000);
}
