// Registering at a home node to be relayed for, over real sockets: who comes in, who does not, and how many.

import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EPOCHS_PER_WRITE } from "../../home-node/relay/epochs.ts";
import {
  PENDING_PER_CALLER_MAX,
  PENDING_RELAYED_MAX,
  RELAYED_NODES_MAX,
  RELAYED_PER_CALLER_MAX,
} from "../../home-node/relay/relay.ts";
import {
  CHALLENGE_LIFETIME_MS,
  CONTROL_FRAME_BYTES_MAX,
  PING,
  type Registration,
  SILENCE_MAX_MS,
} from "../../lib/registration.ts";
import { encodeFrame, FRAME_BYTES_MAX, type RequestHead } from "../../lib/tunnel/frames.ts";
import {
  Cleanup,
  createSigner,
  ManualClock,
  problemIn,
  startTestNode,
  TestDns,
  type TestNode,
  type TestNodeOptions,
  until,
} from "./home-node-fixture.ts";
import { RelayedNode, viaOf } from "./relayed-node.ts";
import { randomHash } from "./test-edge.ts";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;
let relay: TestNode;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
  relay = await start();
});
afterEach(() => cleanup.run());

function start(options: TestNodeOptions = {}): Promise<TestNode> {
  return startTestNode(cleanup, dns, { clock, ...options });
}

function newNode(at = relay): Promise<RelayedNode> {
  return RelayedNode.create(at, cleanup);
}

async function relayed(at = relay): Promise<string[]> {
  return ((await at.node.status()).relayed ?? []).map(({ id }) => id);
}

/** Such as "101", or "404 not-found". */
function upgradeAt(url: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        ...headers,
      },
    });
    asked.on("upgrade", ({ statusCode }, socket) => {
      socket.destroy();
      resolve(String(statusCode));
    });
    asked.on("response", async (response) => {
      const body = Buffer.concat(await response.toArray()).toString();
      resolve(`${response.statusCode} ${body.startsWith("{") ? JSON.parse(body).code : body}`);
    });
    asked.on("error", reject);
    asked.end();
  });
}

describe("a node that registers", () => {
  it("is challenged by the relay's id, and told that its URL was not tried", async () => {
    const node = await newNode();
    const challenge = await node.connect();
    expect(challenge.edge).toBe(relay.id);
    node.send(await node.answer(challenge));
    expect(await node.heard("registered")).toMatchObject({ direct: false, contacts: [] });
    expect(await relayed()).toEqual([node.id]);
  });

  it("is answered its pings, and dropped when it is silent for too long", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    await clock.advance(SILENCE_MAX_MS - 1000);
    node.send(PING);
    await until("a pong comes", () => node.pongs === 1);
    await clock.advance(SILENCE_MAX_MS - 1000);
    expect(await relayed()).toEqual([node.id]);
    await clock.advance(1000);
    expect(await node.refusal()).toBe("timeout 4400");
    await until("the relay has forgotten it", () => node.closed !== null);
    expect(await relayed()).toEqual([]);
  });

  it("takes the place of its older connection, by an epoch that is above it", async () => {
    const older = await RelayedNode.registered(relay, cleanup);
    const newer = await RelayedNode.create(relay, cleanup, older.signer);
    const challenge = await newer.connect();
    expect(challenge.epoch).toBeGreaterThan((older.frames[0] as typeof challenge).epoch);
    newer.send(await newer.answer(challenge));
    await newer.heard("registered");
    expect((await older.untilClosed()).code).toBe(4409);
    expect(await relayed()).toEqual([newer.id]);
  });

  it("does not take the place of a newer one, however late it answers", async () => {
    const older = await newNode();
    const challenge = await older.connect();
    const newer = await RelayedNode.create(relay, cleanup, older.signer);
    await newer.join();
    older.send(await older.answer(challenge));
    expect(await older.refusal()).toBe("registration-replayed 4400");
    expect(newer.closed).toBe(null);
  });

  it("gets no epoch twice, though the relay was started again", async () => {
    const { epoch } = await (await newNode()).connect();
    await relay.node.stop();
    relay = await start({ dir: relay.dir });
    const again = await (await newNode()).connect();
    expect(again.epoch).toBeGreaterThan(epoch);
    expect(again.epoch).toBeLessThanOrEqual(epoch + EPOCHS_PER_WRITE);
  });

  it("hears that the relay goes away", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    await relay.node.stop();
    expect((await node.untilClosed()).code).toBe(1001);
  });
});

