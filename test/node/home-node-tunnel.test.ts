// A home node's answers through its tunnel, against an edge that opens requests with lib's opener, or breaks the rules.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Hash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { verifyStatement } from "../../lib/statement.ts";
import {
  DATA_BYTES_MAX,
  encodeFrame,
  FRAME_BYTES_MAX,
  type Frame,
  type RequestHead,
  STREAMS_MAX,
  WINDOW_BYTES,
} from "../../lib/tunnel/frames.ts";
import type { TunnelResponse } from "../../lib/tunnel/opener.ts";
import { receiptKind } from "../../lib/upload.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  carriedBytes,
  chunkOf,
  createPublisher,
  ManualClock,
  publicationOf,
  startTestNode,
  TestDns,
  type TestNode,
  until,
  uploadHeaders,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilClosed, untilState } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let edge: Edge;
let node: TestNode;
let connection: Connection;

type Chunk = ReturnType<typeof chunkOf>;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  edge = await Edge.start(cleanup, clock);
  // No listener: the tunnel is the only way to it.
  node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url], listen: null } });
  connection = await join(0);
});
afterEach(() => cleanup.run());

async function join(index: number): Promise<Connection> {
  const joining = await edge.connection(index);
  joining.challenge.node = node.id;
  await joining.register();
  await untilState(node, "registered");
  return joining;
}

function ask(path: string, method: RequestHead["method"] = "GET"): Promise<TunnelResponse> {
  return connection.opener.request({ head: { method, path, headers: [] }, body: null });
}

/** Uploads a chunk, in blocks of this size. */
async function put(chunk: Chunk, blockBytes = 100_000): Promise<TunnelResponse> {
  const grants = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
  const headers = Object.entries({ ...grants, "Content-Length": String(chunk.bytes.length) });
  return connection.opener.request({
    head: {
      method: "PUT",
      path: `/chunk/${chunk.hash}`,
      headers: headers.map(([name, value]) => [name.toLowerCase(), value]),
    },
    body: readerOf(chunk.bytes, blockBytes),
  });
}

function readerOf(bytes: Uint8Array, blockBytes: number) {
  let offset = 0;
  const read = async () => {
    const value = bytes.subarray(offset, offset + blockBytes);
    offset += blockBytes;
    return value.length === 0 ? { done: true } : { done: false, value };
  };
  return { read, cancel: async () => undefined };
}

/** A chunk that the node holds. */
async function storedChunk(size: number): Promise<Chunk> {
  const chunk = chunkOf(size);
  expect((await put(chunk)).status).toBe(201);
  return chunk;
}

async function bytesIn({ body }: TunnelResponse): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  const reader = body?.getReader();
  for (let block = await reader?.read(); block?.value !== undefined; block = await reader?.read()) {
    blocks.push(block.value);
  }
  return Buffer.concat(blocks);
}

async function codeIn(response: TunnelResponse): Promise<string> {
  const { code } = JSON.parse((await bytesIn(response)).toString());
  return `${response.status} ${code}`;
}

function headersOf({ headers }: TunnelResponse): Record<string, string> {
  return Object.fromEntries(headers);
}

function requestFrame(stream: number, path: string, change: Partial<RequestHead> = {}): Frame {
  return { type: "request", stream, head: { method: "GET", path, headers: [], body: false, ...change } };
}

const framesOf = (stream: number) => connection.tunnelled.filter((frame) => frame.stream === stream);
const dataBytes = (stream: number) =>
  framesOf(stream).reduce((sum, frame) => sum + (frame.type === "data" ? frame.bytes.length : 0), 0);

