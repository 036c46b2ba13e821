import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../lib/error.ts";
import { type AcceptedRequest, type Answer, TunnelAcceptor } from "../../lib/tunnel/acceptor.ts";
import { DATA_COST_MIN } from "../../lib/tunnel/flow.ts";
import {
  DATA_BYTES_MAX,
  encodeFrame,
  FRAME_BYTES_MAX,
  type Frame,
  HEAD_BYTES_MAX,
  parseFrame,
  STREAM_ID_MAX,
  STREAMS_MAX,
  WINDOW_BYTES,
} from "../../lib/tunnel/frames.ts";
import { TunnelOpener, type TunnelRequest } from "../../lib/tunnel/opener.ts";
import { parsePassage, parseTunnelled } from "../../lib/tunnel/passage.ts";

const hash = "ab".repeat(32);
const SHORT_LIMITS = { idleMs: 60, totalMs: 10_000 };

function bytesOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251);
}

/** A body of `blocks`, and how often it was cancelled. */
function sourceOf(blocks: Uint8Array[]) {
  const state = { reads: 0, cancelled: 0 };
  const reader = {
    read: async () => {
      const value = blocks[state.reads++];
      return value === undefined ? { done: true } : { done: false, value };
    },
    cancel: async () => {
      state.cancelled++;
    },
  };
  return { state, reader, body: { getReader: () => reader } };
}

async function readAll(body: ReadableStream<Uint8Array> | null): Promise<Uint8Array> {
  const blocks: Uint8Array[] = [];
  const reader = body?.getReader();
  for (let block = await reader?.read(); block?.value !== undefined; block = await reader?.read()) {
    blocks.push(block.value);
  }
  const whole = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    whole.set(block, at);
    at += block.length;
  }
  return whole;
}

/** Both ends, joined by messages that arrive in order and later. */
class Joined {
  readonly opener: TunnelOpener;
  readonly acceptor: TunnelAcceptor;
  readonly errors: unknown[] = [];
  readonly toOpener: Frame[] = [];
  readonly toAcceptor: Frame[] = [];
  isCut = false;

  constructor(answer: (request: AcceptedRequest) => Promise<Answer>, limits = {}, acceptorLimits = {}) {
    this.opener = new TunnelOpener({
      ...limits,
      firstStream: STREAM_ID_MAX - 2,
      send: (message) => this.#carry(message, this.toAcceptor, (bytes) => this.acceptor.receive(bytes)),
    });
    this.acceptor = new TunnelAcceptor({
      ...acceptorLimits,
      answer,
      onError: (error) => this.errors.push(error),
      send: (message) => this.#carry(message, this.toOpener, (bytes) => this.opener.receive(bytes)),
    });
  }

  request(request: Partial<TunnelRequest> = {}) {
    const head = { method: "GET", path: `/chunk/${hash}`, headers: [] } as TunnelRequest["head"];
    return this.opener.request({ head, body: null, ...request });
  }

  #carry(message: Uint8Array<ArrayBuffer>, log: Frame[], deliver: (bytes: Uint8Array) => void): void {
    log.push(parseFrame(message));
    void Promise.resolve().then(() => this.isCut || deliver(message));
  }
}

/** An answer that is never there, given up when nobody waits for it any more. */
function neverAnswer({ signal }: AcceptedRequest): Promise<Answer> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

async function idle(ms = 20): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const dataBytes = (frames: Frame[]) =>
  frames.reduce((sum, frame) => sum + (frame.type === "data" ? frame.bytes.length : 0), 0);