describe("a registration is refused", () => {
  it.each<[string, Partial<Registration>, string]>([
    ["of another edge or relay", { edge: randomHash() }, "registration-replayed"],
    ["of another origin", { origin: "http://127.0.0.1:1" }, "registration-replayed"],
    ["of another nonce", { nonce: randomHash() }, "registration-replayed"],
    ["of another epoch", { epoch: 1_000_000 }, "registration-replayed"],
    ["of another node", { node: randomHash() as Registration["node"] }, "registration-invalid"],
  ])("%s", async (_, changes, code) => {
    const node = await newNode();
    node.send(await node.answer(await node.connect(), changes));
    expect(await node.refusal()).toBe(`${code} 4400`);
    expect(await relayed()).toEqual([]);
  });

  it("signed by another key than the node's that the connection is of", async () => {
    const victim = await RelayedNode.registered(relay, cleanup);
    const thief = await RelayedNode.create(relay, cleanup);
    Object.defineProperty(thief, "id", { value: victim.id });
    thief.send(await thief.answer(await thief.connect()));
    expect(await thief.refusal()).toBe("registration-invalid 4400");
    expect(victim.closed).toBe(null);
    expect(await relayed()).toEqual([victim.id]);
  });

  it("whose signature is of other bytes", async () => {
    const node = await newNode();
    const challenge = await node.connect();
    const genuine = JSON.parse(await node.answer(challenge));
    const other = JSON.parse(await node.answer(challenge, { freeBytes: 1 }));
    const { statement } = genuine.registration;
    node.send(JSON.stringify({ type: "register", registration: { ...other.registration, statement } }));
    expect(await node.refusal()).toBe("invalid-signature 4400");
  });

  it("that was shown before, on the same connection or another", async () => {
    const node = await newNode();
    const frame = await node.answer(await node.connect());
    node.send(frame);
    await node.heard("registered");
    const replayed = await RelayedNode.create(relay, cleanup, node.signer);
    await replayed.connect();
    replayed.send(frame);
    expect(await replayed.refusal()).toBe("registration-replayed 4400");
    node.send(frame);
    expect(await node.refusal()).toBe("registration-replayed 4400");
  });

  it("that was signed for another relay, which passes it on", async () => {
    const other = await start();
    const node = await newNode();
    // The other relay opens a connection in the node's name, and hands the challenge on as its own.
    const challenge = await node.connect();
    const fooled = await RelayedNode.create(other, cleanup, node.signer);
    node.send(await fooled.answer({ ...challenge, edge: other.id }));
    expect(await node.refusal()).toBe("registration-replayed 4400");
    const dialled = await newNode();
    dialled.send(await dialled.answer(await dialled.connect(), { origin: other.url }));
    expect(await dialled.refusal()).toBe("registration-replayed 4400");
  });

  it("that comes too late", async () => {
    const node = await newNode();
    const challenge = await node.connect();
    await clock.advance(CHALLENGE_LIFETIME_MS + 1);
    expect(await node.refusal()).toBe("registration-expired 4400");
    node.send(await node.answer(challenge));
    expect(await relayed()).toEqual([]);
  });
});

describe("a connection is closed that sends", () => {
  it.each<[string, string | Uint8Array, string]>([
    ["what is no JSON", "{", "frame-malformed 4400"],
    ["a frame of the relay's", '{"type":"refused","code":"x","detail":""}', "frame-malformed 4400"],
    ["more than a control frame has", " ".repeat(CONTROL_FRAME_BYTES_MAX + 1), "frame-too-large 4400"],
    ["its room before it has registered", '{"type":"room","freeBytes":1}', "registration-invalid 4400"],
    ["the tunnel's frames before", encodeFrame({ type: "end", stream: 1 }), "registration-invalid 4400"],
  ])("%s", async (_, message, expected) => {
    const node = await newNode();
    await node.connect();
    node.send(message);
    expect(await node.refusal()).toBe(expected);
  });

  it("a message larger than any frame, before any of it is looked at", async () => {
    const node = await newNode();
    await node.connect();
    node.send(new Uint8Array(FRAME_BYTES_MAX + 1));
    expect((await node.untilClosed()).code).toBe(1009);
  });

  it("a request through the tunnel: those are the relay's to make", async () => {
    const node = await RelayedNode.registered(relay, cleanup);
    const head: RequestHead = { method: "POST", path: "/pull", headers: [], body: false };
    node.onRequest((stream) => node.sendFrame({ type: "request", stream, head }));
    expect(await problemIn(await node.via(`/chunk/${randomHash()}`))).toBe("502 unreachable");
    expect(await node.refusal()).toBe("frame-malformed 4400");
  });
});

describe("what nodes tell edges of themselves", () => {
  it.each([
    '{"type":"room","freeBytes":1}',
    '{"type":"leave","leaving":true}',
    '{"type":"pause","until":null}',
    `{"type":"lost","chunks":["${"0".repeat(64)}"]}`,
  ])("means nothing to a relay: %s", async (frame) => {
    const node = await RelayedNode.registered(relay, cleanup);
    node.send(frame);
    node.send(PING);
    await until("a pong comes", () => node.pongs === 1);
    expect(node.closed).toBe(null);
  });
});

