// The home node's link to an edge, against a WebSocket server that plays the edge's side with lib's functions.

import type { LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import {
  type ChallengeState,
  CONTROL_FRAME_BYTES_MAX,
  PING,
  PING_INTERVAL_MS,
  verifyRegistration,
} from "../../lib/registration.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  createSigner,
  ManualClock,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  until,
} from "./home-node-fixture.ts";
import { closestAt, untilContacts } from "./overlay-fixture.ts";
import { type Connection, Edge, randomHash, stateOf, untilClosed, untilState } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let edge: Edge;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  edge = await Edge.start(cleanup, clock);
});
afterEach(() => cleanup.run());

async function startLinked(
  options: Parameters<typeof startTestNode>[2] = {},
): Promise<[TestNode, Connection]> {
  const node = await startTestNode(cleanup, dns, { clock, ...options, config: { edges: [edge.url] } });
  const connection = await edge.connection(0);
  connection.challenge.node = node.id;
  return [node, connection];
}

/** Lets time pass while the edge answers. */
async function pass(connection: Connection, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 5_000) {
    await connection.settle();
    await clock.advance(Math.min(left, 5_000));
  }
  await connection.settle();
}

async function contactOf(): Promise<Contact> {
  const { key } = await createSigner();
  return { id: nodeIdOf(key), key: formatPublicKeyText(key), url: null };
}

