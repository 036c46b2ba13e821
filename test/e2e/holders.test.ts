import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { createServer, request as httpRequest, type Server } from "node:http";
import { join } from "node:path";
import { Transform } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Child } from "../../cli/local/child.ts";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";
import { endNetwork, sharedView, startNetwork } from "./setup.ts";

const withoutCurl = requirePrograms({ curl: "curl" }).missing.length > 0;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Past the ports of the network itself, within its free range. */
const LIAR_PORT_OFFSET = 30;

/** A reverse proxy in front of a node: passes everything on, and flips a byte of every chunk that it hands out. */
async function startFlippingProxy(
  nodeUrl: string,
): Promise<{ url: string; flipped: () => number; server: Server }> {
  let flips = 0;
  const server = createServer((request, response) => {
    const upstream = httpRequest(`${nodeUrl}${request.url}`, {
      method: request.method,
      headers: request.headers,
    });
    const isChunk = request.method === "GET" && request.url?.startsWith("/chunk/") === true;
    upstream.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (isChunk && answer.statusCode === 200) flips++;
      const bodies = isChunk && answer.statusCode === 200 ? answer.pipe(flipFirstByte()) : answer;
      bodies.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    request.pipe(upstream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, flipped: () => flips, server };
}

function flipFirstByte(): Transform {
  let done = false;
  return new Transform({
    transform(block: Buffer, _, next) {
      if (!done) block[0] = (block[0] ?? 0) ^ 1;
      done = true;
      next(null, block);
    },
  });
}

/** Reads an object as curl's kind of client does, and as one that verifies; the digests of both. */
async function readBothWays(publisher: Publisher, name: string): Promise<string[]> {
  const response = await fetch(publisher.objectUrl(name));
  expect(response.status).toBe(200);
  const out = join(publisher.folder, `out-${randomBytes(4).toString("hex")}`);
  expect(await publisher.holdfast("get", `${publisher.domain}/${name}`, "-o", out)).toMatchObject({
    code: 0,
  });
  return [sha256(new Uint8Array(await response.arrayBuffer())), sha256(await readFile(out))];
}

describe("a holder that lies", () => {
  const content = randomBytes(30 * 1024 * 1024);
  let network: LocalNetwork;
  let liar: Child;
  let proxy: Awaited<ReturnType<typeof startFlippingProxy>>;

  beforeAll(async () => {
    network = await startNetwork(3);
    const port = Number(new URL(network.edgeUrl).port) + LIAR_PORT_OFFSET;
    proxy = await startFlippingProxy(`http://127.0.0.1:${port}`);
    liar = new Child({
      name: "liar",
      command: process.execPath,
      args: [
        ...[
          join(import.meta.dirname, "../../cli/main.ts"),
          "node",
          "run",
          "--dir",
          join(network.dir, "nodes", "liar"),
        ],
        ...["--edge", network.edgeUrl, "--doh", network.dohUrl, "--listen", `127.0.0.1:${port}`],
        ...["--url", proxy.url, "--pledge", "5GB", "--domains", "all"],
      ],
      logFile: join(network.dir, "logs", "liar.log"),
    });
    liar.start();
    await network.waitForNodes(4);
  });

  afterAll(async () => {
    await liar.stop();
    proxy.server.close();
    await endNetwork(network);
  });

  test("flips a byte of every chunk that it serves, and changes nothing for any reader", async () => {
    const publisher = await Publisher.create(sharedView(network));
    const file = await publisher.writeFile("big", content);
    expect(await publisher.publish(file, "big")).toMatchObject({ code: 0 });
    expect(await readBothWays(publisher, "big")).toEqual([sha256(content), sha256(content)]);
    expect(proxy.flipped()).toBeGreaterThan(1);
  });
});

describe("holders that vanish", () => {
  const content = randomBytes(30 * 1024 * 1024);
  let network: LocalNetwork;
  let publisher: Publisher;

  beforeAll(async () => {
    network = await startNetwork(5);
    publisher = await Publisher.create(sharedView(network));
    const file = await publisher.writeFile("big", content);
    expect(await publisher.publish(file, "big")).toMatchObject({ code: 0 });
  });

  afterAll(() => endNetwork(network));

  test("an edge that was ended and started again has its nodes back, and serves what it acknowledged", async () => {
    network.edge.kill("SIGKILL");
    await network.startEdge();
    await network.waitForNodes(5);
    expect(await readBothWays(publisher, "big")).toEqual([sha256(content), sha256(content)]);
  });

  test.skipIf(withoutCurl)(
    "when the last chunk is nowhere, curl gets what comes before it and a broken connection",
    async () => {
      const short = randomBytes(9 * 1024 * 1024);
      await publisher.publish(await publisher.writeFile("short", short), "short");
      const nameHash = sha256(Buffer.from(`${publisher.domain}/short`));
      const response = await fetch(`${network.edgeUrl}/name/${nameHash}?domain=${publisher.domain}`);
      const { manifest } = (await response.json()) as { manifest: string };
      const { chunks } = JSON.parse(Buffer.from(manifest, "base64").toString()) as {
        chunks: { hash: string; size: number }[];
      };
      const last = chunks.at(-1);
      if (last === undefined) throw new Error("the Manifest lists no chunks");
      const path = ["chunks", last.hash.slice(0, 2), last.hash];
      for (let i = 1; i <= 5; i++) await rm(join(network.dir, "nodes", String(i), ...path), { force: true });
      const out = join(publisher.folder, "short.out");
      const curl = run("curl", ["-fsS", "-o", out, publisher.objectUrl("short")]);
      await expect(curl).rejects.toMatchObject({ code: 18 }); // "transfer closed with bytes remaining"
      // What was still on its way is lost with the connection; what came is the object's beginning.
      const came = await readFile(out);
      expect(came.length).toBeLessThanOrEqual(short.length - last.size);
      expect(sha256(came)).toBe(sha256(short.subarray(0, came.length)));
      const whole = await fetch(publisher.objectUrl("short"), { headers: { range: `bytes=-${last.size}` } });
      expect(whole.status).toBe(503);
      expect(await whole.json()).toMatchObject({ code: "no-holder" });
    },
  );

  test("with two of five killed, everything still reads, and a publish still finds three holders", async () => {
    for (const node of network.nodes.slice(0, 2)) node.process.kill("SIGKILL");
    expect(await readBothWays(publisher, "big")).toEqual([sha256(content), sha256(content)]);
    const other = randomBytes(5 * 1024 * 1024);
    const file = await publisher.writeFile("other", other);
    expect(await publisher.publish(file, "other")).toMatchObject({ code: 0 });
    expect(await readBothWays(publisher, "other")).toEqual([sha256(other), sha256(other)]);
  });

  test("with three of five killed, a publish on three is refused, says why, and leaves no Version", async () => {
    network.nodes[2]?.process.kill("SIGKILL");
    const file = await publisher.writeFile("third", randomBytes(1000));
    const result = await publisher.publish(file, "third");
    expect(result.code).toBe(5);
    expect(result.stderr).toContain("too-few-nodes");
    expect((await fetch(publisher.objectUrl("third"))).status).toBe(404);
  });
});
