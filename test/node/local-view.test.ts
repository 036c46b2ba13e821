// Who sees the volunteer's page and all of /status: the volunteer, by the listener from this machine or by the socket, and
// nobody who merely comes through this machine.

import { once } from "node:events";
import { mkdir, readdir, rename, stat } from "node:fs/promises";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSocketFetch } from "../../cli/http-fetch.ts";
import { isLocalRequest, type RequestFacts } from "../../home-node/server/local-request.ts";
import { findSocket } from "../../home-node/server/socket-path.ts";
import { readBody } from "../../lib/fetch.ts";
import { isLocal, type LocalNodeStatus, parseNodeReport } from "../../lib/node-status.ts";
import { startNginxProxy } from "../e2e/nginx.ts";
import { requirePrograms } from "../e2e/requires.ts";
import {
  Cleanup,
  ManualClock,
  problemIn,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilState } from "./test-edge.ts";

const withoutNginx = requirePrograms({ nginx: "nginx-light" }).missing.length > 0;
/** The machine's own disk is written to by others meanwhile. */
const QUIET_DISK = { freeDiskBytes: async () => 2 ** 40 };
const PUBLIC_FIELDS = [
  ...["kind", "id", "key", "software", "url", "chunks", "versions", "contacts"],
  ...["usedBytes", "freeBytes", "onlineSince"],
];

const cleanup = new Cleanup();
let dns: TestDns;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
});
afterEach(() => cleanup.run());

