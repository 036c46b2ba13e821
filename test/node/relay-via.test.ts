// Home nodes behind NAT, asked through one that is reached directly: real nodes, and nodes that answer badly on purpose.
// A reader gets the right bytes or a code, and the volunteer's line carries what the pledge allows.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RELAYED_BYTES_MAX } from "../../home-node/relay/via.ts";
import type { Hash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { verifyStatement } from "../../lib/statement.ts";
import { DATA_BYTES_MAX, type ResponseHead, STREAMS_MAX, WINDOW_BYTES } from "../../lib/tunnel/frames.ts";
import { receiptKind } from "../../lib/upload.ts";
import { NAMES_BODY_MAX } from "../../lib/wire/names.ts";
import { parseSigned, parseSignedJson } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  ManualClock,
  problemIn,
  publicationOf,
  settle,
  startTestNode,
  TestDns,
  type TestNode,
  type TestNodeOptions,
  until,
  uploadHeaders,
} from "./home-node-fixture.ts";
import { RelayedNode, viaOf } from "./relayed-node.ts";
import { Edge, randomHash } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let relay: TestNode;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  relay = await startRelay();
});
afterEach(() => cleanup.run());

function startRelay(options: TestNodeOptions = {}): Promise<TestNode> {
  return startTestNode(cleanup, dns, { clock, ...options });
}

async function relayTraffic() {
  return (await relay.node.status()).traffic.total.relay;
}

type Chunk = ReturnType<typeof chunkOf>;

async function bytesIn(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

describe("a home node without a listener", () => {
  let node: TestNode;

  /** It hears of the relay from an edge, which is gone then. */
  beforeEach(async () => {
    const edge = await Edge.start(cleanup, clock);
    node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url], listen: null } });
    const connection = await edge.connection(0);
    connection.challenge.node = node.id;
    const { key } = await relay.node.status();
    await connection.register([{ id: relay.id, key, url: relay.url }], { direct: false });
    await until("the node is relayed", () => {
      void look();
      return relayed.includes(node.id);
    });
  });
  let relayed: Hash[] = [];
  const look = async () => {
    relayed = ((await relay.node.status()).relayed ?? []).map(({ id }) => id);
  };

  const via = (path: string, init?: RequestInit) => viaOf(relay, node.id, path, init);

  async function put(chunk: Chunk, at = via): Promise<Response> {
    const headers = await uploadHeaders(node, await createPublisher(node), [chunk.hash]);
    return at(`/chunk/${chunk.hash}`, { method: "PUT", headers, body: chunk.bytes });
  }

  it("takes a chunk, and gives it, with the headers that a relay writes", async () => {
    const chunk = chunkOf(CHUNK_BYTES_MAX);
    const stored = await put(chunk);
    expect(stored.status).toBe(201);
    const receipt = await verifyStatement(receiptKind, parseSigned(parseSignedJson(await stored.json())));
    expect(receipt.body).toMatchObject({ node: node.id, chunks: [{ hash: chunk.hash }] });
    const got = await via(`/chunk/${chunk.hash}`);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": String(CHUNK_BYTES_MAX),
      "cache-control": "public, max-age=31536000, immutable",
      "content-security-policy": "default-src 'none'; sandbox",
      "x-content-type-options": "nosniff",
    });
    expect(await bytesIn(got)).toEqual(chunk.bytes);
    const head = await via(`/chunk/${chunk.hash}`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(CHUNK_BYTES_MAX)]);
  });

  it("takes a bundle and tells its name, its Version and the signature", async () => {
    const published = await publicationOf(node, "a/name");
    const posted = await via("/names", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ statements: [published.json], receipts: [] }),
    });
    expect([posted.status, await posted.json()]).toEqual([
      200,
      { results: [{ id: published.id, status: "accepted", witnesses: [] }] },
    ]);
    const named = await via(`/name/${published.nameHash}?domain=${DOMAIN}`);
    expect(await named.json()).toMatchObject({ domain: DOMAIN, versions: [published.json.version] });
    expect(await bytesIn(await via(`/version/${published.id}`))).toEqual(
      new Uint8Array(published.signed.bytes),
    );
    expect(await (await via(`/version/${published.id}.sig`)).text()).toBe(published.signed.signature);
    expect((await via(`/closest/${published.id}`)).status).toBe(200);
  });

  it("says in its own words what it does not have or do", async () => {
    expect(await problemIn(await via(`/chunk/${randomHash()}`))).toBe("404 not-found");
    const chunk = chunkOf(10);
    expect(await problemIn(await via(`/chunk/${chunk.hash}`, { method: "PUT", body: chunk.bytes }))).toBe(
      "401 grant-missing",
    );
    const body = JSON.stringify({ statements: [], receipts: [] });
    expect(await problemIn(await via("/names", { method: "POST", body }))).toBe("400 invalid-request");
  });

  it("is counted at the relay apart from the relay's own, and at the node as through a tunnel", async () => {
    const chunk = chunkOf(5000);
    // The two have met: cards have gone to and fro.
    const { direct } = (await relay.node.status()).traffic.total;
    const receiptBytes = (await bytesIn(await put(chunk))).length;
    await bytesIn(await via(`/chunk/${chunk.hash}`));
    expect((await relay.node.status()).traffic.total).toMatchObject({
      direct,
      relay: {
        in: { requests: 1, bytes: 10_000 + receiptBytes },
        out: { requests: 1, bytes: 10_000 + receiptBytes },
      },
    });
    expect((await node.node.status()).traffic.total.tunnel).toEqual({
      in: { requests: 1, bytes: 5000 },
      out: { requests: 1, bytes: 5000 },
    });
  });

  it("shows its relay to its volunteer", async () => {
    expect((await node.node.status()).relays).toMatchObject([
      { id: relay.id, url: relay.url, state: "registered", reason: "" },
    ]);
  });
});

