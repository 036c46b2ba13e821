// One exchange with a server: what it may cost, and how each way to fail is named.

import { afterEach, describe, expect, test } from "vitest";
import { nodeHasher, nodeHost } from "../../cli/node-host.ts";
import { directUrl, routesTo, type Teller } from "../../lib/client/holders.ts";
import { requestJson } from "../../lib/client/request.ts";
import { parseServerUrl, Server } from "../../lib/client/server.ts";
import { findDifference } from "../../lib/client/verify.ts";
import { closeAll, contactAt, hashOf, makeObject, QUICK, serve, type TestServer } from "./client-fixture.ts";

afterEach(closeAll);

const HASH = hashOf(Buffer.from("x"));

function closest(server: TestServer): Promise<unknown> {
  return new Server(server.url, nodeHost.fetch).closest(HASH);
}

describe("a request", () => {
  test("fails with the server's own code, and names who said it", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(507, { "content-type": "application/problem+json" });
      response.end('{"code":"disk-full","detail":"no room"}');
    });
    await expect(closest(server)).rejects.toMatchObject({
      code: "disk-full",
      message: expect.stringContaining(`no room (said ${server.url}`),
    });
  });

  test("prints no control characters of a stranger's", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(400, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ code: "not-found", detail: "a\u001b[31mred\u202etxt" }));
    });
    await expect(closest(server)).rejects.toMatchObject({
      message: expect.stringMatching(/^a \[31mred txt \(said/),
    });
  });

  test("fails with unreachable, the URL and the reason where nobody listens", async () => {
    const server = await serve(() => undefined);
    await server.close();
    await expect(closest(server)).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringMatching(new RegExp(`^cannot reach ${server.url}.*ECONNREFUSED`)),
    });
  });

  test.each([
    ["silent", 0],
    ["that sends a byte now and then", 50],
  ])("fails with timeout at a server %s", async (_name, intervalMs) => {
    const server = await serve((_request, response) => {
      if (intervalMs === 0) return;
      response.writeHead(200, { "content-type": "application/json" });
      const timer = setInterval(() => response.write(" "), intervalMs);
      response.on("close", () => clearInterval(timer));
    });
    const limits = { idleMs: 400, totalMs: 900 };
    const answer = requestJson(nodeHost.fetch, server.url, { limits, parse: (value) => value });
    await expect(answer).rejects.toMatchObject({
      code: "timeout",
      message: expect.stringContaining(server.url),
    });
  });

  test("may take longer than a silence may, as long as bytes keep coming", async () => {
    const server = await serve(async (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      for (const piece of '{"nodes":[]}') {
        response.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      response.end();
    });
    const limits = { idleMs: 700, totalMs: 20_000 };
    const answer = requestJson(nodeHost.fetch, server.url, { limits, parse: (value) => value });
    await expect(answer).resolves.toEqual({ nodes: [] });
  });

  test("reads no more of an answer than it allows", async () => {
    let sent = 0;
    const server = await serve((_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const more = (): void => {
        if (response.destroyed) return;
        sent += 65_536;
        response.write(Buffer.alloc(65_536, 0x20), more);
      };
      more();
    });
    const answer = requestJson(nodeHost.fetch, server.url, {
      limits: QUICK,
      maxBytes: 100_000,
      parse: (value) => value,
    });
    await expect(answer).rejects.toMatchObject({ code: "bad-answer" });
    expect(sent).toBeLessThan(20_000_000);
  });

  test("does not follow a redirect", async () => {
    const target = await serve((_request, response) => response.end('{"nodes":[]}'));
    const server = await serve((request, response) => {
      response.writeHead(307, { location: `${target.url}${request.url}` });
      response.end();
    });
    await expect(closest(server)).rejects.toMatchObject({ code: "bad-answer" });
    expect(target.requests).toEqual([]);
  });
});

describe("a server's URL", () => {
  test.each([
    ["http://127.0.0.1:8787", "http://127.0.0.1:8787"],
    ["https://edge.example.org/", "https://edge.example.org"],
    ["https://example.org/holdfast/", "https://example.org/holdfast"],
  ])("%s is read as %s", (text, url) => {
    expect(parseServerUrl(text)).toBe(url);
  });

  test.each([
    "edge.example.org",
    "ftp://example.org",
    "https://user@example.org",
    "https://example.org/?a=b",
    "https://example.org/#a",
    "",
  ])("%j is refused", (text) => {
    expect(() => parseServerUrl(text)).toThrow(expect.objectContaining({ code: "invalid-url" }));
  });
});