interface Seen {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

async function get(url: string, headers: Record<string, string> = {}, method = "GET"): Promise<Seen> {
  const sent = request(url, { headers, method, agent: false });
  sent.end();
  const [answer] = await once(sent, "response");
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

/** The head and body that these lines are answered with. */
async function rawly(url: string, lines: string[]): Promise<string> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return text(socket);
}

/** What a stranger gets: no page, and the fields that anybody may know. */
async function expectStranger(url: string, headers: Record<string, string>): Promise<void> {
  const page = await get(`${url}/`, headers);
  expect([page.status, page.headers["content-type"]]).toEqual([404, "application/problem+json"]);
  const { body } = await get(`${url}/status`, headers);
  expect(Object.keys(JSON.parse(body))).toEqual(PUBLIC_FIELDS);
}

async function statusOf(dir: string): Promise<LocalNodeStatus> {
  const response = await createSocketFetch(await findSocket(dir))("http://localhost/status");
  const status = parseNodeReport(JSON.parse(Buffer.from(await readBody(response, 2 ** 20)).toString()));
  if (!isLocal(status)) throw new Error("the socket tells what strangers hear");
  return status;
}

describe("a request from this machine", () => {
  it.each(["127.0.0.1", "localhost", "[::1]"])("sees the page and all of the status at %s", async (host) => {
    const { url, node } = await startTestNode(cleanup, dns, { deps: QUIET_DISK });
    const headers = { host: `${host}:${new URL(url).port}` };
    const page = await get(`${url}/`, headers);
    expect([page.status, page.headers["content-type"]]).toEqual([200, "text/html; charset=UTF-8"]);
    expect(page.body).toContain(node.id);
    const status = parseNodeReport(JSON.parse((await get(`${url}/status`, headers)).body));
    expect(status).toEqual(await node.status());
    expect(isLocal(status) && status.page).toBe(`${url}/`);
  });

  it("sees a page that no other site may read, frame, or learn the address of, and nothing runs in", async () => {
    const { url } = await startTestNode(cleanup, dns);
    for (const path of ["/", "/status"]) {
      const { headers } = await get(url + path);
      expect(headers).toMatchObject({
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      });
      expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-\S+';/);
      expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
      expect(headers["access-control-allow-origin"]).toBeUndefined();
    }
  });

  it("may ask with HEAD, and with nothing else", async () => {
    const { url } = await startTestNode(cleanup, dns);
    expect(await get(`${url}/`, {}, "HEAD")).toMatchObject({ status: 200, body: "" });
    expect((await get(`${url}/`, {}, "POST")).status).toBe(404);
    expect((await get(`${url}/status`, {}, "POST")).status).toBe(405);
  });

  it("sees what edges say as text", async () => {
    const words = `</dd><script>boom()</script><img src=x onerror="boom()">`;
    const { url } = await linked({ reason: words });
    const { body } = await get(`${url}/`);
    expect(body).toContain("&lt;script&gt;boom()");
    expect(body).not.toMatch(/<script|<img/);
  });
});

describe("a request through this machine", () => {
  it.each([
    ["a stranger's name for it", { host: "evil.example" }],
    ["a name that begins like its own", { host: "localhost.evil.example" }],
    ["an address that is not its own", { host: "192.168.1.20:8790" }],
    ["X-Forwarded-For", { "x-forwarded-for": "127.0.0.1" }],
    ["X-Forwarded-Host", { "x-forwarded-host": "node.example.org" }],
    ["Forwarded", { forwarded: "for=127.0.0.1" }],
    ["X-Real-IP", { "x-real-ip": "127.0.0.1" }],
    ["Via", { via: "1.1 proxy" }],
    ["CF-Connecting-IP", { "cf-connecting-ip": "203.0.113.7" }],
    ["True-Client-IP", { "true-client-ip": "203.0.113.7" }],
    ["another site's origin", { origin: "https://evil.example" }],
    ["no origin in particular", { origin: "null" }],
    ["another site's image or frame", { "sec-fetch-site": "cross-site" }],
    ["another port's page", { "sec-fetch-site": "same-site" }],
  ])("with %s sees what strangers see", async (_what, headers) => {
    const { url } = await startTestNode(cleanup, dns);
    await expectStranger(url, headers);
  });

  it("with two names for it, with none, with a user before it, or of the first HTTP, is a stranger's", async () => {
    const { url } = await startTestNode(cleanup, dns);
    const own = `Host: ${new URL(url).host}`;
    const close = "Connection: close";
    expect(await rawly(url, ["GET / HTTP/1.1", own, close])).toMatch(/^HTTP\/1.1 200 /);
    expect(await rawly(url, ["GET / HTTP/1.1", own, "Host: evil.example", close])).toMatch(/^HTTP\/1.1 4/);
    expect(await rawly(url, ["GET / HTTP/1.1", close])).toMatch(/^HTTP\/1.1 4/);
    const user = own.replace("Host: ", "Host: evil.example@");
    expect(await rawly(url, ["GET / HTTP/1.1", user, close])).toMatch(/^HTTP\/1.1 4/);
    expect(await rawly(url, ["GET / HTTP/1.0", own])).toMatch(/^HTTP\/1.1 404 /);
  });

  it.skipIf(withoutNginx)(
    "by an nginx that nobody told to say for whom it asks, is a stranger's",
    async () => {
      const { url } = await startTestNode(cleanup, dns);
      const proxy = await startNginxProxy(url);
      cleanup.add(() => proxy.stop());
      await expectStranger(proxy.url, {});
      await expectStranger(proxy.url, { host: "localhost" });
    },
  );

  it("through the tunnel is answered with nothing of it", async () => {
    const { connection } = await linked();
    for (const path of ["/", "/status", "/status?key=", "/./"]) {
      const head = { method: "GET" as const, path, headers: [["host", "localhost"]] as [string, string][] };
      const response = await connection.opener.request({ head, body: null });
      expect([path, response.status]).toEqual([path, 404]);
      await response.body?.cancel();
    }
  });

  it("is not even judged where it is made inside the process", async () => {
    const { node } = await startTestNode(cleanup, dns);
    const response = await node.fetch(new Request("http://127.0.0.1/status"));
    expect(Object.keys(JSON.parse(await response.text()))).toEqual(PUBLIC_FIELDS);
    expect(await problemIn(await node.fetch(new Request("http://127.0.0.1/")))).toBe("404 not-found");
  });
});

describe("an address", () => {
  const from = (remoteAddress: string | undefined): RequestFacts => ({
    socket: { remoteAddress },
    httpVersion: "1.1",
    headersDistinct: { host: ["localhost:8790"] },
  });

  it.each(["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"])("%s is this machine's", (address) => {
    expect(isLocalRequest(from(address))).toBe(true);
  });

  it.each([
    "192.168.1.20",
    "10.0.0.1",
    "203.0.113.127",
    "::ffff:192.168.1.20",
    "::127.0.0.1",
    "fe80::1",
    "2001:db8::1",
    "1127.0.0.1",
    "",
    undefined,
  ])("%s is not", (address) => {
    expect(isLocalRequest(from(address))).toBe(false);
  });
});

describe("a node with a public URL", () => {
  const config = { publicUrl: "https://node.example.org" };

  it("asks for the key that its socket tells, because the proxy before it may be on this machine", async () => {
    const { url, dir } = await startTestNode(cleanup, dns, { config });
    await expectStranger(url, {});
    const page = new URL((await statusOf(dir)).page ?? "");
    const key = page.searchParams.get("key") ?? "";
    expect([page.origin, key]).toEqual([url, expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect((await get(page.href)).status).toBe(200);
    for (const wrong of ["", key.slice(1), `${key}0`, key.toUpperCase().replace(/\d/g, "A")]) {
      expect((await get(`${url}/?key=${wrong}`)).status).toBe(404);
    }
    expect((await get(page.href, { "x-forwarded-for": "127.0.0.1" })).status).toBe(404);
  });

  it("has another key after a restart", async () => {
    const first = await startTestNode(cleanup, dns, { config });
    const { page } = await statusOf(first.dir);
    await first.node.stop();
    await startTestNode(cleanup, dns, { config, dir: first.dir });
    expect((await statusOf(first.dir)).page).not.toBe(page);
  });

  it.skipIf(withoutNginx)("is not fooled by a proxy that leaves out every trace of itself", async () => {
    const { url } = await startTestNode(cleanup, dns, { config });
    const proxy = await startNginxProxy(url, "proxy_http_version 1.1; proxy_set_header Connection '';");
    cleanup.add(() => proxy.stop());
    await expectStranger(proxy.url, {});
    // Without the key it would be.
    const open = await startTestNode(cleanup, dns);
    const quiet = await startNginxProxy(open.url, "proxy_http_version 1.1; proxy_set_header Connection '';");
    cleanup.add(() => quiet.stop());
    expect((await get(`${quiet.url}/`)).status).toBe(200);
  });
});

describe("the socket in the node's folder", () => {
  it("tells all of the status of a node without a listener, and only its owner may connect", async () => {
    const { node, dir } = await startTestNode(cleanup, dns, {
      config: { listen: null },
      deps: QUIET_DISK,
    });
    expect(await statusOf(dir)).toEqual(await node.status());
    expect(await statusOf(dir)).toMatchObject({ page: null, url: null });
    expect((await stat(join(dir, "socket"))).mode & 0o777).toBe(0o600);
  });

  it("is gone when the node has stopped, and there again after a crash", async () => {
    const { node, dir } = await startTestNode(cleanup, dns);
    await node.stop();
    expect(await readdir(dir)).not.toContain("socket");
    await leaveSocket(join(dir, "socket"));
    await expect(statusOf(dir)).rejects.toThrow("ECONNREFUSED");
    await startTestNode(cleanup, dns, { dir });
    expect((await statusOf(dir)).kind).toBe("home-node");
  });

  it("is found in a folder whose name is too long for a socket", async () => {
    const dir = join(await cleanup.directory(), "a".repeat(60), "b".repeat(60));
    await mkdir(dir, { recursive: true });
    const { node } = await startTestNode(cleanup, dns, { dir });
    expect((await statusOf(dir)).id).toBe(node.id);
    const path = await findSocket(dir);
    expect(path.length).toBeLessThan(104);
    await node.stop();
    await expect(stat(path)).rejects.toThrow("ENOENT");
    expect(await readdir(dir)).not.toContain("socket");
  });

  it("is not what keeps a node from starting", async () => {
    const dir = await cleanup.directory();
    await mkdir(join(dir, "socket", "full"), { recursive: true });
    const { url } = await startTestNode(cleanup, dns, { dir });
    expect((await get(`${url}/status`)).status).toBe(200);
  });
});

/** A socket's file at which nobody listens any more, as a killed process leaves it. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(path);
  await once(server, "listening");
  // Closing removes the file where it was made, and nowhere else.
  await rename(path, `${path}.kept`);
  server.close();
  await once(server, "close");
  await rename(`${path}.kept`, path);
}

/** A node that an edge has registered, relayed. */
async function linked(answer: { reason?: string } = {}): Promise<TestNode & { connection: Connection }> {
  const clock = new ManualClock();
  const edge = await Edge.start(cleanup, clock);
  const node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url] } });
  const connection = await edge.connection(0);
  connection.challenge.node = node.id;
  await connection.register([], { direct: false, code: "no-url", ...answer });
  await untilState(node, "registered");
  return { ...node, connection };
}
