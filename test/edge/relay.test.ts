import { evictDurableObject, listDurableObjectIds, runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { hashBytes } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { CLOSE_REPLACED, PING, SILENCE_MAX_MS } from "../../lib/registration.ts";
import { DATA_BYTES_MAX, STREAMS_MAX, WINDOW_BYTES } from "../../lib/tunnel/frames.ts";
import { NAMES_BODY_MAX } from "../../lib/wire/names.ts";
import { bodyOf, bytesOf, dataBytes, EDGE, TestNode } from "./test-node.ts";

const bytes = bytesOf(300_000);
const hash = hashBytes(bytes);
const GUARDED = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; sandbox",
};
const PROBLEM = "application/problem+json";
const IMMUTABLE = "public, max-age=31536000, immutable";
/** The cors middleware's, on every answer of the edge. */
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers":
    "Content-Length,Content-Range,ETag,Repr-Digest,Holdfast-Version,Retry-After,Link",
};
/** What a node might say to do harm in a reader's browser or cache. */
const HARMFUL: [string, string][] = [
  ["content-type", "text/html"],
  ["content-encoding", "gzip"],
  ["content-disposition", "inline"],
  ["set-cookie", "session=stolen"],
  ["location", "https://evil.example"],
  ["cache-control", "public, max-age=1"],
  ["access-control-allow-origin", "https://evil.example"],
  ["content-security-policy", "script-src *"],
  ["service-worker-allowed", "/"],
  ["etag", '"x"'],
];

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function via(node: TestNode, path = `/chunk/${hash}`, init?: RequestInit): Promise<Response> {
  return SELF.fetch(`${EDGE}/via/${node.id}${path}`, init);
}

/** Such as "502 bad-answer". */
async function problemIn(response: Response): Promise<string> {
  const { code } = await response.json<{ code: string }>();
  return `${response.status} ${code}`;
}

/** A node that gives `bytes`, and says harmful things about them. */
async function servingNode(): Promise<TestNode> {
  const node = await TestNode.registered();
  node.answer(async ({ method }) => ({
    status: 200,
    headers: [...HARMFUL, ["content-length", String(bytes.length)]],
    body: method === "HEAD" ? null : bodyOf(bytes),
  }));
  return node;
}

describe("a read through the relay", () => {
  test("gives a chunk's verified bytes, with none of the node's headers", async () => {
    const response = await via(await servingNode());
    expect(response.status).toBe(200);
    const headers = {
      ...{ ...CORS, ...GUARDED, "cache-control": IMMUTABLE },
      "content-type": "application/octet-stream",
    };
    expect(Object.fromEntries(response.headers)).toEqual(headers);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
  });

  test("says a chunk's length on HEAD, and no more", async () => {
    const response = await via(await servingNode(), undefined, { method: "HEAD" });
    expect(response.status).toBe(200);
    const headers = {
      ...{ ...CORS, ...GUARDED, "cache-control": IMMUTABLE },
      ...{ "content-type": "application/octet-stream", "content-length": String(bytes.length) },
    };
    expect(Object.fromEntries(response.headers)).toEqual(headers);
    expect((await response.arrayBuffer()).byteLength).toBe(0);
  });

  test.each([
    [`/version/${hash}`, "application/json", IMMUTABLE],
    [`/version/${hash}.sig`, "text/plain; charset=utf-8", "no-cache"],
    [`/name/${hash}?domain=example.org`, "application/json", "no-cache"],
    [`/closest/${hash}`, "application/json", "no-store"],
  ])("passes %s as %s", async (path, type, caching) => {
    const statement = new TextEncoder().encode('{"a":1}');
    const node = await TestNode.registered();
    node.answer(async () => ({ status: 200, headers: HARMFUL, body: bodyOf(statement) }));
    const asked = path.replace(hash, hashBytes(statement));
    const response = await via(node, asked);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toEqual({
      ...{ ...CORS, ...GUARDED, "content-type": type, "cache-control": caching },
    });
    expect(await response.text()).toBe('{"a":1}');
    expect(node.came("request")).toMatchObject([{ head: { method: "GET", path: asked } }]);
  });

  test("tells the node nothing about the reader", async () => {
    const node = await servingNode();
    const response = await via(node, `/chunk/${hash}?x=1`, {
      headers: {
        Accept: "application/octet-stream",
        Authorization: "Bearer secret",
        Cookie: "session=1",
        Origin: "https://reader.example",
        Range: "bytes=0-1",
        Referer: "https://reader.example/page",
        "CF-Connecting-IP": "192.0.2.9",
        "If-None-Match": "*",
        "User-Agent": "reader",
        "X-Forwarded-For": "192.0.2.9",
      },
    });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    expect(node.came("request").map(({ head }) => head)).toEqual([
      {
        method: "GET",
        path: `/chunk/${hash}`,
        headers: [],
        body: false,
      },
    ]);
  });

  test.each(["GET", "HEAD"])("passes on by %s that the node does not have it", async (method) => {
    const node = await TestNode.registered();
    const problem = new TextEncoder().encode('{"code":"not-found","detail":"gone","type":"about:blank"}');
    node.answer(async () => ({
      status: 404,
      headers: [...HARMFUL.slice(1), ["content-type", "application/problem+json"]],
      body: method === "HEAD" ? null : bodyOf(problem),
    }));
    const response = await via(node, undefined, { method });
    expect(response.status).toBe(404);
    expect(response.headers.get("set-cookie")).toBe(null);
    if (method === "GET") expect(await response.json()).toMatchObject({ code: "not-found", detail: "gone" });
  });
});