describe("frames", () => {
  const headers = fc.array(
    fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,20}$/), fc.stringMatching(/^[\x20-\x7e]{0,50}$/)),
    { maxLength: 10 },
  );
  const content = fc.oneof(
    fc.record({
      type: fc.constant("request" as const),
      head: fc.record({
        method: fc.constantFrom("GET" as const, "HEAD" as const, "PUT" as const),
        path: fc.stringMatching(/^\/[\x21-\x7e]{0,50}$/),
        headers,
        body: fc.boolean(),
      }),
    }),
    fc.record({
      type: fc.constant("response" as const),
      head: fc.record({ status: fc.integer({ min: 200, max: 599 }), headers, body: fc.boolean() }),
    }),
    fc.record({ type: fc.constant("data" as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 100 }) }),
    fc.record({ type: fc.constant("end" as const) }),
    fc.record({ type: fc.constant("reset" as const), code: fc.stringMatching(/^[a-z-]{0,64}$/) }),
    fc.record({ type: fc.constant("credit" as const), bytes: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  );

  test("read back as they were written", () => {
    fc.assert(
      fc.property(content, fc.integer({ min: 0, max: STREAM_ID_MAX }), (rest, stream) => {
        const frame: Frame = { stream, ...rest };
        expect(parseFrame(encodeFrame(frame))).toEqual(frame);
      }),
    );
  });

  test("have the layout that the protocol's page shows", () => {
    const hex = (frame: Frame) =>
      [...encodeFrame(frame)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(hex({ type: "data", stream: 7, bytes: Uint8Array.of(1, 2, 3) })).toBe("0200000007010203");
    expect(hex({ type: "end", stream: 7 })).toBe("0300000007");
    expect(hex({ type: "credit", stream: 0x01020304, bytes: 262_144 })).toBe("050102030400040000");
  });

  test("of any bytes parse or are refused with a code, never otherwise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parseFrame(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(HoldfastError);
          expect(["frame-malformed", "frame-too-large"]).toContain((error as HoldfastError).code);
        }
      }),
    );
  });

  const json = (type: number, value: unknown) => {
    const text = new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
    return Uint8Array.of(type, 0, 0, 0, 1, ...text);
  };
  const request = { method: "GET", path: "/", headers: [], body: false };
  test.each([
    ["empty", new Uint8Array(0), "frame-malformed"],
    ["of an unknown type", Uint8Array.of(6, 0, 0, 0, 1), "frame-malformed"],
    ["without a whole stream id", Uint8Array.of(3, 0, 0), "frame-malformed"],
    ["data without data", Uint8Array.of(2, 0, 0, 0, 1), "frame-malformed"],
    ["an end with a payload", Uint8Array.of(3, 0, 0, 0, 1, 9), "frame-malformed"],
    ["credit of three bytes", Uint8Array.of(5, 0, 0, 0, 1, 0, 0, 1), "frame-malformed"],
    ["too large", new Uint8Array(FRAME_BYTES_MAX + 1).fill(2), "frame-too-large"],
    ["a head that is no JSON", json(0, "{"), "frame-malformed"],
    ["a head too large", json(0, `"${"x".repeat(HEAD_BYTES_MAX)}"`), "frame-too-large"],
    ["a method that may not pass", json(0, { ...request, method: "DELETE" }), "frame-malformed"],
    ["a path that is none", json(0, { ...request, path: "http://elsewhere/" }), "frame-malformed"],
    ["a path with a line break", json(0, { ...request, path: "/a\r\nb" }), "frame-malformed"],
    ["a header with a line break", json(0, { ...request, headers: [["a", "b\r\nc: d"]] }), "frame-malformed"],
    ["a header name in capitals", json(0, { ...request, headers: [["A", "b"]] }), "frame-malformed"],
    ["too many headers", json(0, { ...request, headers: Array(33).fill(["a", "b"]) }), "frame-malformed"],
    ["an unknown field", json(0, { ...request, more: 1 }), "frame-malformed"],
    ["an informational status", json(1, { status: 100, headers: [], body: false }), "frame-malformed"],
    ["a reset without a code", json(4, {}), "frame-malformed"],
  ])("%s are refused", (_, bytes, code) => {
    expect(() => parseFrame(bytes)).toThrow(expect.objectContaining({ code }));
  });
});

