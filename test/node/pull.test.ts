// A home node that copies chunks on an edge's order: through the tunnel only, within its pledge and its repair rate, and
// from wherever the edge may send it. The sources are real listeners.

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PULL_WAIT_MAX_MS } from "../../home-node/server/pull.ts";
import { NEXT_SOURCE_MS } from "../../home-node/server/source-race.ts";
import { digestOf } from "../../home-node/store/digest.ts";
import { originSentTo } from "../../lib/client/holders.ts";
import {
  PULL_TIMEOUT_MS,
  type PullAnswer,
  type PullOrder,
  parsePullAnswer,
} from "../../lib/durability/pull.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { ParityEncoder } from "../../lib/redundancy/reed-solomon.ts";
import { verifyReceipt } from "../../lib/upload.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  DOMAIN,
  ManualClock,
  OTHER_DOMAIN,
  problemIn,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  type TestNodeOptions,
} from "./home-node-fixture.ts";
import { type Connection, Edge, randomHash, untilState } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let edge: Edge;
let node: TestNode;
let connection: Connection;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  edge = await Edge.start(cleanup, clock);
});
afterEach(() => cleanup.run());

async function startNode(options: TestNodeOptions = {}): Promise<void> {
  node = await startTestNode(cleanup, dns, {
    clock,
    ...options,
    config: { edges: [edge.url], ...options.config },
  });
  connection = await edge.connection(0);
  connection.challenge.node = node.id;
  await connection.register();
  await untilState(node, "registered");
}

/** A real node that holds a chunk. */
async function startSource(chunk = chunkOf(100_000)): Promise<{ source: TestNode; chunk: typeof chunk }> {
  const source = await startTestNode(cleanup, dns, { clock });
  expect((await putChunk(source, await createPublisher(source), chunk)).status).toBe(201);
  return { source, chunk };
}

/** A listener that answers every request so, and counts them. */
async function startLiar(
  answer: (url: string) => { status: number; headers?: Record<string, string>; body?: Uint8Array },
): Promise<{ url: string; id: NodeId; asked: string[] }> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const { status, headers = {}, body } = answer(request.url ?? "");
    response.writeHead(status, headers).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup.add(async () => server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, id: randomHash() as NodeId, asked };
}

/** A listener that begins an answer and never ends it. */
async function startStalled(
  begin: Uint8Array,
): Promise<{ url: string; id: NodeId; asked: string[]; isLeft: Promise<boolean> }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.on("close", () => server.emit("left"));
    response.writeHead(200).write(begin);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const isLeft = once(server, "left").then(() => true);
  cleanup.add(async () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, id: randomHash() as NodeId, asked, isLeft };
}

function orderOf(chunk: ReturnType<typeof chunkOf>, sources: PullOrder["sources"]): PullOrder {
  return { chunk: chunk.hash, size: chunk.bytes.length, domain: DOMAIN, sources };
}

/** Sends an order through the tunnel, as the edge does. */
async function order(body: unknown): Promise<Response> {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const blocks = [bytes];
  const reader = {
    read: async () => {
      const value = blocks.shift();
      return value === undefined ? { done: true } : { done: false, value };
    },
    cancel: async () => undefined,
  };
  const answer = await connection.opener.request({
    head: { method: "POST", path: "/pull", headers: [["content-type", "application/json"]] },
    body: reader,
  });
  return new Response(answer.body as ReadableStream | null, {
    status: answer.status,
    headers: answer.headers,
  });
}

async function pulled(body: PullOrder): Promise<PullAnswer> {
  const response = await order(body);
  expect(response.status).toBe(200);
  return parsePullAnswer(await response.json());
}