describe("a link to an edge", () => {
  it("connects under the node's id and answers the challenge with what it offers", async () => {
    const [node, connection] = await startLinked();
    expect(connection.path).toBe(`/node?id=${node.id}`);
    const registration = await connection.register();
    const { pledge, freeBytes } = await node.node.status();
    expect(registration).toMatchObject({ node: node.id, edge: edge.id, url: node.url, pledge, freeBytes });
    await untilState(node, "registered");
    expect((await node.node.status()).edges).toMatchObject([{ url: edge.url, edge: edge.id, direct: true }]);
  });

  it("resolves an edge's host as the volunteer's machine does: strangers' hosts are others", async () => {
    const strangerLookup: LookupFunction = (_host, _options, callback) => callback(new Error("asked"), "");
    const edges = [edge.url.replace("127.0.0.1", "localhost")];
    await startTestNode(cleanup, dns, { clock, deps: { strangerLookup }, config: { edges } });
    expect((await edge.connection(0)).path).toMatch(/^\/node/);
  });

  it("signs nothing that another challenge would accept", async () => {
    const [, connection] = await startLinked();
    connection.sendChallenge();
    const frame = await connection.registration();
    const { challenge } = connection;
    const others: Partial<ChallengeState>[] = [
      { nonce: randomHash() },
      { edge: randomHash() },
      { origin: "http://other.test" },
      { epoch: 2 },
      { node: hashBytes(new Uint8Array(1)) as NodeId },
    ];
    for (const change of others) {
      const checked = verifyRegistration(frame, { ...challenge, ...change }, clock.now());
      await expect(checked).rejects.toMatchObject({ code: "registration-replayed" });
    }
    await expect(verifyRegistration(frame, challenge, clock.now())).resolves.toBeDefined();
  });

  it("does not answer a second challenge on one connection", async () => {
    const [, connection] = await startLinked();
    connection.sendChallenge();
    await connection.registration();
    connection.sendChallenge({ nonce: randomHash() });
    expect((await untilClosed(connection)).code).toBe(1002);
    expect(connection.frames()).toHaveLength(1);
  });

  it("does not take `registered` for an answer to nothing", async () => {
    const [node, connection] = await startLinked();
    connection.send({ type: "registered", direct: true, reason: "", contacts: [] });
    expect((await untilClosed(connection)).code).toBe(1002);
    expect(await stateOf(node)).toBe("waiting");
  });

  const record: NodeRecord = {
    ...{ standing: 0.75, passed: 29, failed: 1, chunkHours: 240, servedBytes: 5, takenBytes: 6 },
    ...{ firstSeen: "2026-01-02T03:04:05.678Z", uptime: 0.5 },
    events: [{ time: "2026-01-02T03:04:05.678Z", chunk: randomHash(), code: "missing" }],
  };

  it("shows what the edge says of how it stands", async () => {
    const [node, connection] = await startLinked();
    await connection.register();
    await untilState(node, "registered");
    expect((await node.node.status()).edges).toMatchObject([{ record: null, standing: { audits: null } }]);
    connection.send({ type: "record", record });
    await vi.waitUntil(async () => (await node.node.status()).edges[0]?.record !== null);
    const [shown] = (await node.node.status()).edges;
    expect(shown).toMatchObject({ record, standing: { audits: { passed: 29, failed: 1 } } });
  });

  it("takes no word on how it stands before it is registered", async () => {
    const [node, connection] = await startLinked();
    connection.send({ type: "record", record });
    expect((await untilClosed(connection)).code).toBe(1002);
    expect((await node.node.status()).edges).toMatchObject([{ record: null }]);
  });

  it("learns contacts that answer where the edge says, and serves the closest of them", async () => {
    const [node, connection] = await startLinked();
    const other = await startTestNode(cleanup, dns, { clock });
    const { key } = await other.node.status();
    const told = { id: other.id, key, url: other.url };
    const [absent, liar] = [await contactOf(), await contactOf()];
    await connection.register([absent, { ...liar, url: other.url }, { ...liar, key, url: other.url }, told]);
    await untilContacts([node, other], 1);
    expect(await closestAt(node, liar.id)).toEqual([told]);
  });

  it("says why a refused registration was refused, and tries again", async () => {
    const [node, connection] = await startLinked();
    connection.send({ type: "refused", code: "registration-invalid", detail: "no room for you" });
    expect((await untilClosed(connection)).code).toBe(1000);
    await untilState(node, "waiting");
    expect((await node.node.status()).edges[0]?.reason).toContain("no room for you");
    await clock.advance(1_000);
    await edge.connection(1);
  });

  it("closes with 1001 when the node stops", async () => {
    const [node, connection] = await startLinked();
    await connection.register();
    await node.node.stop();
    expect((await untilClosed(connection)).code).toBe(1001);
    expect(edge.connections).toHaveLength(1);
  });

  it("stops while it waits to connect again", async () => {
    const [node, connection] = await startLinked();
    connection.socket.terminate();
    await untilState(node, "waiting");
    await node.node.stop();
    await clock.advance(120_000);
    expect(edge.connections).toHaveLength(1);
  });

  it("hears why it is relayed, and says what to do about it, as long as it is linked", async () => {
    const [node, connection] = await startLinked();
    await connection.register([], { direct: false, code: "url-not-https", reason: "must be https" });
    await untilState(node, "registered");
    const relayed = { direct: false, code: "url-not-https", reason: "must be https" };
    const [linked] = (await node.node.status()).edges;
    expect(linked).toMatchObject({ ...relayed, advice: expect.stringContaining("--url https://") });
    connection.socket.terminate();
    await untilState(node, "waiting");
    expect((await node.node.status()).edges).toMatchObject([{ direct: false, code: null, advice: null }]);
  });

  it.each([
    ["an edge that gives no code", {}],
    ["a later edge's code", { code: "on-the-moon" }],
  ])("takes %s for no code, and keeps the words", async (_what, answer) => {
    const [node, connection] = await startLinked();
    await connection.register([], { direct: false, reason: "too far away", ...answer });
    await untilState(node, "registered");
    expect((await node.node.status()).edges).toMatchObject([
      { state: "registered", direct: false, code: null, reason: "too far away", advice: null },
    ]);
  });

  it("closes the connection over a code that is none", async () => {
    const [, connection] = await startLinked();
    await connection.register([], { code: "Not A Code" });
    expect((await untilClosed(connection)).code).toBe(1007);
  });

  it("serves several edges at once", async () => {
    const second = await Edge.start(cleanup, clock);
    const node = await startTestNode(cleanup, dns, { clock, config: { edges: [edge.url, second.url] } });
    for (const one of [edge, second]) {
      const connection = await one.connection(0);
      connection.challenge.node = node.id;
      expect((await connection.register()).edge).toBe(one.id);
    }
  });
});