describe("a tunnel", () => {
  test("carries a request's head and body there, and the answer's back", async () => {
    const [sent, answered] = [bytesOf(3 * WINDOW_BYTES + 5), bytesOf(2 * WINDOW_BYTES + 7, 2)];
    const seen: { request?: AcceptedRequest; body?: Uint8Array } = {};
    const tunnel = new Joined(async (request) => {
      seen.request = request;
      seen.body = await readAll(request.body);
      return { status: 201, headers: [["etag", '"x"']], body: sourceOf([answered]).body };
    });
    const head = { method: "PUT", path: `/chunk/${hash}?a=b`, headers: [["content-type", "a/b"]] };
    const response = await tunnel.request({
      head: head as TunnelRequest["head"],
      body: sourceOf([sent.subarray(0, 10), sent.subarray(10)]).reader,
    });
    expect(response).toMatchObject({ status: 201, headers: [["etag", '"x"']] });
    expect(await readAll(response.body)).toEqual(answered);
    expect(seen.request).toMatchObject(head);
    expect(seen.body).toEqual(sent);
    const sizes = tunnel.toAcceptor.flatMap((frame) => (frame.type === "data" ? frame.bytes.length : []));
    expect(Math.max(...sizes)).toBe(DATA_BYTES_MAX);
    await idle();
    expect([tunnel.opener.size, tunnel.acceptor.size]).toEqual([0, 0]);
  });

  test("carries answers without a body, and empty ones", async () => {
    const answers = [null, sourceOf([]).body, sourceOf([new Uint8Array(0)]).body];
    const tunnel = new Joined(async () => ({ status: 200, headers: [], body: answers.shift() ?? null }));
    expect((await tunnel.request()).body).toBe(null);
    for (const _ of [1, 2]) expect(await readAll((await tunnel.request()).body)).toEqual(new Uint8Array(0));
  });

  test("carries several requests at once, each at its own pace", async () => {
    const tunnel = new Joined(async ({ path }) => ({
      status: 200,
      headers: [],
      body: sourceOf([bytesOf(2 * WINDOW_BYTES, Number(path.slice(1)))]).body,
    }));
    const responses = await Promise.all(
      Array.from({ length: 5 }, (_, i) =>
        tunnel.request({ head: { method: "GET", path: `/${i}`, headers: [] } }),
      ),
    );
    // The first is not read: it must not hold the others up.
    const bodies = await Promise.all(responses.slice(1).map(({ body }) => readAll(body)));
    expect(bodies).toEqual([1, 2, 3, 4].map((seed) => bytesOf(2 * WINDOW_BYTES, seed)));
    expect(await readAll(responses[0]?.body ?? null)).toEqual(bytesOf(2 * WINDOW_BYTES, 0));
  });

  test("lets a sender run no further ahead of its reader than the window, in both directions", async () => {
    const big = Array.from({ length: 8 }, () => bytesOf(WINDOW_BYTES / 2));
    const tunnel = new Joined(async () => ({ status: 200, headers: [], body: sourceOf(big).body }));
    const { body } = await tunnel.request();
    await idle();
    expect(dataBytes(tunnel.toOpener)).toBe(WINDOW_BYTES);
    await body?.getReader().read();
    await idle();
    expect(dataBytes(tunnel.toOpener)).toBe(WINDOW_BYTES + DATA_BYTES_MAX);

    const unread = new Joined(neverAnswer);
    void unread.request({ body: sourceOf(big).reader }).catch(() => undefined);
    await idle();
    expect(dataBytes(unread.toAcceptor)).toBe(WINDOW_BYTES);
    unread.opener.close("over");
    tunnel.opener.close("over");
    unread.acceptor.close();
    tunnel.acceptor.close();
  });

  test("charges tiny frames for the memory that they take", async () => {
    const tiny = Array.from({ length: WINDOW_BYTES / DATA_COST_MIN + 100 }, () => Uint8Array.of(7));
    const tunnel = new Joined(async () => ({ status: 200, headers: [], body: sourceOf(tiny).body }));
    const { body } = await tunnel.request();
    await idle();
    expect(dataBytes(tunnel.toOpener)).toBe(WINDOW_BYTES / DATA_COST_MIN);
    expect((await readAll(body)).length).toBe(tiny.length);
  });

  test("tells the other end when the reader goes away, and its source is cancelled", async () => {
    const source = sourceOf(Array.from({ length: 10 }, () => bytesOf(WINDOW_BYTES)));
    let signal: AbortSignal | null = null;
    const tunnel = new Joined(async (request) => {
      signal = request.signal;
      return { status: 200, headers: [], body: source.body };
    });
    const { body } = await tunnel.request();
    await body?.cancel();
    await idle();
    expect(tunnel.toAcceptor).toContainEqual(expect.objectContaining({ type: "reset", code: "cancelled" }));
    expect(source.state.cancelled).toBe(1);
    expect(signal).toMatchObject({ aborted: true });
    expect([tunnel.opener.size, tunnel.acceptor.size]).toEqual([0, 0]);
  });

  test("gives a request up when its signal says so, before and after the answer began", async () => {
    const tunnel = new Joined(neverAnswer);
    const leaving = new AbortController();
    const waiting = tunnel.request({ signal: leaving.signal });
    leaving.abort(new HoldfastError("timeout", "enough"));
    await expect(waiting).rejects.toMatchObject({ code: "timeout" });
    await expect(tunnel.request({ signal: leaving.signal })).rejects.toMatchObject({ code: "timeout" });
    await idle();
    expect([tunnel.opener.size, tunnel.acceptor.size]).toEqual([0, 0]);
  });

  test("breaks a body off with an error when the connection is lost midway: never a short one that looks whole", async () => {
    const tunnel = new Joined(async () => ({
      status: 200,
      headers: [],
      body: sourceOf([bytesOf(10), bytesOf(5 * WINDOW_BYTES)]).body,
    }));
    const { body } = await tunnel.request();
    const reader = body?.getReader();
    expect((await reader?.read())?.value).toEqual(bytesOf(10));
    tunnel.isCut = true;
    tunnel.opener.close("the connection is gone");
    tunnel.acceptor.close();
    await expect(reader?.read()).rejects.toMatchObject({ code: "unreachable" });
    await idle();
    expect([tunnel.opener.size, tunnel.acceptor.size]).toEqual([0, 0]);
  });

  test("gives up a node that falls silent, before its answer and in the middle of it", async () => {
    const silent = new Joined(neverAnswer, { limits: SHORT_LIMITS });
    await expect(silent.request()).rejects.toMatchObject({ code: "timeout" });
    const stalls = { read: () => new Promise<never>(() => undefined), cancel: async () => undefined };
    const midway = new Joined(async () => ({ status: 200, headers: [], body: { getReader: () => stalls } }), {
      limits: SHORT_LIMITS,
    });
    const { body } = await midway.request();
    await expect(body?.getReader().read()).rejects.toMatchObject({ code: "timeout" });
    await idle(SHORT_LIMITS.idleMs * 2);
    expect([silent.acceptor.size, midway.acceptor.size, midway.opener.size]).toEqual([0, 0, 0]);
  });

  test("waits for a node that works long before it answers, where the request says so", async () => {
    const limits = { limits: SHORT_LIMITS };
    const work = async (): Promise<Answer> => {
      await idle(SHORT_LIMITS.idleMs * 3);
      return { status: 200, headers: [], body: null };
    };
    const patient = { limits: { idleMs: SHORT_LIMITS.idleMs * 10, totalMs: 10_000 } };
    const order = () => ({ body: new Blob(["{}"]).stream().getReader() });
    const tunnel = new Joined(work, limits, limits);
    expect((await tunnel.request({ ...order(), ...patient })).status).toBe(200);
    await expect(tunnel.request(order())).rejects.toMatchObject({ code: "timeout" });
  });

  test("gives up an upload whose sender falls silent", async () => {
    let failure: unknown = null;
    const tunnel = new Joined(
      async ({ body }) => {
        await readAll(body).catch((error: unknown) => {
          failure = error;
        });
        return { status: 200, headers: [], body: null };
      },
      { limits: SHORT_LIMITS },
    );
    const stalls = { read: () => new Promise<never>(() => undefined), cancel: async () => undefined };
    await expect(tunnel.request({ body: stalls })).rejects.toMatchObject({ code: "timeout" });
    await idle();
    expect(failure).toMatchObject({ code: "unreachable" });
  });

  test("resets a request whose answer fails, and says what failed at the node only", async () => {
    const tunnel = new Joined(() => Promise.reject(new Error("disk on fire")));
    await expect(tunnel.request()).rejects.toMatchObject({
      code: "unreachable",
      message: expect.not.stringContaining("disk"),
    });
    expect(tunnel.errors).toMatchObject([{ message: "disk on fire" }]);
  });

  test("takes so many requests at once and no more", async () => {
    const tunnel = new Joined(neverAnswer);
    const waiting = Array.from({ length: STREAMS_MAX }, () => tunnel.request().catch(() => undefined));
    await expect(tunnel.request()).rejects.toMatchObject({ code: "rate-limited" });
    tunnel.opener.close("over");
    await Promise.all(waiting);
  });
});