describe("a flood of connections that do not register", () => {
  async function flood(count: number, addressOf: (i: number) => string | undefined): Promise<RelayedNode[]> {
    const nodes: RelayedNode[] = [];
    for (let i = 0; i < count; i++) {
      const node = await newNode();
      await node.connect(addressOf(i));
      nodes.push(node);
    }
    return nodes;
  }

  const refused = (nodes: RelayedNode[]) =>
    nodes.filter(({ frames }) => frames.some((frame) => frame.type === "refused")).length;

  it("from one address keeps a few of them, the newest", async () => {
    const nodes = await flood(PENDING_PER_CALLER_MAX + 2, () => "192.0.2.1");
    expect(await nodes[0]?.refusal()).toBe("rate-limited 4400");
    expect(await nodes[1]?.refusal()).toBe("rate-limited 4400");
    expect(refused(nodes)).toBe(2);
  });

  it("does not push out who comes from elsewhere", async () => {
    const waiting = await newNode();
    const challenge = await waiting.connect("198.51.100.1");
    const crowd = (i: number) => `192.0.2.${1 + Math.floor(i / PENDING_PER_CALLER_MAX)}`;
    const nodes = await flood(PENDING_RELAYED_MAX + 4, crowd);
    expect(await nodes[0]?.refusal()).toBe("rate-limited 4400");
    await until("as many are refused as there were too many", () => refused(nodes) === 5);
    waiting.send(await waiting.answer(challenge));
    await waiting.heard("registered");
  });

  it("counts by what the proxy adds, and not by what a caller makes up in front of it", async () => {
    const nodes = await flood(PENDING_PER_CALLER_MAX + 1, (i) => `203.0.113.${i}, 192.0.2.1`);
    expect(await nodes[0]?.refusal()).toBe("rate-limited 4400");
  });
});

describe("places", () => {
  async function join(count: number, addressOf: (i: number) => string | undefined): Promise<RelayedNode[]> {
    const nodes = await Promise.all(Array.from({ length: count }, () => newNode()));
    for (const [i, node] of nodes.entries()) await node.join(addressOf(i));
    return nodes;
  }

  /** Connecting, without answering a challenge, is enough to hear it. */
  async function refusedAt(address: string): Promise<string> {
    const node = await newNode();
    await node.connect(address);
    return node.refusal();
  }

  it("are so many and no more; who has one keeps it, and one that goes makes room", async () => {
    const nodes = await join(RELAYED_NODES_MAX, (i) => `192.0.2.${i}`);
    await expect(refusedAt("198.51.100.1")).rejects.toThrow(/quota-exceeded/);
    const [first] = nodes;
    const again = await RelayedNode.create(relay, cleanup, first?.signer ?? (await createSigner()));
    await again.join("198.51.100.2");
    expect((await first?.untilClosed())?.code).toBe(4409);
    again.close();
    await again.untilClosed();
    await (await newNode()).join("198.51.100.1");
    expect((await relayed()).length).toBe(RELAYED_NODES_MAX);
  });

  it("go to one address only in part, an IPv6 customer counting as one", async () => {
    await join(RELAYED_PER_CALLER_MAX, (i) => `2001:db8::${i}`);
    await expect(refusedAt("2001:db8::ffff")).rejects.toThrow(/quota-exceeded/);
    await (await newNode()).join("2001:db8:0:1::1");
  });
});

describe("the listener", () => {
  it("opens WebSockets for nodes only", async () => {
    expect(await upgradeAt(`${relay.url}/node?id=${relay.id}`)).toBe("101");
    expect(await upgradeAt(`${relay.url}/node?id=x`)).toBe("400 invalid-hash");
    expect(await upgradeAt(`${relay.url}/node`)).toBe("400 invalid-hash");
    expect(await problemIn(await fetch(`${relay.url}/node?id=${relay.id}`))).toBe("400 invalid-request");
    expect(await upgradeAt(`${relay.url}/chunk/${randomHash()}`)).toBe("404 not-found");
  });

  it("answers who offers HTTP/2 in HTTP/1, as it always has", async () => {
    expect(await upgradeAt(`${relay.url}/closest/${relay.id}`, { Upgrade: "h2c" })).toBe("200 undefined");
  });

  it.each<[string, NonNullable<TestNodeOptions["config"]>]>([
    ["was told not to", { relay: false }],
    ["tells nobody where it is reached", { advertise: false }],
  ])("relays for nobody where the node %s", async (_, config) => {
    const node = await start({ config });
    expect(await upgradeAt(`${node.url}/node?id=${relay.id}`)).toMatch(/^404/);
    expect(await problemIn(await viaOf(node, relay.id, `/chunk/${relay.id}`))).toBe("404 not-found");
    expect((await node.node.status()).relayed).toBe(null);
  });
});