describe("where a node is reached", () => {
  const local = { url: "http://127.0.0.1:8787", isEdge: true };
  const remote = { url: "https://edge.example.org", isEdge: true };

  test("is its own URL first, then the relay of the server that told of it", async () => {
    const contact = await contactAt("https://node.example.net", 5);
    const relay = { url: `https://edge.example.org/via/${contact.id}`, isRelay: true, node: contact.id };
    const direct = { url: "https://node.example.net", isRelay: false, node: contact.id };
    expect(routesTo(contact, remote)).toEqual([direct, relay]);
    expect(routesTo({ ...contact, url: null }, remote)).toEqual([relay]);
    expect(directUrl({ url: null }, remote)).toBe(null);
  });

  test("is by the relays that are listed of it, and then not by that of the edge that told of it", async () => {
    const relays = ["https://a.example.net", "https://b.example.net"];
    const contact = { ...(await contactAt("https://node.example.net", 5)), relays };
    const urlsBy = (teller: Teller) => routesTo(contact, teller).map(({ url }) => url);
    const [a, b] = relays.map((relay) => `${relay}/via/${contact.id}`);
    expect(urlsBy(remote)).toEqual([contact.url, a, b]);
    // A home node relays for nobody but those that say so.
    expect(urlsBy({ url: "https://c.example.net", isEdge: false })).toEqual([contact.url, a, b]);
    expect(urlsBy({ url: "https://b.example.net", isEdge: false })).toEqual([contact.url, b, a]);
  });

  test("is no relay at an address to which the teller may send nobody", async () => {
    const relays = ["http://127.0.0.1:9000", "https://10.0.0.1", "https://node.example.net/path"];
    const contact = { ...(await contactAt("https://node.example.net", 5)), url: null, relays };
    expect(routesTo(contact, { url: "https://c.example.net", isEdge: false })).toEqual([]);
    expect(routesTo(contact, { url: "http://127.0.0.1:1", isEdge: false })).toEqual([
      { url: `http://127.0.0.1:9000/via/${contact.id}`, isRelay: true, node: contact.id },
    ]);
  });

  test("is never a loopback or private address on a remote server's word", async () => {
    const contact = await contactAt("http://127.0.0.1:9000", 5);
    expect(directUrl(contact, local)).toBe("http://127.0.0.1:9000");
    for (const url of [
      "http://127.0.0.1:9000",
      "https://localhost",
      "https://10.0.0.1",
      "http://node.example.net",
      "file:///etc",
    ]) {
      expect(directUrl({ url }, remote)).toBe(null);
      expect(routesTo({ ...contact, url }, remote)).toEqual([
        { url: `https://edge.example.org/via/${contact.id}`, isRelay: true, node: contact.id },
      ]);
    }
  });
});

describe("checking bytes against an object", () => {
  const object = makeObject(5, 1000);

  async function* inBlocks(bytes: Uint8Array, size: number) {
    for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
  }
  const check = (bytes: Uint8Array, blockSize = 333) =>
    findDifference(object.manifest, inBlocks(bytes, blockSize), {
      hasher: nodeHasher,
      loadChunk: () => Promise.reject(new Error("no parts here")),
    });

  test.each([1, 333, 1000, 100_000])("finds none in the same bytes, in blocks of %i", async (blockSize) => {
    expect(await check(object.bytes, blockSize)).toBeNull();
  });

  test("names the range of the first chunk that differs", async () => {
    const bytes = Buffer.from(object.bytes);
    bytes[2999] = (bytes[2999] ?? 0) ^ 1;
    bytes[4000] = (bytes[4000] ?? 0) ^ 1;
    expect(await check(bytes)).toEqual({ kind: "differs", first: 2000, last: 2999 });
  });

  test("names what is missing, and what is too much", async () => {
    expect(await check(object.bytes.subarray(0, 3500))).toEqual({
      kind: "too-short",
      first: 3500,
      last: 4999,
    });
    expect(await check(object.bytes.subarray(0, 3000))).toEqual({
      kind: "too-short",
      first: 3000,
      last: 4999,
    });
    expect(await check(Buffer.concat([object.bytes, Buffer.from("ab")]))).toEqual({
      kind: "too-long",
      first: 5000,
      last: 5001,
    });
  });
});