describe("an order to copy a chunk", () => {
  it("is carried out from a node's own URL, and answered with a receipt for what is on disk", async () => {
    await startNode();
    const { source, chunk } = await startSource();
    const { receipt, failed } = await pulled(orderOf(chunk, [{ id: source.id, url: source.url }]));
    if (receipt === null) throw new Error("a receipt is expected");
    const { body } = await verifyReceipt(parseSigned(receipt), clock.now());
    expect(body).toMatchObject({
      ...{ node: node.id, domain: DOMAIN },
      chunks: [{ hash: chunk.hash, size: chunk.bytes.length }],
    });
    expect(failed).toEqual([]);
    expect((await fetch(`${node.url}/chunk/${chunk.hash}`)).status).toBe(200);
  });

  it("of a chunk that is here already costs nothing but the receipt", async () => {
    await startNode();
    const { source, chunk } = await startSource();
    await pulled(orderOf(chunk, [{ id: source.id, url: source.url }]));
    await source.node.stop();
    const again = await pulled(orderOf(chunk, [{ id: source.id, url: source.url }]));
    expect(again).toMatchObject({ receipt: expect.anything(), failed: [] });
  });

  it("says which sources failed and how, and takes the chunk from the first that gives it", async () => {
    await startNode();
    const { source, chunk } = await startSource();
    const bad = await Promise.all([
      startLiar(() => ({
        status: 404,
        headers: { "content-type": "application/problem+json" },
        body: gone(),
      })),
      startLiar(() => ({ status: 200, body: chunk.bytes.map((byte) => byte ^ 1) })),
      startLiar(() => ({ status: 200, body: new Uint8Array([...chunk.bytes, 1]) })),
      startLiar(() => ({ status: 302, headers: { location: `${source.url}/chunk/${chunk.hash}` } })),
    ]);
    const sources = [...bad, source].map(({ id, url }) => ({ id, url }));
    const { receipt, failed } = await pulled(orderOf(chunk, sources));
    expect(receipt).not.toBeNull();
    expect(failed.map(({ code }) => code)).toEqual(["missing", "corrupt", "corrupt", "unreachable"]);
    expect(failed.map(({ id }) => id)).toEqual(bad.map(({ id }) => id));
  });

  it("from the next source beside one that takes long, which is no failure of it", async () => {
    await startNode();
    const { source, chunk } = await startSource();
    const slow = await startStalled(chunk.bytes.subarray(0, 10));
    const sources = [slow, source].map(({ id, url }) => ({ id, url }));
    const given = pulled(orderOf(chunk, sources));
    await untilSleeping(NEXT_SOURCE_MS);
    expect((await fetch(`${node.url}/chunk/${chunk.hash}`)).status).toBe(404);
    await clock.advance(NEXT_SOURCE_MS);
    const { receipt, failed } = await given;
    expect(receipt).not.toBeNull();
    expect(failed).toEqual([]);
    expect(await slow.isLeft).toBe(true);
  });

  it("from at most three at once, and not for longer than 45 seconds", async () => {
    await startNode();
    const chunk = chunkOf(1000);
    const stalled = await Promise.all([1, 2, 3, 4].map(() => startStalled(new Uint8Array(10))));
    const sources = stalled.map(({ id, url }) => ({ id, url }));
    const given = pulled(orderOf(chunk, sources));
    for (let waitedMs = 0; waitedMs < PULL_TIMEOUT_MS; waitedMs += NEXT_SOURCE_MS) {
      await untilSleeping(NEXT_SOURCE_MS);
      await clock.advance(NEXT_SOURCE_MS);
    }
    expect((await given).receipt).toBeNull();
    expect(stalled.map(({ asked }) => asked.length)).toEqual([1, 1, 1, 0]);
  });

  it("without a source that gives it leaves nothing behind, and no receipt", async () => {
    await startNode();
    const chunk = chunkOf(1000);
    const liar = await startLiar(() => ({ status: 200, body: new Uint8Array(1000) }));
    expect(
      await pulled(
        orderOf(
          chunk,
          [liar].map(({ id, url }) => ({ id, url })),
        ),
      ),
    ).toEqual({
      receipt: null,
      failed: [{ id: liar.id, code: "corrupt" }],
    });
    expect((await fetch(`${node.url}/chunk/${chunk.hash}`)).status).toBe(404);
  });
});

describe("an order for a chunk of a stripe that nobody gives", () => {
  const chunks = [chunkOf(3000), chunkOf(5000), chunkOf(4000)];
  const encoder = new ParityEncoder(2, 5000);
  for (const { bytes } of chunks) encoder.add(bytes);
  const parity = encoder.finish().map((bytes) => ({ bytes, hash: digestOf(bytes) }));
  const [lost = chunkOf(1)] = chunks;

  /** An order by which the others can be had from a node, those of `without` excepted. */
  async function stripedOrder(without: Hash[] = []): Promise<PullOrder> {
    const source = await startTestNode(cleanup, dns, { clock });
    const publisher = await createPublisher(source);
    const members = (those: typeof chunks) =>
      Promise.all(
        those.map(async (chunk) => {
          const { hash, bytes } = chunk;
          const isThere = hash !== lost.hash && !without.includes(hash);
          if (isThere) expect((await putChunk(source, publisher, chunk)).status).toBe(201);
          return { hash, size: bytes.length, sources: [{ id: source.id, url: source.url }] };
        }),
      );
    const stripe = { data: await members(chunks), parity: await members(parity) };
    return { ...orderOf(lost, []), stripe };
  }

  it("has it made anew from the others, and kept", async () => {
    await startNode();
    expect((await pulled(await stripedOrder())).receipt).not.toBeNull();
    const read = await fetch(`${node.url}/chunk/${lost.hash}`);
    expect(Buffer.from(await read.arrayBuffer()).equals(lost.bytes)).toBe(true);
  });

  it("is left to others by a line that would take too long for so many", async () => {
    await startNode({ config: { repairRate: 64 * 1024 } });
    const large = Array.from({ length: 4 }, () => chunkOf(1_000_000));
    const member = ({ hash, bytes }: (typeof large)[number]) => ({ hash, size: bytes.length, sources: [] });
    const [wanted, ...others] = large;
    if (wanted === undefined) throw new Error("no chunk");
    const stripe = { data: [...others, wanted].map(member), parity: [member(chunkOf(1_000_000))] };
    const refused = await order({ ...orderOf(wanted, []), stripe });
    expect(await problemIn(refused)).toBe("429 rate-limited");
    // Control: one chunk of that size is not too much for it.
    const asked = pulled({
      ...orderOf(
        wanted,
        [await startStalled(new Uint8Array(1))].map(({ id, url }) => ({ id, url })),
      ),
    });
    await untilSleeping(PULL_WAIT_MAX_MS + 1, PULL_TIMEOUT_MS);
    await clock.advance(2 * PULL_TIMEOUT_MS);
    expect((await asked).receipt).toBeNull();
  });

  it("makes it from whichever are left, and nothing of too few", async () => {
    await startNode();
    const without = (count: number) => parity.slice(0, count).map(({ hash }) => hash);
    expect(await pulled(await stripedOrder(without(2)))).toEqual({ receipt: null, failed: [] });
    expect((await fetch(`${node.url}/chunk/${lost.hash}`)).status).toBe(404);
    expect((await pulled(await stripedOrder(without(1)))).receipt).not.toBeNull();
  });
});