describe("a request through the tunnel", () => {
  it("is answered with the chunk, in frames of bounded size", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    const response = await ask(`/chunk/${chunk.hash}`);
    expect(response.status).toBe(200);
    expect(headersOf(response)).toEqual({
      "cache-control": "public, max-age=31536000, immutable",
      "content-length": String(CHUNK_BYTES_MAX),
      "content-type": "application/octet-stream",
      etag: `"${chunk.hash}"`,
    });
    expect((await bytesIn(response)).equals(chunk.bytes)).toBe(true);
    const lengths = connection.tunnelled.flatMap((frame) =>
      frame.type === "data" ? frame.bytes.length : [],
    );
    expect(Math.max(...lengths)).toBeLessThanOrEqual(DATA_BYTES_MAX);
    expect((await carriedBytes(node)).out).toBe(CHUNK_BYTES_MAX);
  });

  it("is answered on HEAD with the length and no body", async () => {
    const chunk = await storedChunk(1000);
    const response = await ask(`/chunk/${chunk.hash}`, "HEAD");
    expect(headersOf(response)).toMatchObject({ "content-length": "1000" });
    expect([response.status, response.body]).toEqual([200, null]);
    const missing = await ask(`/chunk/${chunkOf(1).hash}`, "HEAD");
    expect([missing.status, missing.body]).toEqual([404, null]);
  });

  it("stores a chunk under its grant, and brings the receipt back", async () => {
    const chunk = chunkOf(1_500_000);
    const response = await put(chunk);
    expect(response.status).toBe(201);
    const receipt = JSON.parse((await bytesIn(response)).toString());
    const { body } = await verifyStatement(receiptKind, parseSigned(receipt));
    expect(body).toMatchObject({ node: node.id, chunks: [{ hash: chunk.hash, size: 1_500_000 }] });
    expect((await put(chunk)).status).toBe(200);
    expect((await bytesIn(await ask(`/chunk/${chunk.hash}`))).equals(chunk.bytes)).toBe(true);
  });

  it("stores nothing without a grant, and nothing that is not the chunk", async () => {
    const chunk = chunkOf(1000);
    const head = { method: "PUT" as const, path: `/chunk/${chunk.hash}`, headers: [] };
    const ungranted = await connection.opener.request({ head, body: readerOf(chunk.bytes, 100) });
    expect(await codeIn(ungranted)).toBe("401 grant-missing");
    const other = { ...chunk, bytes: chunkOf(1000).bytes };
    expect(await codeIn(await put(other))).toBe("422 content-hash-mismatch");
    expect((await node.node.status()).chunks).toBe(0);
  });

  it("finds names, statements and neighbours", async () => {
    const publication = await publicationOf(node, "app.iso");
    const names = await node.node.fetch(
      new Request("http://node.invalid/names", {
        method: "POST",
        body: JSON.stringify({ statements: [publication.json], receipts: [] }),
      }),
    );
    expect(names.status).toBe(200);
    const name = await ask(`/name/${publication.nameHash}?domain=example.org`);
    expect(JSON.parse((await bytesIn(name)).toString())).toMatchObject({ nameHash: publication.nameHash });
    const version = await ask(`/version/${publication.id}`);
    expect((await bytesIn(version)).equals(publication.signed.bytes)).toBe(true);
    const signature = await ask(`/version/${publication.id}.sig`);
    expect((await bytesIn(signature)).toString()).toBe(publication.signed.signature);
    const closest = await ask(`/closest/${publication.nameHash}`);
    expect(JSON.parse((await bytesIn(closest)).toString())).toEqual({ nodes: [] });
  });

  it("is answered beside others, each at its own pace", async () => {
    const chunks = await Promise.all(Array.from({ length: 6 }, () => storedChunk(CHUNK_BYTES_MAX)));
    const responses = await Promise.all(chunks.map(({ hash }) => ask(`/chunk/${hash}`)));
    const [unread, ...others] = responses;
    const bodies = await Promise.all(others.map(bytesIn));
    expect(bodies.every((body, i) => body.equals(chunks[i + 1]?.bytes ?? new Uint8Array()))).toBe(true);
    expect((await bytesIn(unread as TunnelResponse)).equals(chunks[0]?.bytes ?? new Uint8Array())).toBe(true);
  });
});

describe("an edge that gives a request up", () => {
  it("ends the node's reading: no more is sent or counted than was under way", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    connection.sendFrame(requestFrame(1, `/chunk/${chunk.hash}`));
    await until("the window is used up", () => dataBytes(1) === WINDOW_BYTES);
    connection.sendFrame({ type: "reset", stream: 1, code: "cancelled" });
    // Credit that comes after it starts nothing again.
    connection.sendFrame({ type: "credit", stream: 1, bytes: WINDOW_BYTES });
    await ask(`/chunk/${chunk.hash}`, "HEAD");
    await connection.settle();
    expect(dataBytes(1)).toBe(WINDOW_BYTES);
    expect(framesOf(1).at(-1)?.type).toBe("data");
    expect((await carriedBytes(node)).out).toBeLessThan(CHUNK_BYTES_MAX);
  });

  it("in the middle of an upload leaves nothing stored", async () => {
    const chunk = chunkOf(CHUNK_BYTES_MAX);
    const headers = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
    const head = Object.entries(headers).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      value,
    ]);
    connection.sendFrame(
      requestFrame(1, `/chunk/${chunk.hash}`, { method: "PUT", headers: head, body: true }),
    );
    connection.sendFrame({ type: "data", stream: 1, bytes: chunk.bytes.subarray(0, DATA_BYTES_MAX) });
    connection.sendFrame({ type: "reset", stream: 1, code: "cancelled" });
    expect(await codeIn(await ask(`/chunk/${chunk.hash}`))).toBe("404 not-found");
    expect((await put(chunk)).status).toBe(201);
  });

  it("does not hold a slot that it gave up: as many are answered afterwards", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    for (let stream = 1; stream <= STREAMS_MAX; stream++) {
      connection.sendFrame(requestFrame(stream, `/chunk/${chunk.hash}`));
    }
    await until("all of them wait for credit", () => dataBytes(STREAMS_MAX) === WINDOW_BYTES);
    for (let stream = 1; stream <= STREAMS_MAX; stream++) {
      connection.sendFrame({ type: "reset", stream, code: "cancelled" });
    }
    await connection.settle();
    const again = Array.from({ length: STREAMS_MAX }, () => ask(`/chunk/${chunk.hash}`));
    const bodies = await Promise.all((await Promise.all(again)).map(bytesIn));
    expect(bodies.every((body) => body.equals(chunk.bytes))).toBe(true);
  });
});