describe("an upload through the relay", () => {
  const receipt = { statement: "AQ==", signature: "a signature" };
  const grant = { "Holdfast-Grant": "a grant", "Holdfast-Upload": "an upload" };

  test("carries the chunk and its two grants to the node, and the receipt back", async () => {
    const node = await TestNode.registered();
    const received: Uint8Array[] = [];
    node.answer(async ({ body }) => {
      received.push(new Uint8Array(await new Response(body as BodyInit | null).arrayBuffer()));
      const json = new TextEncoder().encode(JSON.stringify(receipt));
      return { status: 201, headers: HARMFUL, body: bodyOf(json) };
    });
    const response = await via(node, undefined, {
      method: "PUT",
      body: bytes,
      headers: {
        ...grant,
        Cookie: "session=1",
        Authorization: "Bearer secret",
        "X-Forwarded-For": "192.0.2.9",
      },
    });
    expect(response.status).toBe(201);
    expect(Object.fromEntries(response.headers)).toEqual({
      ...{ ...CORS, ...GUARDED, "content-type": "application/json", "cache-control": "no-store" },
    });
    expect(await response.json()).toEqual(receipt);
    expect(received).toEqual([bytes]);
    const [request] = node.came("request");
    expect(request?.head).toMatchObject({ method: "PUT", path: `/chunk/${hash}`, body: true });
    expect(new Map(request?.head.headers)).toEqual(
      new Map([
        ["content-length", String(bytes.length)],
        ["holdfast-grant", "a grant"],
        ["holdfast-upload", "an upload"],
      ]),
    );
  });

  test("may be a batch of small chunks", async () => {
    const node = await TestNode.registered();
    node.answer(async ({ body }) => {
      await new Response(body as BodyInit | null).arrayBuffer();
      const json = new TextEncoder().encode(JSON.stringify(receipt));
      return { status: 200, headers: [], body: bodyOf(json) };
    });
    const headers = { ...grant, "Content-Type": "application/vnd.holdfast.chunks" };
    const response = await via(node, "/chunk", { method: "PUT", body: bytes, headers });
    expect([response.status, await response.json()]).toEqual([200, receipt]);
    const [request] = node.came("request");
    expect(request?.head).toMatchObject({ method: "PUT", path: "/chunk", body: true });
    expect(request?.head.headers).toContainEqual(["content-type", "application/vnd.holdfast.chunks"]);
  });

  test("hears the node's refusal, also where it comes before the chunk has gone up", async () => {
    const node = await TestNode.registered();
    const problem = new TextEncoder().encode('{"code":"grant-missing","detail":"no grant"}');
    node.answer(async () => ({
      status: 401,
      headers: [["content-type", "application/problem+json"]],
      body: bodyOf(problem),
    }));
    const response = await via(node, undefined, { method: "PUT", body: new Uint8Array(CHUNK_BYTES_MAX) });
    expect(await problemIn(response)).toBe("401 grant-missing");
  });

  test("goes no further than the window ahead of a node that does not read", async () => {
    const node = await TestNode.registered();
    const leaving = new AbortController();
    const body = new Uint8Array(CHUNK_BYTES_MAX);
    const upload = via(node, undefined, { method: "PUT", body, signal: leaving.signal });
    await vi.waitUntil(() => dataBytes(node) >= WINDOW_BYTES);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(dataBytes(node)).toBe(WINDOW_BYTES);
    leaving.abort();
    await expect(upload).rejects.toThrow();
  });

  test("flows on in pieces where it comes slowly", async () => {
    const node = await TestNode.registered();
    const leaving = new AbortController();
    const { readable, writable } = new FixedLengthStream(DATA_BYTES_MAX);
    const upload = via(node, undefined, { method: "PUT", body: readable, signal: leaving.signal });
    const writer = writable.getWriter();
    void writer.write(new Uint8Array(DATA_BYTES_MAX / 2)).catch(() => undefined);
    await vi.waitUntil(() => dataBytes(node) > 0);
    leaving.abort();
    await expect(upload).rejects.toThrow();
  });
});

