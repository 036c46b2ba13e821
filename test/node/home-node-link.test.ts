// The home node's link to an edge, against a WebSocket server that plays the edge's side with lib's functions.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { encodeHash, type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import {
  type ChallengeState,
  CONTROL_FRAME_BYTES_MAX,
  type EdgeFrame,
  formatFrame,
  type NodeFrame,
  PING,
  PING_INTERVAL_MS,
  PONG,
  parseNodeFrame,
  type Registration,
  verifyRegistration,
} from "../../lib/registration.ts";
import type { Contact } from "../../lib/wire.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  createSigner,
  isoTime,
  ManualClock,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  until,
} from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let edge: Edge;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  edge = await Edge.start(clock);
});
afterEach(() => cleanup.run());

/** One accepted connection, and what came over it. */
class Connection {
  readonly socket: WebSocket;
  readonly path: string;
  readonly texts: string[] = [];
  readonly challenge: ChallengeState;
  closed: { code: number; reason: string } | null = null;
  answersPings = true;

  constructor(socket: WebSocket, path: string, challenge: ChallengeState) {
    this.socket = socket;
    this.path = path;
    this.challenge = challenge;
    socket.on("message", (data) => this.#onText(data.toString()));
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  send(frame: EdgeFrame): void {
    this.socket.send(formatFrame(frame));
  }

  sendChallenge(change: Partial<Extract<EdgeFrame, { type: "challenge" }>> = {}): void {
    const { edge: id, nonce, epoch, expiresMs } = this.challenge;
    this.send({ type: "challenge", edge: id, nonce, epoch, expires: isoTime(expiresMs), ...change });
  }

  /** Returns when both sides have handled what was under way, and what they answered to it. */
  async settle(): Promise<void> {
    for (let i = 0; i < 2 && this.closed === null; i++) {
      const over = new AbortController();
      const { signal } = over;
      this.socket.ping();
      await Promise.race([once(this.socket, "pong", { signal }), once(this.socket, "close", { signal })]);
      over.abort();
    }
  }

  frames(): NodeFrame[] {
    return this.texts.filter((text) => text !== PING).map(parseNodeFrame);
  }

  async registration(): Promise<Extract<NodeFrame, { type: "register" }>> {
    await until("a register frame comes", () => this.frames().length > 0);
    const [frame] = this.frames();
    if (frame?.type !== "register") throw new Error("expected a register frame");
    return frame;
  }

  /** Challenges the node, verifies its answer and registers it. */
  async register(contacts: Contact[] = []): Promise<Registration> {
    this.sendChallenge();
    const { body } = await verifyRegistration(
      await this.registration(),
      this.challenge,
      this.challenge.expiresMs,
    );
    this.send({ type: "registered", direct: true, reason: "", contacts });
    return body;
  }

  #onText(text: string): void {
    this.texts.push(text);
    if (text === PING && this.answersPings) this.socket.send(PONG);
  }
}

class Edge {
  readonly id = randomHash();
  readonly connections: Connection[] = [];
  readonly #clock: ManualClock;
  url = "";

  private constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  static async start(clock: ManualClock): Promise<Edge> {
    const edge = new Edge(clock);
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });
    server.on("connection", (socket, request) => edge.#accept(socket, request.url ?? ""));
    await once(server, "listening");
    cleanup.add(async () => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    edge.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return edge;
  }

  /** The next connection that is made, or has been made since the last call. */
  async connection(index: number): Promise<Connection> {
    await until(`connection ${index} is made`, () => this.connections.length > index);
    const connection = this.connections[index];
    if (connection === undefined) throw new Error("there is no such connection");
    return connection;
  }

  #accept(socket: WebSocket, path: string): void {
    const node = hashBytes(new Uint8Array()) as NodeId;
    const challenge = {
      node,
      edge: this.id,
      origin: this.url,
      nonce: randomHash(),
      epoch: this.connections.length + 1,
    };
    this.connections.push(
      new Connection(socket, path, { ...challenge, expiresMs: this.#clock.now() + 60_000 }),
    );
  }
}

function randomHash(): Hash {
  return encodeHash(new Uint8Array(randomBytes(32)));
}

async function startLinked(
  options: Parameters<typeof startTestNode>[2] = {},
): Promise<[TestNode, Connection]> {
  const node = await startTestNode(cleanup, dns, { clock, ...options, config: { edges: [edge.url] } });
  const connection = await edge.connection(0);
  connection.challenge.node = node.id;
  return [node, connection];
}

async function stateOf(node: TestNode): Promise<string> {
  return (await node.node.status()).edges[0]?.state ?? "";
}

async function untilState(node: TestNode, state: string): Promise<void> {
  let now = "";
  await until(`the link is ${state}`, () => {
    void stateOf(node).then((found) => {
      now = found;
    });
    return now === state;
  });
}

async function untilClosed(connection: Connection): Promise<{ code: number; reason: string }> {
  await until("the connection is closed", () => connection.closed !== null);
  return connection.closed ?? { code: 0, reason: "" };
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

  it("learns contacts whose id is their key's, and serves the closest of them", async () => {
    const [node, connection] = await startLinked();
    const [one, two, liar] = [await contactOf(), await contactOf(), await contactOf()];
    await connection.register([one, two, { ...liar, key: one.key }]);
    await untilState(node, "registered");
    const response = await fetch(`${node.url}/closest/${two.id}`);
    expect(await response.json()).toEqual({ nodes: [two, one] });
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

  it("serves several edges at once", async () => {
    const second = await Edge.start(clock);
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
      delays.push(...clock.sleepingUntil);
      await clock.advance(clock.sleepingUntil[0] ?? 0);
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    const stable = await edge.connection(9);
    stable.challenge.node = node.id;
    await stable.register();
    await untilState(node, "registered");
    await pass(stable, 60_000);
    stable.socket.terminate();
    await untilState(node, "waiting");
    expect(clock.sleepingUntil).toEqual([500]);
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