describe("a hostile edge", () => {
  it.each<[RequestHead["method"], string, string]>([
    ["GET", "/status", "404 not-found"],
    ["GET", "/", "404 not-found"],
    ["GET", "/names", "405 method-not-allowed"],
    ["PUT", "/names", "405 method-not-allowed"],
    ["GET", "//evil.example/chunk/x", "404 not-found"],
    ["GET", "/\\evil.example/chunk/x", "404 not-found"],
    ["GET", "/chunk/../status", "404 not-found"],
    ["GET", "/chunk/%2e%2e/status", "404 not-found"],
    ["GET", "/chunk/..%2f..%2f..%2fetc%2fpasswd", "400 invalid-hash"],
    ["PUT", `/version/${"0".repeat(64)}`, "405 method-not-allowed"],
    ["POST", "/names", "400 invalid-request"],
    ["POST", "/names/x", "404 not-found"],
    ["POST", "/chunk", "405 method-not-allowed"],
    ["POST", `/chunk/${"0".repeat(64)}`, "405 method-not-allowed"],
    ["GET", "/pull", "405 method-not-allowed"],
    ["GET", `/name/${"0".repeat(64)}?domain=..`, "400 invalid-domain"],
  ])("gets nothing by %s %s but %s", async (method, path, expected) => {
    const body = method === "PUT" ? readerOf(Buffer.from("{}"), 10) : null;
    const response = await connection.opener.request({ head: { method, path, headers: [] }, body });
    expect(await codeIn(response)).toBe(expected);
    expect(headersOf(response)["content-type"]).toBe("application/problem+json");
  });

  it("gets a reset for a GET with a body, and the node goes on", async () => {
    const chunk = await storedChunk(10);
    connection.sendFrame(requestFrame(1, `/chunk/${chunk.hash}`, { body: true }));
    await until("it is refused", () => framesOf(1).length > 0);
    expect(framesOf(1)).toEqual([{ type: "reset", stream: 1, code: "internal" }]);
    expect((await ask(`/chunk/${chunk.hash}`)).status).toBe(200);
  });

  it("gets no more than so many answers at once", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    for (let stream = 1; stream <= STREAMS_MAX + 2; stream++) {
      connection.sendFrame(requestFrame(stream, `/chunk/${chunk.hash}`));
    }
    await until("those beyond are refused", () => framesOf(STREAMS_MAX + 2).length > 0);
    for (const stream of [STREAMS_MAX + 1, STREAMS_MAX + 2]) {
      expect(framesOf(stream)).toEqual([{ type: "reset", stream, code: "rate-limited" }]);
    }
    await until("the others are answered", () => dataBytes(STREAMS_MAX) === WINDOW_BYTES);
  });

  const open = (path: string, change: Partial<RequestHead> = {}) =>
    encodeFrame(requestFrame(1, path, change));
  const hash = "ab".repeat(32) as Hash;
  const put = () => open(`/chunk/${hash}`, { method: "PUT", body: true });
  const data = (length: number) => encodeFrame({ type: "data", stream: 1, bytes: new Uint8Array(length) });
  const requestOf = (text: string) => Buffer.from([0, 0, 0, 0, 1, ...Buffer.from(text)]);
  const headWith = (change: object) =>
    requestOf(JSON.stringify({ method: "GET", path: "/", headers: [], body: false, ...change }));

  it.each<[string, () => Uint8Array[], number]>([
    ["a frame of no type", () => [new Uint8Array(10).fill(77)], 1007],
    ["an empty frame", () => [new Uint8Array(0)], 1007],
    ["a frame without a stream", () => [Uint8Array.of(3, 0, 0)], 1007],
    ["a head that is no JSON", () => [requestOf("GET / HTTP/1.1")], 1007],
    ["a head with a field too many", () => [headWith({ x: 1 })], 1007],
    ["DELETE", () => [headWith({ method: "DELETE" })], 1007],
    ["a path that is none", () => [headWith({ path: "http://evil.example/" })], 1007],
    ["a path with a line break", () => [headWith({ path: "/a\r\nb" })], 1007],
    ["a header with a line break", () => [headWith({ headers: [["accept", "a\r\nb"]] })], 1007],
    ["a path that is too long", () => [headWith({ path: `/${"x".repeat(3000)}` })], 1007],
    ["a head that is too large", () => [requestOf(`{"method":"GET"${" ".repeat(33_000)}}`)], 1009],
    ["a frame that is too large", () => [new Uint8Array(FRAME_BYTES_MAX + 1)], 1009],
    ["one stream opened twice", () => [put(), put()], 1007],
    ["data for a request without a body", () => [open("/closest/x"), data(1)], 1007],
    [
      "a response",
      () => [
        put(),
        encodeFrame({ type: "response", stream: 1, head: { status: 200, headers: [], body: false } }),
      ],
      1007,
    ],
    [
      "more credit than the window",
      () => [put(), encodeFrame({ type: "credit", stream: 1, bytes: 1 })],
      1007,
    ],
  ])("is left with a close code for %s", async (_, messages, code) => {
    for (const message of messages()) connection.socket.send(message);
    expect((await untilClosed(connection)).code).toBe(code);
    await untilState(node, "waiting");
  });

  it("is left with a close code for data beyond its credit", async () => {
    // Its clock stands still, so the node takes no more than its pledge allows in a second.
    node = await startTestNode(cleanup, dns, {
      clock,
      config: { edges: [edge.url], listen: null },
      pledge: { downloadRate: 65_536 },
    });
    connection = await join(1);
    const chunk = chunkOf(CHUNK_BYTES_MAX);
    const grants = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
    const headers = Object.entries(grants).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      value,
    ]);
    connection.sendFrame(requestFrame(1, `/chunk/${chunk.hash}`, { method: "PUT", headers, body: true }));
    for (let i = 0; i < CHUNK_BYTES_MAX / DATA_BYTES_MAX; i++) connection.socket.send(data(DATA_BYTES_MAX));
    expect((await untilClosed(connection)).code).toBe(1007);
  });

  it("is ignored where it sends frames of streams that it never opened", async () => {
    const chunk = await storedChunk(10);
    for (const frame of [
      { type: "end" },
      { type: "credit", bytes: 5 },
      { type: "reset", code: "x" },
    ] as const) {
      connection.sendFrame({ ...frame, stream: 7 });
    }
    expect((await bytesIn(await ask(`/chunk/${chunk.hash}`))).equals(chunk.bytes)).toBe(true);
    expect(framesOf(7)).toEqual([]);
  });

  it("gets no answer before it has registered the node", async () => {
    connection.socket.terminate();
    await untilState(node, "waiting");
    await clock.advance(1000);
    const second = await edge.connection(1);
    second.socket.send(encodeFrame(requestFrame(1, `/closest/${hash}`)));
    expect((await untilClosed(second)).code).toBe(1003);
    expect(second.tunnelled).toEqual([]);
  });
});