describe("an end that breaks the rules", () => {
  const requestFrame = (stream: number, body = false): Frame => ({
    type: "request",
    stream,
    head: { method: "PUT", path: `/chunk/${hash}`, headers: [], body },
  });
  const data = (stream: number, length: number): Frame => ({ type: "data", stream, bytes: bytesOf(length) });

  function acceptorThat(answer: (request: AcceptedRequest) => Promise<Answer>) {
    const sent: Frame[] = [];
    const acceptor = new TunnelAcceptor({
      answer,
      onError: () => undefined,
      send: (message) => sent.push(parseFrame(message)),
    });
    return { sent, acceptor, receive: (frame: Frame) => acceptor.receive(encodeFrame(frame)) };
  }

  test.each<[string, Frame[]]>([
    ["a stream opened twice", [requestFrame(1), requestFrame(1)]],
    ["data for a request without a body", [requestFrame(1), data(1, 1)]],
    ["an end for a request without a body", [requestFrame(1), { type: "end", stream: 1 }]],
    [
      "a response",
      [requestFrame(1), { type: "response", stream: 1, head: { status: 200, headers: [], body: false } }],
    ],
    [
      "data beyond the credit",
      [requestFrame(1, true), ...Array.from({ length: 5 }, () => data(1, DATA_BYTES_MAX))],
    ],
    [
      "tiny frames beyond the credit",
      [requestFrame(1, true), ...Array.from({ length: 1025 }, () => data(1, 1))],
    ],
    ["data after the end", [requestFrame(1, true), { type: "end", stream: 1 }, data(1, 1)]],
    ["two ends", [requestFrame(1, true), { type: "end", stream: 1 }, { type: "end", stream: 1 }]],
    ["more credit than the window", [requestFrame(1), { type: "credit", stream: 1, bytes: 1 }]],
  ])("is found out by the node: %s", (_, frames) => {
    const { acceptor, receive } = acceptorThat(neverAnswer);
    for (const frame of frames.slice(0, -1)) receive(frame);
    expect(() => receive(frames.at(-1) as Frame)).toThrow(
      expect.objectContaining({ code: "frame-malformed" }),
    );
    acceptor.close();
  });

  test.each<[string, (stream: number) => Frame[]]>([
    ["a request", (stream) => [requestFrame(stream)]],
    ["an end before a response", (stream) => [{ type: "end", stream }]],
    [
      "two responses",
      (stream) => Array(2).fill({ type: "response", stream, head: { status: 200, headers: [], body: true } }),
    ],
    ["data beyond the credit", (stream) => Array.from({ length: 5 }, () => data(stream, DATA_BYTES_MAX))],
    ["more credit than the window", (stream) => [{ type: "credit", stream, bytes: 5 }]],
  ])("is found out by the edge: %s", async (_, framesFor) => {
    const sent: Frame[] = [];
    const opener = new TunnelOpener({ firstStream: 5, send: (message) => sent.push(parseFrame(message)) });
    const waiting = opener
      .request({ head: { method: "GET", path: "/", headers: [] }, body: null })
      .catch(() => undefined);
    const frames = framesFor(sent[0]?.stream ?? 0).map(encodeFrame);
    expect(() => {
      for (const frame of frames) opener.receive(frame);
    }).toThrow(expect.objectContaining({ code: "frame-malformed" }));
    opener.close("over");
    await waiting;
  });

  test("hears of more requests than a node answers at once by a reset", () => {
    const { acceptor, sent, receive } = acceptorThat(neverAnswer);
    for (let stream = 0; stream <= STREAMS_MAX; stream++) receive(requestFrame(stream));
    expect(sent).toEqual([{ type: "reset", stream: STREAMS_MAX, code: "rate-limited" }]);
    acceptor.close();
  });

  test("and sends frames of streams that nobody knows is told to stop by the edge, ignored by the node", () => {
    const sent: Frame[] = [];
    const opener = new TunnelOpener({ firstStream: 5, send: (message) => sent.push(parseFrame(message)) });
    opener.receive(encodeFrame(data(9, 10)));
    opener.receive(encodeFrame({ type: "reset", stream: 9, code: "x" }));
    expect(sent).toEqual([{ type: "reset", stream: 9, code: "unknown-stream" }]);
    const node = acceptorThat(neverAnswer);
    node.receive(data(9, 10));
    expect(node.sent).toEqual([]);
  });
});