describe("what a relay does not pass", () => {
  const hash = randomHash();

  it.each([
    ["POST", "/pull", "404 not-found"],
    ["GET", "/inventory", "404 not-found"],
    ["GET", "/inventory/1", "404 not-found"],
    ["GET", "/status", "404 not-found"],
    ["GET", "/", "404 not-found"],
    ["GET", "/node", "404 not-found"],
    ["GET", `/via/${hash}/status`, "404 not-found"],
    ["POST", "/contact", "404 not-found"],
    ["POST", "/providers", "404 not-found"],
    ["GET", "/names", "405 method-not-allowed"],
    ["DELETE", `/chunk/${hash}`, "405 method-not-allowed"],
    ["GET", "/chunk/..%2fstatus", "400 invalid-hash"],
    ["GET", `/name/${hash}`, "400 invalid-domain"],
  ])("%s %s is %s, and the node hears nothing", async (method, path, expected) => {
    const node = await RelayedNode.registered(relay, cleanup);
    expect(await problemIn(await node.via(path, { method }))).toBe(expected);
    expect(node.tunnelled).toEqual([]);
  });

  it("is what is for a node that it does not relay for", async () => {
    expect(await problemIn(await viaOf(relay, randomHash(), `/chunk/${hash}`))).toBe("404 not-found");
    expect(await problemIn(await fetch(`${relay.url}/via/x/chunk/${hash}`))).toBe("400 invalid-hash");
    expect(await problemIn(await fetch(`${relay.url}/via/${hash}`))).toBe("404 not-found");
  });

  it("is anything about the reader, and no header that means nothing to a node", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.answering({}, new Uint8Array(0));
    const headers = { Accept: "text/html", Cookie: "a=b", Authorization: "x", "Holdfast-Grant": "a grant" };
    await node.via(`/chunk/${hash}`, { headers });
    expect(node.came("request").map(({ head }) => head)).toEqual([
      { method: "GET", path: `/chunk/${hash}`, headers: [["holdfast-grant", "a grant"]], body: false },
    ]);
  });

  it.each([
    ["PUT", `/chunk/${hash}`, CHUNK_BYTES_MAX + 1, "413 chunk-too-large"],
    ["POST", "/names", NAMES_BODY_MAX + 1, "413 body-too-large"],
  ])("is more by %s %s than there may be, declared or not", async (method, path, size, expected) => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.onRequest(() => undefined);
    expect(await problemIn(await node.via(path, { method, body: new Uint8Array(size) }))).toBe(expected);
    expect(node.tunnelled).toEqual([]);
    // Undeclared it is only found out when it comes; the node takes it as fast as it can.
    const credit = setInterval(() => giveCredit(node), 5);
    cleanup.add(async () => clearInterval(credit));
    const body = new Blob([new Uint8Array(size)]).stream();
    const init = { method, body, duplex: "half" } as RequestInit;
    expect(await problemIn(await node.via(path, init))).toBe(expected);
  });

  /** For all data that came and was not paid for yet. */
  function giveCredit(node: RelayedNode): void {
    for (const { stream, bytes } of node.came("data").splice(paid))
      node.sendFrame({ type: "credit", stream, bytes: bytes.length });
    paid = node.came("data").length;
  }
  let paid = 0;
  beforeEach(() => {
    paid = 0;
  });
});