describe("an edge that goes away in the middle of an answer", () => {
  it("leaves nothing behind: the node connects again and answers as many as before", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    const waiting = Array.from({ length: STREAMS_MAX }, () => ask(`/chunk/${chunk.hash}`));
    await Promise.all(waiting);
    connection.socket.terminate();
    await untilState(node, "waiting");
    const servedBytes = (await carriedBytes(node)).out;
    expect(servedBytes).toBeLessThan(STREAMS_MAX * CHUNK_BYTES_MAX);
    await clock.advance(1000);
    connection = await join(1);
    const again = Array.from({ length: STREAMS_MAX }, () => ask(`/chunk/${chunk.hash}`));
    const bodies = await Promise.all((await Promise.all(again)).map(bytesIn));
    expect(bodies.every((body) => body.equals(chunk.bytes))).toBe(true);
    // What was under way on the first connection has ended there.
    expect((await carriedBytes(node)).out).toBe(servedBytes + STREAMS_MAX * CHUNK_BYTES_MAX);
  });

  it("does not keep the node from stopping", async () => {
    const chunk = await storedChunk(CHUNK_BYTES_MAX);
    await ask(`/chunk/${chunk.hash}`);
    await node.node.stop();
    expect((await untilClosed(connection)).code).toBe(1001);
  });
});
