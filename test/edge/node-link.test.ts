import { evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PENDING_SOCKETS_MAX } from "../../durable-objects/node-link.ts";
import { REACH_TIMEOUT_MS } from "../../durable-objects/reach.ts";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { membershipPrefixes, shardName } from "../../lib/overlay/shards.ts";
import {
  CLOSE_REPLACED,
  CONTROL_FRAME_BYTES_MAX,
  formatFrame,
  PING,
  registrationKind,
  SILENCE_MAX_MS,
} from "../../lib/registration.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { EDGE, TestNode } from "./test-node.ts";

async function memberRows(id: NodeId) {
  const shards = membershipPrefixes(id, 4).map((prefix) => env.PARTITION_SHARD.getByName(shardName(prefix)));
  return (await Promise.all(shards.map((shard) => shard.members([id])))).flat();
}

describe("a home node's registration", () => {
  test("makes it a member of its leaf shard and the root, and its close takes it offline there", async () => {
    const node = await TestNode.create();
    await node.register(await node.connect());
    expect(await node.next("registered")).toMatchObject({ direct: false, code: "no-url" });
    expect(await memberRows(node.id)).toMatchObject([
      { online: true, freeBytes: 900, domains: "all" },
      { online: true, freeBytes: 900, domains: "all" },
    ]);
    node.close();
    await vi.waitUntil(async () => (await memberRows(node.id)).every(({ online }) => !online), {
      timeout: 5000,
    });
  });

  test("says when the node serves and what its volunteer wants to be called; what is not said is nothing", async () => {
    const hours = { from: "22:00", to: "06:00" };
    const pledge = { bytes: 1000, uploadRate: null, downloadRate: null, domains: "all", hours } as const;
    const node = await TestNode.registered({ pledge, name: "Ada's attic" });
    const said = { hours, name: "Ada's attic" };
    expect(await memberRows(node.id)).toMatchObject([said, said]);
    const silent = await TestNode.registered();
    const nothing = { hours: null, name: null };
    expect(await memberRows(silent.id)).toMatchObject([nothing, nothing]);
  });

  test("is refused with a name that would not show as it is", async () => {
    for (const [name, code] of [
      ["Ada\u202e", "invalid-statement"],
      ["Ada", null],
    ] as const) {
      const node = await TestNode.create();
      const { edge, nonce, epoch } = await node.connect();
      const pledge = { bytes: 1, uploadRate: null, downloadRate: null, domains: "all" };
      const body = {
        ...{
          type: registrationKind.type,
          node: node.id,
          edge,
          origin: EDGE,
          nonce,
          epoch,
          url: null,
          pledge,
        },
        ...{ time: new Date().toISOString(), freeBytes: 1, software: "test/1", name },
      };
      const bytes = encodeCanonical(body);
      const signature = await node.signer.sign(registrationKind.namespace, bytes);
      node.send(formatFrame({ type: "register", registration: formatSigned({ bytes, signature }) }));
      if (code === null) await node.next("registered");
      else expect(await node.refusal()).toBe(code);
    }
  });

  test("goes on after the object hibernated between challenge and answer, and before a room frame", async () => {
    const node = await TestNode.create();
    const challenge = await node.connect();
    await evictDurableObject(env.NODE_LINK.getByName(node.id));
    await node.register(challenge);
    await node.next("registered");
    await evictDurableObject(env.NODE_LINK.getByName(node.id));
    node.send(formatFrame({ type: "room", freeBytes: 123 }));
    await vi.waitUntil(async () => (await memberRows(node.id)).every(({ freeBytes }) => freeBytes === 123));
  });

  test("answers a ping without waking the object", async () => {
    const node = await TestNode.create();
    await node.connect();
    node.send(PING);
    await vi.waitUntil(() => node.texts.length === 1);
  });

  test("is refused when it is replayed on the same connection, on a new one, and after an eviction", async () => {
    const node = await TestNode.create();
    const frame = await node.register(await node.connect());
    await node.next("registered");
    node.send(frame);
    expect(await node.refusal()).toBe("registration-replayed");
    const twice = await TestNode.create();
    const challenge = await twice.connect();
    twice.send(await twice.register(challenge));
    expect(await twice.refusal()).toBe("registration-replayed");
    for (const evict of [false, true]) {
      const again = new TestNode(node.signer);
      await again.connect();
      if (evict) await evictDurableObject(env.NODE_LINK.getByName(node.id));
      again.send(frame);
      expect(await again.refusal()).toBe("registration-replayed");
    }
  });

  test.each([
    ["another edge", { edge: hashBytes(Uint8Array.of(1)) }, "registration-replayed"],
    ["an edge at another origin", { origin: "https://other.test" }, "registration-replayed"],
    ["another nonce", { nonce: hashBytes(Uint8Array.of(2)) }, "registration-replayed"],
    ["another epoch", { epoch: 99 }, "registration-replayed"],
    ["another node", { node: hashBytes(Uint8Array.of(3)) as NodeId }, "registration-invalid"],
  ])("is refused when it is made for %s", async (_, changes, code) => {
    const node = await TestNode.create();
    await node.register(await node.connect(), changes);
    expect(await node.refusal()).toBe(code);
    expect(await memberRows(node.id)).toEqual([]);
  });

  test("is refused when another key signs it, or the signature is for another purpose", async () => {
    const node = await TestNode.create();
    const stranger = await TestNode.create();
    const challenge = await node.connect();
    const own = JSON.parse(await stranger.register(challenge, { node: node.id }));
    node.send(JSON.stringify(own));
    expect(await node.refusal()).toBe("registration-invalid");
  });

  test.each([
    ["no JSON", "hello", "frame-malformed"],
    ["an unknown type", '{"type":"hello"}', "frame-malformed"],
    ["an unknown field", '{"type":"room","freeBytes":1,"x":1}', "frame-malformed"],
    ["a negative number", '{"type":"room","freeBytes":-1}', "frame-malformed"],
    ["deep nesting", "[".repeat(100), "frame-malformed"],
    ["a binary frame", new ArrayBuffer(8), "frame-malformed"],
    ["an oversized frame", `{"type":"${"x".repeat(CONTROL_FRAME_BYTES_MAX)}"}`, "frame-too-large"],
    ["room before registering", '{"type":"room","freeBytes":1}', "registration-invalid"],
  ])("a frame that is %s closes the socket with a code", async (_, frame, code) => {
    const node = await TestNode.create();
    await node.connect();
    node.send(frame);
    expect(await node.refusal()).toBe(code);
  });

  test("replaces the node's older connection, and the older one's end does not take it offline", async () => {
    const node = await TestNode.create();
    await node.register(await node.connect());
    await node.next("registered");
    const newer = new TestNode(node.signer);
    await newer.register(await newer.connect());
    await newer.next("registered");
    await vi.waitUntil(() => node.closed !== null);
    expect(node.closed?.code).toBe(CLOSE_REPLACED);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await memberRows(node.id)).map(({ online }) => online)).toEqual([true, true]);
  });

  test("a link lost without a close is noticed when somebody could not reach the node", async () => {
    const node = await TestNode.create();
    const link = env.NODE_LINK.getByName(node.id);
    await node.register(await node.connect());
    await node.next("registered");
    expect(await link.checkLink()).toBe(true);
    await evictDurableObject(link, { webSockets: "close" });
    await link.checkLink();
    expect((await memberRows(node.id)).map(({ online }) => online)).toEqual([false, false]);
    // One shard that did not hear of it hears it again.
    const [leaf] = await memberRows(node.id);
    if (leaf === undefined) throw new Error("the node is no member");
    await env.PARTITION_SHARD.getByName(shardName("")).putMember({ ...leaf, online: true });
    await link.checkLink();
    expect((await memberRows(node.id)).map(({ online }) => online)).toEqual([false, false]);
  });

  test("a node that has stopped to ping is gone, though its connection looks alive", async () => {
    const node = await TestNode.registered();
    const link = env.NODE_LINK.getByName(node.id);
    node.send(PING);
    await vi.waitUntil(() => node.texts.length === 1);
    for (const [laterMs, isThere] of [
      [SILENCE_MAX_MS - 1000, true],
      [SILENCE_MAX_MS + 1000, false],
    ] as const) {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + laterMs });
      expect(await link.checkLink()).toBe(isThere);
      vi.useRealTimers();
      expect((await memberRows(node.id)).map(({ online }) => online)).toEqual([isThere, isThere]);
    }
    expect(await node.refusal()).toBe("timeout");
  });

  test.each([
    ["/node?id=abc", 400, "invalid-hash"],
    [`/node?id=${"0".repeat(64)}`, 400, "invalid-request"],
  ])("%s without what a node sends is a clear error", async (path, status, code) => {
    const response = await SELF.fetch(`http://edge.test${path}`);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
  });

  test("a challenge that nobody answered closes its socket in time, and no younger one", async () => {
    const late = await TestNode.create();
    await late.connect();
    const link = env.NODE_LINK.getByName(late.id);
    await runInDurableObject(link, (_, state) => {
      for (const socket of state.getWebSockets()) {
        socket.serializeAttachment({ ...socket.deserializeAttachment(), expiresMs: Date.now() - 1 });
      }
    });
    const again = new TestNode(late.signer);
    const challenge = await again.connect();
    expect(await runDurableObjectAlarm(link)).toBe(true);
    expect(await late.refusal()).toBe("registration-expired");
    await again.register(challenge);
    await again.next("registered");
  });

  test("a crowd of connections from elsewhere that claims a node's id does not push the node out", async () => {
    const node = await TestNode.create();
    const challenge = await node.connect("192.0.2.1");
    const crowd: TestNode[] = [];
    for (let i = 0; i < PENDING_SOCKETS_MAX + 3; i++) {
      const stranger = new TestNode(node.signer);
      await stranger.connect("198.51.100.7");
      crowd.push(stranger);
    }
    expect(await crowd[0]?.refusal()).toBe("rate-limited");
    await node.register(challenge);
    await node.next("registered");
  });
});