describe("a link that breaks", () => {
  it("connects again, at growing intervals, and answers the new challenge", async () => {
    const [node, first] = await startLinked();
    await first.register();
    first.socket.terminate();
    await untilState(node, "waiting");
    await clock.advance(499); // half of the first interval: random is 0.5
    expect(edge.connections).toHaveLength(1);
    await clock.advance(1);
    (await edge.connection(1)).socket.terminate();
    await untilState(node, "waiting");
    await clock.advance(999);
    expect(edge.connections).toHaveLength(2);
    await clock.advance(1);
    const third = await edge.connection(2);
    third.challenge.node = node.id;
    await third.register();
    await untilState(node, "registered");
  });

  it("waits a minute at most, and starts anew after a registration of a minute", async () => {
    const [node] = await startLinked();
    const delays: number[] = [];
    for (let i = 0; i < 9; i++) {
      (await edge.connection(i)).socket.terminate();
      await untilState(node, "waiting");
      const [next = 0] = clock.sleepingUntil;
      delays.push(next);
      await clock.advance(next);
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    const stable = await edge.connection(9);
    stable.challenge.node = node.id;
    await stable.register();
    await untilState(node, "registered");
    await pass(stable, 60_000);
    stable.socket.terminate();
    await untilState(node, "waiting");
    expect(clock.sleepingUntil).toContain(500);
  });

  it("pings as often as the protocol says", async () => {
    const [, connection] = await startLinked();
    await connection.register();
    await connection.settle();
    const pings = () => connection.texts.filter((text) => text === PING).length;
    for (let count = 1; count < 4; count++) {
      expect(pings()).toBe(count);
      await pass(connection, PING_INTERVAL_MS - 1);
      expect(pings()).toBe(count);
      await pass(connection, 1);
    }
  });

  it("is dropped when a ping is not answered", async () => {
    const [node, connection] = await startLinked();
    await connection.register();
    await connection.settle(); // the ping that the node sends first is answered
    connection.answersPings = false;
    await pass(connection, PING_INTERVAL_MS + 10_000 - 1);
    expect(connection.closed).toBeNull();
    await clock.advance(1);
    await untilClosed(connection);
    await untilState(node, "waiting");
    expect((await node.node.status()).edges[0]?.reason).toBe("the edge did not answer a ping");
  });

  it("is dropped when the edge never challenges it", async () => {
    const [node, connection] = await startLinked();
    await pass(connection, 44_999);
    expect(connection.closed).toBeNull();
    await clock.advance(1);
    await untilClosed(connection);
    expect((await node.node.status()).edges[0]?.reason).toContain("did not register");
  });

  it.each([
    ["text that is not JSON", "hello", 1007],
    ["a frame of no known type", '{"type":"hello"}', 1007],
    ["a frame with a field too many", '{"type":"refused","code":"a","detail":"b","more":1}', 1007],
    ["a frame with deep nesting", "[".repeat(1000), 1007],
    ["a binary frame", new Uint8Array(3), 1003],
    ["a frame over the limit", "x".repeat(CONTROL_FRAME_BYTES_MAX + 1), 1009],
  ])("is closed with a code after %s", async (_what, data, code) => {
    const [node, connection] = await startLinked();
    connection.socket.send(data);
    expect((await untilClosed(connection)).code).toBe(code);
    await untilState(node, "waiting");
  });

  it("takes no compressed frames from an edge that offers them", async () => {
    const [, connection] = await startLinked();
    expect(connection.socket.extensions).toBe("");
  });
});

describe("room", () => {
  it("is reported once a minute at most, and when it changed by a tenth of the pledge", async () => {
    const [node, connection] = await startLinked({ pledge: { bytes: 10_000 } });
    await connection.register();
    await untilState(node, "registered");
    const publisher = await createPublisher(node);
    const rooms = () =>
      connection.frames().flatMap((frame) => (frame.type === "room" ? [frame.freeBytes] : []));
    await putChunk(node, publisher, chunkOf(900));
    await pass(connection, 60_000);
    expect(rooms()).toEqual([]);
    await putChunk(node, publisher, chunkOf(200));
    await pass(connection, 59_999);
    expect(rooms()).toEqual([]);
    await pass(connection, 1);
    await until("the room is reported", () => rooms().length > 0);
    expect(rooms()).toEqual([8_900]);
  });
});