describe("bundles through the relay", () => {
  const request = { statements: [], receipts: [] };
  const accepted = { id: hash, status: "accepted", witnesses: [] };
  const post = (node: TestNode, body: BodyInit, headers = {}) =>
    via(node, "/names", {
      method: "POST",
      body,
      headers: { "Content-Type": "application/json", Cookie: "session=1", ...headers },
    });

  /** A node that answers every request with this JSON. */
  async function nodeSaying(answer: unknown, status = 200, type = "application/json"): Promise<TestNode> {
    const node = await TestNode.registered();
    node.answer(async ({ body }) => {
      await new Response(body as BodyInit | null).arrayBuffer();
      const json = new TextEncoder().encode(JSON.stringify(answer));
      return { status, headers: [...HARMFUL.slice(1), ["content-type", type]], body: bodyOf(json) };
    });
    return node;
  }

  test("go to the node as they are, and come back as results in the form that they must have", async () => {
    const node = await nodeSaying({ results: [accepted], script: "<script>" });
    const response = await post(node, JSON.stringify(request));
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toEqual({
      ...{ ...CORS, ...GUARDED, "content-type": "application/json", "cache-control": "no-store" },
    });
    expect(await response.json()).toEqual({ results: [accepted] });
    const [asked] = node.came("request");
    expect(asked?.head).toMatchObject({ method: "POST", path: "/names", body: true });
    expect(asked?.head.headers.map(([name]) => name)).toEqual(["content-length", "content-type"]);
    expect(node.came("data").map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual([
      JSON.stringify(request),
    ]);
  });

  test.each<[string, unknown, number, string, string]>([
    ["refuses all", { code: "dns-failed", detail: "no DNS" }, 503, PROBLEM, "503 dns-failed"],
    ["answers something else", { kept: true }, 200, "application/json", "502 bad-answer"],
    ["answers a receipt", { statement: "AQ==", signature: "a" }, 200, "application/json", "502 bad-answer"],
    ["answers that it was created", { results: [accepted] }, 201, "application/json", "502 bad-answer"],
  ])("of a node that %s", async (_, answer, status, type, expected) => {
    expect(await problemIn(await post(await nodeSaying(answer, status, type), "{}"))).toBe(expected);
  });

  test("may be as large as a POST /names, and no larger", async () => {
    const node = await nodeSaying({ results: [accepted] });
    expect((await post(node, new Uint8Array(NAMES_BODY_MAX))).status).toBe(200);
    expect(dataBytes(node)).toBe(NAMES_BODY_MAX);
    expect(await problemIn(await post(node, new Uint8Array(NAMES_BODY_MAX + 1)))).toBe("413 body-too-large");
    expect(node.came("request").length).toBe(1);
  });
});

describe("what the relay does not pass", () => {
  test.each([
    ["POST", `/chunk/${hash}`, "405 method-not-allowed"],
    ["DELETE", `/chunk/${hash}`, "405 method-not-allowed"],
    ["GET", "/chunk", "405 method-not-allowed"],
    ["POST", "/chunk", "405 method-not-allowed"],
    ["PUT", "/chunk/", "404 not-found"],
    ["PUT", `/name/${hash}?domain=example.org`, "405 method-not-allowed"],
    ["PUT", `/version/${hash}`, "405 method-not-allowed"],
    ["GET", "/names", "405 method-not-allowed"],
    ["PUT", "/names", "405 method-not-allowed"],
    ["POST", "/names/", "404 not-found"],
    // Orders are the edge's own.
    ["POST", "/pull", "404 not-found"],
    ["GET", "/pull", "404 not-found"],
    ["POST", "/chunk/plan", "400 invalid-hash"],
    ["GET", "/status", "404 not-found"],
    ["GET", "/obj/example.org/x", "404 not-found"],
    ["GET", "/node", "404 not-found"],
    ["GET", "/domain/example.org", "404 not-found"],
    ["GET", "", "404 not-found"],
    ["GET", "/", "404 not-found"],
    ["GET", "//", "404 not-found"],
    ["GET", `//chunk/${hash}`, "404 not-found"],
    ["GET", `/chunk/${hash}/`, "404 not-found"],
    ["GET", `/chunk/${hash}/x`, "404 not-found"],
    ["GET", `/chunk%2f${hash}`, "404 not-found"],
    ["GET", `/chunk%5c${hash}`, "404 not-found"],
    ["GET", `/chunk/..%2fstatus`, "400 invalid-hash"],
    ["GET", `/chunk/%2e%2e/status`, "404 not-found"],
    ["GET", `/chunk/${hash}%00`, "400 invalid-hash"],
    ["GET", `/chunk/${hash.toUpperCase()}`, "400 invalid-hash"],
    ["GET", `/name/${hash}`, "400 invalid-domain"],
    ["GET", `/name/${hash}?domain=example.org&before=1`, "400 invalid-hash"],
  ])("%s %s is %s, and the node hears nothing", async (method, path, expected) => {
    const node = await servingNode();
    expect(await problemIn(await via(node, path, { method }))).toBe(expected);
    expect(node.tunnelled).toEqual([]);
  });

  test("leads nowhere else by dots: what is left of the path is the edge's own", async () => {
    const node = await servingNode();
    expect(await problemIn(await via(node, "/../../via/status"))).toBe("404 not-found");
    expect(await (await via(node, "/../../status")).json()).toMatchObject({ kind: "edge" });
    expect(node.tunnelled).toEqual([]);
  });

  test("opens no WebSocket to the node's link", async () => {
    const node = await servingNode();
    const response = await via(node, "/node", { headers: { Upgrade: "websocket" } });
    expect(response.webSocket).toBe(null);
    const chunk = await via(node, undefined, { headers: { Upgrade: "websocket" } });
    expect([chunk.webSocket, chunk.status]).toEqual([null, 200]);
    await chunk.arrayBuffer();
  });

  test.each([
    ["characters outside ASCII", "caf\u00e9", "400 invalid-request"],
    ["more than a header may have", "x".repeat(17_000), "400 invalid-request"],
    ["more than a head may have once it is JSON", '"'.repeat(16_384), "413 frame-too-large"],
  ])("is a header of %s: the node keeps its connection", async (_, type, expected) => {
    const node = await servingNode();
    // As many as it takes to use up all streams, if they were not given back.
    for (let i = 0; i < STREAMS_MAX; i++) {
      expect(await problemIn(await via(node, undefined, { headers: { "content-type": type } }))).toBe(
        expected,
      );
    }
    expect(node.tunnelled).toEqual([]);
    const next = await via(node);
    expect(next.status).toBe(200);
    await next.arrayBuffer();
  });

  test("is anything for a node that nobody knows, and no object is brought about for it", async () => {
    const node = await TestNode.create();
    const before = await listDurableObjectIds(env.NODE_LINK);
    expect(await problemIn(await via(node))).toBe("404 not-found");
    expect(await problemIn(await SELF.fetch(`${EDGE}/via/abc/chunk/${hash}`))).toBe("400 invalid-hash");
    expect(await listDurableObjectIds(env.NODE_LINK)).toEqual(before);
  });
});

describe("a node's connection", () => {
  test("that is closed makes it unreachable, before a request and in the middle of one", async () => {
    const node = await TestNode.registered();
    node.onRequest((stream) => {
      node.sendFrame({ type: "response", stream, head: { status: 200, headers: [], body: true } });
      node.sendFrame({ type: "data", stream, bytes: bytes.subarray(0, 1000) });
      node.close();
    });
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    expect(node.came("request").length).toBe(1);
  });

  test("over which nothing comes is given up, and closed where not even pings came", async () => {
    const node = await TestNode.registered();
    node.send(PING);
    await vi.waitUntil(() => node.texts.length === 1);
    const waiting = via(node);
    await node.until("request");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + SILENCE_MAX_MS + 1000 });
    expect(await problemIn(await waiting)).toBe("504 timeout");
    vi.useRealTimers();
    expect(node.came("reset")).toMatchObject([{ code: "timeout" }]);
    expect(await node.refusal()).toBe("timeout");
    expect(await problemIn(await via(node))).toBe("502 unreachable");
  });

  test("serves on after its object hibernated", async () => {
    const node = await servingNode();
    for (const _ of [1, 2]) {
      await evictDurableObject(env.NODE_LINK.getByName(node.id));
      const response = await via(node);
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
    }
  });

  test("loses what is under way to the end of its object, and nothing after it", async () => {
    const node = await TestNode.registered();
    const waiting = via(node);
    await node.until("request");
    const link = env.NODE_LINK.getByName(node.id);
    await expect(runInDurableObject(link, (_, state) => state.abort("over"))).rejects.toThrow("over");
    expect(await problemIn(await waiting)).toBe("502 unreachable");
    await vi.waitUntil(() => node.closed !== null);
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    node.answer(async () => ({ status: 200, headers: [], body: bodyOf(bytes) }));
    await node.join();
    expect(new Uint8Array(await (await via(node)).arrayBuffer())).toEqual(bytes);
  });

  test("takes late frames of a stream from before an eviction for what they are", async () => {
    const node = await TestNode.registered();
    const leaving = new AbortController();
    const left = via(node, undefined, { signal: leaving.signal });
    await node.until("request");
    leaving.abort();
    await expect(left).rejects.toThrow();
    await node.until("reset");
    await evictDurableObject(env.NODE_LINK.getByName(node.id));
    const stream = node.came("request")[0]?.stream ?? 0;
    node.sendFrame({ type: "response", stream, head: { status: 200, headers: [], body: true } });
    node.sendFrame({ type: "data", stream, bytes: new Uint8Array(DATA_BYTES_MAX) });
    node.sendFrame({ type: "end", stream });
    await node.until("reset", 4);
    expect(node.came("reset").slice(1)).toEqual(
      Array(3).fill({ type: "reset", stream, code: "unknown-stream" }),
    );
    node.answer(async () => ({ status: 200, headers: [], body: bodyOf(bytes) }));
    expect(new Uint8Array(await (await via(node)).arrayBuffer())).toEqual(bytes);
  });

  test("is replaced by a newer one: requests go there, and those under way on the older fail", async () => {
    const older = await TestNode.registered();
    const waiting = via(older);
    await older.until("request");
    const newer = new TestNode(older.signer);
    newer.answer(async () => ({ status: 200, headers: [], body: bodyOf(bytes) }));
    await newer.join();
    expect(await problemIn(await waiting)).toBe("502 unreachable");
    expect((await via(newer)).status).toBe(200);
    await vi.waitUntil(() => older.closed !== null);
    expect(older.closed?.code).toBe(CLOSE_REPLACED);
    expect([older.came("request").length, newer.came("request").length]).toEqual([1, 1]);
  });

  test("carries no request before the node has heard that it is registered", async () => {
    const older = await servingNode();
    // The edge tries the node's URL while it registers.
    const tried = Promise.withResolvers<Response>();
    const trying = vi.spyOn(globalThis, "fetch").mockReturnValueOnce(tried.promise);
    const newer = new TestNode(older.signer);
    newer.answer(async () => ({ status: 200, headers: [], body: bodyOf(bytes) }));
    await newer.register(await newer.connect(), { url: "http://127.0.0.1:1" });
    await vi.waitUntil(() => trying.mock.calls.length > 0);
    expect((await via(older)).status).toBe(200);
    expect(await env.NODE_LINK.getByName(older.id).checkLink()).toBe(true);
    tried.reject(new Error("nobody there"));
    await newer.next("registered");
    expect((await via(newer)).status).toBe(200);
    expect([older.came("request").length, newer.came("request").length]).toEqual([1, 1]);
  });

  test("carries so many requests at once and no more", async () => {
    const node = await TestNode.registered();
    const chunk = { status: 200, headers: [] as [string, string][] };
    const open = Promise.withResolvers<void>();
    node.answer(async () => {
      await open.promise;
      return { ...chunk, body: bodyOf(bytes) };
    });
    const waiting = Array.from({ length: STREAMS_MAX }, () => via(node));
    await node.until("request", STREAMS_MAX);
    expect(await problemIn(await via(node))).toBe("429 rate-limited");
    open.resolve();
    for (const response of await Promise.all(waiting)) {
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
    }
    expect((await via(node)).status).toBe(200);
  });
});