describe("what may pass", () => {
  test.each([
    ["GET", `/chunk/${hash}`, "", `/chunk/${hash}`],
    ["HEAD", `/chunk/${hash}`, "?x=1", `/chunk/${hash}`],
    ["PUT", `/chunk/${hash}`, "", `/chunk/${hash}`],
    ["GET", `/name/${hash}`, "?domain=example.org&x=1", `/name/${hash}?domain=example.org`],
    [
      "GET",
      `/name/${hash}`,
      `?before=${hash}&domain=example.org`,
      `/name/${hash}?domain=example.org&before=${hash}`,
    ],
    ["GET", `/version/${hash}`, "", `/version/${hash}`],
    ["GET", `/version/${hash}.sig`, "", `/version/${hash}.sig`],
    ["GET", `/closest/${hash}`, "?a", `/closest/${hash}`],
  ])("%s %s%s passes as %s", (method, path, search, passed) => {
    expect(parsePassage(method, path, search)).toMatchObject({ method, path: passed, hash });
  });

  test.each([
    ["PUT", "/chunk", "chunks"],
    ["POST", "/names", "names"],
  ])("%s %s passes, naming no hash, without what its query says", (method, path, resource) => {
    expect(parsePassage(method, path, "?a=b")).toEqual({ method, path, resource, hash: null });
  });

  test.each([
    ["POST", "/names/", "", "not-found"],
    ["GET", "/names", "", "method-not-allowed"],
    ["PUT", "/names", "", "method-not-allowed"],
    ["POST", "/pull", "", "not-found"],
    ["GET", "/status", "", "not-found"],
    ["GET", "/", "", "not-found"],
    ["GET", "", "", "not-found"],
    ["GET", `/chunk/${hash}/`, "", "not-found"],
    ["GET", `/chunk//${hash}`, "", "not-found"],
    ["GET", `//chunk/${hash}`, "", "not-found"],
    ["GET", `/CHUNK/${hash}`, "", "not-found"],
    ["GET", `/chunk/%2e%2e`, "", "invalid-hash"],
    ["GET", `/chunk/${hash.toUpperCase()}`, "", "invalid-hash"],
    ["GET", `/chunk/${hash}.sig`, "", "invalid-hash"],
    ["POST", `/chunk/${hash}`, "", "method-not-allowed"],
    ["DELETE", `/chunk/${hash}`, "", "method-not-allowed"],
    ["PUT", `/name/${hash}`, "?domain=example.org", "method-not-allowed"],
    ["GET", `/name/${hash}`, "", "invalid-domain"],
    ["GET", `/name/${hash}`, "?domain=example.org%0d%0ax", "invalid-domain"],
    ["GET", `/name/${hash}`, "?domain=example.org&before=x", "invalid-hash"],
    ["GET", "/inventory", "", "not-found"],
    ["GET", "/inventory/names/3", "", "not-found"],
    ["GET", `/inventory/statement/${hash}`, "", "not-found"],
  ])("%s %s%s does not: %s", (method, path, search, code) => {
    expect(() => parsePassage(method, path, search)).toThrow(expect.objectContaining({ code }));
  });

  test.each([
    ["/inventory", "", "/inventory"],
    ["/inventory", `?known=${hash}`, `/inventory?known=${hash}`],
    ["/inventory/7", `?after=${hash}`, `/inventory/7?after=${hash}`],
    ["/inventory/names", `?known=${hash}`, `/inventory/names?known=${hash}`],
    ["/inventory/names/1023", "?known=x", "/inventory/names/1023"],
    [`/inventory/statement/${hash}`, "?after=x", `/inventory/statement/${hash}`],
  ])("an edge itself asks for %s%s as %s, and by GET only", (path, search, asked) => {
    expect(parseTunnelled("GET", path, search)).toEqual({ method: "GET", path: asked });
    expect(() => parseTunnelled("POST", path, search)).toThrow(
      expect.objectContaining({ code: "method-not-allowed" }),
    );
  });
});