describe("an order is refused", () => {
  it("from whoever comes by the listener: there is nothing at the path", async () => {
    await startNode();
    const { source, chunk } = await startSource();
    const body = JSON.stringify(orderOf(chunk, [{ id: source.id, url: source.url }]));
    const direct = await fetch(`${node.url}/pull`, { method: "POST", body });
    expect(await problemIn(direct)).toBe("404 not-found");
    expect((await fetch(`${node.url}/chunk/${chunk.hash}`)).status).toBe(404);
    // The control: the same order through the tunnel.
    expect((await order(JSON.parse(body))).status).toBe(200);
  });

  it("for a domain outside the pledge, a denied chunk, and what there is no room for", async () => {
    await startNode({ pledge: { domains: [DOMAIN], bytes: 150_000 } });
    const { source, chunk } = await startSource();
    const sources = [{ id: source.id, url: source.url }];
    expect(await problemIn(await order({ ...orderOf(chunk, sources), domain: OTHER_DOMAIN }))).toBe(
      "403 domain-not-accepted",
    );
    const large = chunkOf(200_000);
    expect(await problemIn(await order(orderOf(large, sources)))).toBe("507 quota-exceeded");
    expect(await problemIn(await order({ ...orderOf(chunk, sources), size: 0 }))).toBe("400 invalid-request");
    expect((await pulled(orderOf(chunk, sources))).receipt).not.toBeNull();
  });

  it("past the repair rate, and taken again when its debt is paid", async () => {
    await startNode({ config: { repairRate: 64 * 1024 } });
    const chunks = [chunkOf(500_000), chunkOf(1000)];
    const orders = await Promise.all(
      chunks.map(async (chunk) => {
        const { source } = await startSource(chunk);
        return orderOf(chunk, [{ id: source.id, url: source.url }]);
      }),
    );
    const [first, second] = orders;
    const slow = order(first);
    await untilSleeping(PULL_WAIT_MAX_MS + 1, 9000);
    const refused = await order(second);
    expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(await problemIn(refused)).toBe("429 rate-limited");
    await clock.advance(10_000);
    expect((await slow).status).toBe(200);
    expect((await order(second)).status).toBe(200);
  });
});

describe("where an order may lead", () => {
  it("is this machine only where the edge is on it: the control knocks, the order of another edge does not", async () => {
    const knocked = await startLiar(() => ({ status: 404 }));
    expect(originSentTo(knocked.url, "https://edge.example.org")).toBeNull();
    expect(originSentTo(knocked.url, edge.url)).toBe(knocked.url);
    await startNode();
    const chunk = chunkOf(10);
    await pulled(orderOf(chunk, [{ id: knocked.id, url: "http://10.0.0.1:80" }]));
    expect(knocked.asked).toEqual([]);
    await pulled(orderOf(chunk, [{ id: knocked.id, url: knocked.url }]));
    expect(knocked.asked).toEqual([`/chunk/${chunk.hash}`]);
  });
});

function gone(): Uint8Array {
  const problem = { type: "about:blank", status: 404, code: "not-found", detail: "not here" };
  return new TextEncoder().encode(JSON.stringify(problem));
}

/** Until somebody sleeps for that long: in milliseconds, `fromMs` to `toMs`. */
async function untilSleeping(fromMs: number, toMs = fromMs): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!clock.sleepingUntil.some((ms) => ms >= fromMs && ms <= toMs)) {
    if (performance.now() > deadline) throw new Error(`nobody sleeps for ${fromMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