describe("a relayed node that", () => {
  const { bytes, hash } = chunkOf(10_000);
  const problemType: [string, string] = ["content-type", "application/problem+json"];
  const textOf = (text: string) => new TextEncoder().encode(text);

  it.each<[string, Partial<ResponseHead>, Uint8Array]>([
    ["sends other bytes", {}, chunkOf(10_000).bytes],
    ["sends a byte too many", {}, Buffer.concat([bytes, Buffer.from([0])])],
    ["sends a byte too few", {}, bytes.subarray(1)],
    ["sends none", {}, new Uint8Array(0)],
    ["sends no body", { body: false }, bytes],
    ["declares more than a chunk has", { headers: [["content-length", "2097153"]] }, bytes],
    ["sends the reader elsewhere", { status: 307, headers: [["location", "https://evil.example"]] }, bytes],
    ["answers with what no answer has", { status: 204, body: false }, bytes],
    ["fails without a reason", { status: 500 }, bytes],
    ["fails for a reason that does not parse", { status: 500, headers: [problemType] }, textOf("{")],
    ["tells a success as a failure", { headers: [problemType] }, textOf('{"code":"not-found"}')],
  ])("%s is 502 bad-answer, and no byte of it is given", async (_, head, body) => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.answering(head, body);
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("502 bad-answer");
    expect(node.closed).toBe(null);
  });

  it("sends a chunk larger than any is stopped before it is all read", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.onRequest((stream) => {
      node.sendFrame({ type: "response", stream, head: { status: 200, headers: [], body: true } });
      for (let sent = 0; sent < WINDOW_BYTES; sent += DATA_BYTES_MAX)
        node.sendFrame({ type: "data", stream, bytes: new Uint8Array(DATA_BYTES_MAX) });
    });
    const asked = node.via(`/chunk/${hash}`);
    const more = setInterval(() => {
      for (const { stream } of node.came("credit").splice(0, 1))
        node.sendFrame({ type: "data", stream, bytes: new Uint8Array(DATA_BYTES_MAX) });
    }, 5);
    cleanup.add(async () => clearInterval(more));
    expect(await problemIn(await asked)).toBe("502 bad-answer");
    expect(node.came("reset")[0]?.code).toBe("cancelled");
  });

  it("breaks the tunnel's rules loses its connection, and its reader hears so", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.onRequest((stream) => {
      const head = { status: 200, headers: [], body: true };
      for (let i = 0; i < 2; i++) node.sendFrame({ type: "response", stream, head });
    });
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("502 unreachable");
    expect(await node.refusal()).toBe("frame-malformed 4400");
  });

  it("hangs up midway is unreachable", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.onRequest((stream) => {
      node.sendFrame({ type: "response", stream, head: { status: 200, headers: [], body: true } });
      node.close();
    });
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("502 unreachable");
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("404 not-found");
  });

  it("gives a request up is unreachable for it, and for no other", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.onRequest((stream) => node.sendFrame({ type: "reset", stream, code: "internal" }));
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("502 unreachable");
    node.answering({}, bytes);
    expect(await bytesIn(await node.via(`/chunk/${hash}`))).toEqual(bytes);
  });

  it("says nothing is given up after a while", { timeout: 30_000 }, async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    expect(await problemIn(await node.via(`/chunk/${hash}`))).toBe("504 timeout");
    expect(node.came("reset")).toMatchObject([{ code: "timeout" }]);
  });

  it("is asked by a crowd answers as many as its connection has streams, and others are told to wait", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    const asked = Array.from({ length: STREAMS_MAX }, () => node.via(`/version/${hash}`));
    await until("they are all asked", () => node.came("request").length === STREAMS_MAX);
    const refused = await node.via(`/version/${hash}`);
    expect(refused.headers.get("retry-after")).not.toBe(null);
    expect(await problemIn(refused)).toBe("429 rate-limited");
    node.close();
    for (const response of await Promise.all(asked))
      expect(await problemIn(response)).toBe("502 unreachable");
  });

  it("and others keep the relay from holding more than it can", async () => {
    const nodes = await Promise.all([1, 2].map(() => RelayedNode.registered(relay, cleanup)));
    const [slow, other] = nodes;
    if (slow === undefined || other === undefined) throw new Error("there are two");
    const count = RELAYED_BYTES_MAX / CHUNK_BYTES_MAX;
    const asked = Array.from({ length: count }, () => slow.via(`/chunk/${hash}`));
    await until("they are all asked", () => slow.came("request").length === count);
    expect(await problemIn(await other.via(`/chunk/${hash}`))).toBe("429 rate-limited");
    slow.close();
    await Promise.all(asked);
    other.answering({}, bytes);
    // All that was held is free again.
    const again = await Promise.all(Array.from({ length: count }, () => other.via(`/chunk/${hash}`)));
    for (const response of again) expect(await bytesIn(response)).toEqual(bytes);
    expect((await other.via(`/chunk/${hash}`)).status).toBe(200);
  });
});

