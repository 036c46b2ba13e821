// Home nodes that answer the relay badly on purpose. A reader gets the right bytes or a code, and a node that breaks the
// tunnel's rules loses its connection.

import { SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { hashBytes } from "../../lib/hash.ts";
import { DATA_COST_MIN } from "../../lib/tunnel/flow.ts";
import {
  DATA_BYTES_MAX,
  encodeFrame,
  FRAME_BYTES_MAX,
  type Frame,
  type ResponseHead,
  WINDOW_BYTES,
} from "../../lib/tunnel/frames.ts";
import { bytesOf, EDGE, TestNode } from "./test-node.ts";

const bytes = bytesOf(10_000);
const hash = hashBytes(bytes);
const problemType: [string, string] = ["content-type", "application/problem+json"];
const textOf = (text: string) => new TextEncoder().encode(text);

function via(node: TestNode, init?: RequestInit, path = `/chunk/${hash}`): Promise<Response> {
  return SELF.fetch(`${EDGE}/via/${node.id}${path}`, init);
}

async function problemIn(response: Response): Promise<string> {
  const { code } = await response.json<{ code: string }>();
  return `${response.status} ${code}`;
}

/** A node that answers every request with this head, and these bytes where it has a body. */
async function nodeAnswering(head: Partial<ResponseHead>, body: Uint8Array = bytes): Promise<TestNode> {
  const node = await TestNode.registered();
  node.onRequest((stream) => {
    const whole = { status: 200, headers: [], body: true, ...head };
    node.sendFrame({ type: "response", stream, head: whole });
    if (!whole.body) return;
    if (body.length > 0) node.sendFrame({ type: "data", stream, bytes: body });
    node.sendFrame({ type: "end", stream });
  });
  return node;
}

const withLength = (length: string): Partial<ResponseHead> => ({ headers: [["content-length", length]] });

describe("a chunk that is", () => {
  test.each<[string, Partial<ResponseHead>, Uint8Array]>([
    ["of other bytes", {}, bytesOf(10_000, 2)],
    ["a byte longer, as declared", withLength("10001"), bytesOf(10_001)],
    ["a byte longer than declared", withLength("10000"), bytesOf(10_001)],
    ["a byte longer, undeclared", {}, bytesOf(10_001)],
    ["a byte shorter, as declared", withLength("9999"), bytesOf(9_999)],
    ["a byte shorter than declared", withLength("10000"), bytesOf(9_999)],
    ["empty", withLength("0"), new Uint8Array(0)],
    ["no body at all", { body: false }, bytes],
    ["a page", { headers: [["content-type", "text/html"]] }, textOf("<h1>hello</h1>")],
    ["a redirect to it", { status: 307, headers: [["location", `${EDGE}/chunk/${hash}`]] }, bytes],
    ["a redirect to the edge's link", { status: 302, headers: [["location", "/closest/x"]] }, bytes],
    ["created", { status: 201 }, bytes],
    ["a part of it", { status: 206 }, bytes],
    ["no content", { status: 204 }, bytes],
    ["no content, and no body", { status: 204, body: false }, bytes],
    ["reset content", { status: 205 }, bytes],
    ["not modified", { status: 304 }, bytes],
    ["a failure without a reason", { status: 500 }, bytes],
    ["a failure told as a page", { status: 500, headers: [["content-type", "text/html"]] }, bytes],
    ["a failure told as what does not parse", { status: 500, headers: [problemType] }, textOf("{")],
    [
      "a failure of a code that nobody knows",
      { status: 418, headers: [problemType] },
      textOf('{"code":"teapot","detail":""}'),
    ],
    [
      "a success told as a failure",
      { status: 200, headers: [problemType] },
      textOf('{"code":"not-found","detail":""}'),
    ],
  ])("%s is 502 bad-answer, and no byte of it is given", async (_, head, body) => {
    const node = await nodeAnswering(head, body);
    expect(await problemIn(await via(node))).toBe("502 bad-answer");
    expect(node.closed).toBe(null);
  });

  test.each(["abc", "-1", "1.5", "", "10000, 10000", "9".repeat(20)])(
    "declared to have %j bytes is taken for what it is",
    async (length) => {
      const node = await nodeAnswering(withLength(length));
      const response = await via(node);
      expect(response.status).toBe(200);
      expect(new Uint8Array(await response.arrayBuffer())).toEqual(bytes);
      const head = await via(node, { method: "HEAD" });
      expect([head.status, head.headers.get("content-length")]).toEqual([200, null]);
    },
  );

  test("described in many headers reaches the edge with its length and type, and no other", async () => {
    const harmful: [string, string][] = [
      ["content-encoding", "gzip"],
      ["location", "/closest/x"],
      ["set-cookie", "a=b"],
    ];
    const known: [string, string][] = [
      ["content-length", "10000"],
      ["content-type", "text/html"],
    ];
    const node = await nodeAnswering({ headers: [...harmful, ...known] });
    const answer = await env.NODE_LINK.getByName(node.id).fetch(`${EDGE}/chunk/${hash}`);
    expect(Object.fromEntries(answer.headers)).toEqual(Object.fromEntries(known));
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(bytes);
  });

  test("larger than any chunk is given up as soon as it is", async () => {
    const node = await TestNode.registered();
    const endless = {
      read: async () => ({ done: false, value: new Uint8Array(DATA_BYTES_MAX) }),
      cancel: async () => undefined,
    };
    node.answer(async () => ({ status: 200, headers: [], body: { getReader: () => endless } }));
    expect(await problemIn(await via(node))).toBe("502 bad-answer");
    await node.until("reset");
  });
});

describe("an upload's receipt that is", () => {
  test.each<[string, Partial<ResponseHead>, Uint8Array]>([
    ["no JSON", {}, textOf("stored")],
    ["no statement", {}, textOf('{"ok":true}')],
    ["nothing", { status: 204 }, bytes],
    ["partial", { status: 206 }, textOf('{"statement":"AQ==","signature":"s"}')],
    ["endless", {}, new Uint8Array(DATA_BYTES_MAX).fill(32)],
  ])("%s is 502 bad-answer", async (_, head, body) => {
    const node = await nodeAnswering(head, body);
    expect(await problemIn(await via(node, { method: "PUT", body: bytes }))).toBe("502 bad-answer");
  });
});

describe("a statement that is", () => {
  test("not the one asked for is 502 bad-answer", async () => {
    const node = await nodeAnswering({});
    const other = hashBytes(textOf("another"));
    expect(await problemIn(await via(node, {}, `/version/${other}`))).toBe("502 bad-answer");
  });
});

describe("a node that breaks the tunnel's rules", () => {
  const response = (stream: number, head: Partial<ResponseHead> = {}): Frame => ({
    type: "response",
    stream,
    head: { status: 200, headers: [], body: true, ...head },
  });
  const data = (stream: number, length: number): Frame => ({
    type: "data",
    stream,
    bytes: new Uint8Array(length),
  });
  const headOf = (text: string) => (stream: number) => {
    const frame = encodeFrame({ type: "end", stream });
    frame[0] = 1;
    return [new Uint8Array([...frame, ...textOf(text)])];
  };
  const frames = (make: (stream: number) => Frame[]) => (stream: number) => make(stream).map(encodeFrame);

  test.each<[string, (stream: number) => Uint8Array[], string]>([
    ["data before its response", frames((s) => [data(s, 10)]), "frame-malformed"],
    ["an end before its response", frames((s) => [{ type: "end", stream: s }]), "frame-malformed"],
    ["a second response", frames((s) => [response(s), response(s)]), "frame-malformed"],
    [
      "a request",
      frames((s) => [
        { type: "request", stream: s, head: { method: "GET", path: "/", headers: [], body: false } },
      ]),
      "frame-malformed",
    ],
    [
      "credit that nothing used up",
      frames((s) => [{ type: "credit", stream: s, bytes: 1 }]),
      "frame-malformed",
    ],
    ["status 101", headOf('{"status":101,"headers":[],"body":false}'), "frame-malformed"],
    ["status 999", headOf('{"status":999,"headers":[],"body":false}'), "frame-malformed"],
    ["a head that is no JSON", headOf("HTTP/1.1 200 OK"), "frame-malformed"],
    [
      "a head with a field too many",
      headOf('{"status":200,"headers":[],"body":false,"x":1}'),
      "frame-malformed",
    ],
    [
      "a header with a line break",
      headOf('{"status":200,"headers":[["a","b\\r\\nc"]],"body":false}'),
      "frame-malformed",
    ],
    [
      "a header that is no name",
      headOf('{"status":200,"headers":[["a:b","c"]],"body":false}'),
      "frame-malformed",
    ],
    [
      "too many headers",
      headOf(JSON.stringify({ status: 200, headers: Array(33).fill(["a", "b"]), body: false })),
      "frame-malformed",
    ],
    [
      "a head that is too large",
      headOf(`{"status":200,"headers":[],"body":false${" ".repeat(33_000)}}`),
      "frame-too-large",
    ],
    ["a frame that is too large", () => [new Uint8Array(FRAME_BYTES_MAX + 1).fill(2)], "frame-too-large"],
    ["a frame of no type", () => [new Uint8Array(10).fill(77)], "frame-malformed"],
    ["a frame without a stream", () => [Uint8Array.of(2, 0, 0)], "frame-malformed"],
    ["an empty frame", () => [new Uint8Array(0)], "frame-malformed"],
    ["data of no bytes", frames((s) => [response(s), data(s, 0)]), "frame-malformed"],
  ])("by %s is disconnected with a code, and its readers hear so", async (_, make, code) => {
    const node = await TestNode.registered();
    node.onRequest((stream) => {
      for (const message of make(stream)) node.send(message);
    });
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    expect(await node.refusal()).toBe(code);
  });

  // The runtime takes some of a body that nobody reads, to hand it on.
  test.each([
    ["data", DATA_BYTES_MAX, (3 * WINDOW_BYTES) / DATA_BYTES_MAX],
    ["tiny data", 1, (3 * WINDOW_BYTES) / DATA_COST_MIN],
  ])(
    "by %s beyond its credit is disconnected with a code, and its readers hear so",
    async (_, length, count) => {
      const node = await TestNode.registered();
      node.onRequest((stream) => {
        node.sendFrame(response(stream));
        for (let i = 0; i < count; i++) node.sendFrame(data(stream, length));
      });
      const answer = await env.NODE_LINK.getByName(node.id).fetch(`${EDGE}/chunk/${hash}`);
      expect(await node.refusal()).toBe("frame-malformed");
      await expect(answer.arrayBuffer()).rejects.toThrow("connection is gone");
    },
  );

  test("hurts no other: the next connection starts anew", async () => {
    const node = await TestNode.registered();
    node.onRequest(() => node.send(new Uint8Array(3)));
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    await node.refusal();
    // What it still sends into the closed connection is nobody's.
    node.onRequest((stream) => {
      node.sendFrame(response(stream));
      node.sendFrame({ type: "data", stream, bytes });
      node.sendFrame({ type: "end", stream });
    });
    await node.join();
    expect(new Uint8Array(await (await via(node)).arrayBuffer())).toEqual(bytes);
  });

  test("by frames of a stream that nobody opened is only told so", async () => {
    const node = await TestNode.registered();
    node.sendFrame(data(77, 10));
    node.sendFrame({ type: "reset", stream: 78, code: "x" });
    node.sendFrame({
      type: "request",
      stream: 79,
      head: { method: "GET", path: "/", headers: [], body: false },
    });
    await node.until("reset", 2);
    expect(node.tunnelled).toEqual([
      { type: "reset", stream: 77, code: "unknown-stream" },
      { type: "reset", stream: 79, code: "unknown-stream" },
    ]);
  });

  test("by giving a request up makes itself unreachable for it, and for no other", async () => {
    const node = await TestNode.registered();
    let requests = 0;
    node.onRequest((stream) => {
      requests += 1;
      if (requests === 1) return node.sendFrame({ type: "reset", stream, code: "internal" });
      node.sendFrame(response(stream));
      if (requests === 2) return node.sendFrame({ type: "reset", stream, code: "internal" });
      node.sendFrame({ type: "data", stream, bytes });
      node.sendFrame({ type: "end", stream });
    });
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    expect(await problemIn(await via(node))).toBe("502 unreachable");
    expect((await via(node)).status).toBe(200);
  });

  test("while it is closed already does no harm", async () => {
    const node = await TestNode.registered();
    const newer = new TestNode(node.signer);
    const flooding = setInterval(() => node.closed === null && node.sendFrame(data(1, 10)), 1);
    await newer.join();
    await vi.waitUntil(() => node.closed !== null);
    clearInterval(flooding);
    newer.onRequest((stream) => newer.sendFrame({ type: "reset", stream, code: "busy" }));
    expect(await problemIn(await via(newer))).toBe("502 unreachable");
    expect(newer.closed).toBe(null);
  });
});