describe("a reader who goes away", () => {
  test.each([
    ["before the answer begins", () => undefined],
    [
      "in the middle of it",
      (node: TestNode, stream: number) => {
        node.sendFrame({ type: "response", stream, head: { status: 200, headers: [], body: true } });
        node.sendFrame({ type: "data", stream, bytes: bytes.subarray(0, 1000) });
      },
    ],
  ])("%s is told to the node, which can stop", async (_, begin) => {
    const node = await TestNode.registered();
    node.onRequest((stream) => begin(node, stream));
    const leaving = new AbortController();
    const reading = via(node, undefined, { signal: leaving.signal });
    await node.until("request");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(node.came("reset")).toEqual([]);
    leaving.abort();
    await expect(reading).rejects.toThrow();
    await node.until("reset");
    expect(node.came("reset")).toMatchObject([
      { stream: node.came("request")[0]?.stream, code: "cancelled" },
    ]);
  });

  test("in the middle of an upload is told to the node, which does not take it for whole", async () => {
    const node = await TestNode.registered();
    const { readable, writable } = new FixedLengthStream(DATA_BYTES_MAX);
    const leaving = new AbortController();
    const uploading = via(node, undefined, { method: "PUT", body: readable, signal: leaving.signal });
    void writable
      .getWriter()
      .write(new Uint8Array(DATA_BYTES_MAX / 2))
      .catch(() => undefined);
    await node.until("data");
    leaving.abort();
    await expect(uploading).rejects.toThrow();
    await node.until("reset");
    expect(node.came("end")).toEqual([]);
  });
});

describe("an answer that nobody reads", () => {
  test("is not sent beyond the window", async () => {
    const node = await TestNode.registered();
    let sentBytes = 0;
    const endless = {
      read: async () => {
        sentBytes += DATA_BYTES_MAX;
        return { done: false, value: new Uint8Array(DATA_BYTES_MAX) };
      },
      cancel: async () => undefined,
    };
    node.answer(async () => ({ status: 200, headers: [], body: { getReader: () => endless } }));
    const response = await env.NODE_LINK.getByName(node.id).fetch(`${EDGE}/chunk/${hash}`);
    await vi.waitUntil(() => sentBytes >= WINDOW_BYTES);
    await new Promise((resolve) => setTimeout(resolve, 200));
    // One block waits for credit, and the runtime may have taken some to hand on.
    expect(sentBytes).toBeLessThanOrEqual(2 * WINDOW_BYTES);
    await response.body?.cancel();
    await node.until("reset");
  });
});