/** What an edge finds at a node's URL, in place of the network. */
type Found = (init: RequestInit, node: TestNode) => Promise<Response>;

function nodeStatus({ id, signer }: TestNode): Response {
  return Response.json({ kind: "home-node", id, key: formatPublicKeyText(signer.key) });
}

/** Never answers; gives up when it is told to. */
const silence: Found = ({ signal }) =>
  new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
const stranger = await TestNode.create();

describe("an edge says why a node is direct or relayed", () => {
  afterEach(() => vi.restoreAllMocks());

  async function registered(url: string | null, found?: Found) {
    const node = await TestNode.create();
    if (found !== undefined)
      vi.spyOn(globalThis, "fetch").mockImplementationOnce((_, init) => found(init ?? {}, node));
    await node.register(await node.connect(), { url });
    const frame = await node.next("registered", REACH_TIMEOUT_MS + 2000);
    if (frame.type !== "registered") throw new Error("expected a registered frame");
    expect((await memberRows(node.id)).map((member) => member.url)).toEqual(
      frame.direct ? [url, url] : [null, null],
    );
    return frame;
  }

  test("where the URL answers with the node's id, it is reached", async () => {
    const url = "https://node.example.org";
    expect(await registered(url, async (_, node) => nodeStatus(node))).toMatchObject({
      direct: true,
      code: "reached",
      reason: `reached at ${url}`,
    });
  });

  test.each([
    [null, "no-url", "announced no URL"],
    ["node.example.org", "url-malformed", "not a URL"],
    ["https://node.example.org/holdfast", "url-malformed", "is an origin"],
    ["http://node.example.org", "url-not-https", "must be https"],
    ["https://192.168.1.20:8790", "host-not-public", "public host name"],
    ["https://nas.local", "host-not-public", "public host name"],
    // Asked for real: nobody listens there.
    ["http://127.0.0.1:1", "connection-refused", "refused or broke off"],
  ])("for %s it is %s", async (url, code, words) => {
    const frame = await registered(url);
    expect(frame).toMatchObject({ direct: false, code });
    expect(frame.reason).toContain(words);
  });

  test.each<[string, string, Found]>([
    ["does not answer", "timed-out", silence],
    ["leads nowhere", "connection-failed", async () => Promise.reject(new Error("internal error"))],
    ["redirects", "redirected", async () => Response.redirect("https://elsewhere.example.org/")],
    ["answers with a page", "not-a-node", async () => new Response("<h1>It works!</h1>")],
    ["answers with an error", "not-a-node", async () => new Response("bad gateway", { status: 502 })],
    ["answers with far too much", "not-a-node", async () => new Response(new Uint8Array(2 ** 21))],
    ["is another node's", "other-node", async () => nodeStatus(stranger)],
    ["is refused, says the platform", "connection-refused", async () => new Response("", { status: 521 })],
    ["is silent, says the platform", "timed-out", async () => new Response("", { status: 522 })],
    ["has a bad certificate", "certificate-invalid", async () => new Response("", { status: 526 })],
    ["has no address", "name-not-found", async () => new Response("error code: 1016", { status: 530 })],
  ])("a URL that %s makes it %s", async (_, code, found) => {
    const frame = await registered("https://node.example.org", found);
    expect(frame).toMatchObject({ direct: false, code });
    expect(frame.reason).toContain("https://node.example.org");
  });
});