describe("the volunteer's pledge", () => {
  const { bytes, hash } = chunkOf(200_000);
  const RATE = 64 * 1024;

  async function givenBy(pledge: TestNodeOptions["pledge"]): Promise<RelayedNode> {
    relay = await startRelay(pledge === undefined ? {} : { pledge });
    const node = await RelayedNode.registered(relay, cleanup);
    node.answering({}, bytes);
    return node;
  }

  it.each(["uploadRate", "downloadRate"])("paces what is relayed: %s", async (rate) => {
    const node = await givenBy({ [rate]: RATE });
    let isRead = false;
    const read = node.via(`/chunk/${hash}`).then(bytesIn);
    void read.then(() => {
      isRead = true;
    });
    await until("the transfer waits", () => clock.sleepingUntil.some((ms) => ms > 1000 && ms < 3000));
    expect(isRead).toBe(false);
    await clock.advance(3000);
    expect(await read).toEqual(bytes);
  });

  it("moves no relayed chunk outside of its hours, and answers what is small", async () => {
    const node = await givenBy({ hours: { from: "22:00", to: "06:00" } });
    const refused = await node.via(`/chunk/${hash}`);
    expect(Number(refused.headers.get("retry-after"))).toBe(10 * 3600);
    expect(await problemIn(refused)).toBe("503 outside-hours");
    const init = { method: "PUT", body: bytes };
    expect(await problemIn(await node.via(`/chunk/${hash}`, init))).toBe("503 outside-hours");
    expect(await problemIn(await node.via("/chunk", init))).toBe("503 outside-hours");
    expect(node.tunnelled).toEqual([]);
    expect((await node.via(`/version/${hash}`)).status).not.toBe(503);
  });

  it("counts what was relayed in vain too, but not as a request", async () => {
    const node = await givenBy({});
    node.answering({}, bytes.subarray(1));
    await node.via(`/chunk/${hash}`);
    await settle();
    expect(await relayTraffic()).toEqual({
      in: { requests: 0, bytes: bytes.length - 1 },
      out: { requests: 0, bytes: 0 },
    });
  });
});
