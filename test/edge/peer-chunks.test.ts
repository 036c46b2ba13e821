// Chunks of which no node of this edge is known to have one: peers say who holds them, and what their nodes give is checked
// like everything else.

import { SELF } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";
import { base64, decodeBase64 } from "../../lib/base64.ts";
import { hashBytes, type NodeId } from "../../lib/hash.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { parseLocateAnswer, REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { PEER_HEADER, PEERS_MAX } from "../../lib/wire/peers.ts";
import {
  asked,
  domain,
  handOver,
  objectAt,
  origin,
  type PeerObject,
  script,
  tellsHolder,
} from "./peer-scene.ts";
import { NODE_ORIGIN, peerSigner } from "./peer-script.ts";
import { EDGE } from "./test-node.ts";

/** A home node of a peer: which one it is, nobody here can tell. */
async function nodeOf(
  peer: number,
  url: string | null = null,
): Promise<{ id: NodeId; key: string; url: string | null }> {
  const { key } = await peerSigner(50 + peer);
  return { id: hashBytes(key) as NodeId, key: formatPublicKeyText(key), url };
}

const get = (object: PeerObject) => SELF.fetch(`${EDGE}/obj/${domain}/${object.nameText}`);
const gives = (who: number | string, path: string, bytes: Uint8Array<ArrayBuffer>) =>
  script(who, path, { base64: base64.encode(bytes) });

async function locate(object: PeerObject, headers: Record<string, string> = {}) {
  const body = JSON.stringify({ chunks: [object.chunk] });
  const response = await SELF.fetch(`${EDGE}/chunk/locate`, { method: "POST", body, headers });
  return parseLocateAnswer(await response.json());
}

/** Of a peer, listed here, its chunk held by a node that only the peer knows. */
async function listedObject(peer: number, seed: number): Promise<PeerObject> {
  const object = await objectAt(peer, { seed });
  await handOver(object.posted);
  return object;
}

beforeEach(async () => {
  await asked();
});

describe("an object whose chunks lie on nodes of a peer only", () => {
  test("is served from such a node's own URL, verified", async () => {
    const object = await listedObject(0, 10);
    await tellsHolder(0, object.chunk, await nodeOf(0, NODE_ORIGIN));
    await gives(NODE_ORIGIN, `/chunk/${object.chunk}`, object.bytes);
    const response = await get(object);
    expect(response.status).toBe(200);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(object.bytes);
  });

  test("is served through the peer where the node has no URL", async () => {
    const object = await listedObject(1, 20);
    const node = await nodeOf(1);
    await tellsHolder(1, object.chunk, node);
    await gives(1, `/via/${node.id}/chunk/${object.chunk}`, object.bytes);
    expect(new Uint8Array(await (await get(object)).arrayBuffer())).toEqual(object.bytes);
  });

  test("comes from an honest peer's node where another peer's gives something else", async () => {
    const object = await listedObject(2, 30);
    const [false_, true_] = [await nodeOf(2), await nodeOf(3)];
    await tellsHolder(2, object.chunk, false_);
    await tellsHolder(3, object.chunk, true_);
    await gives(
      2,
      `/via/${false_.id}/chunk/${object.chunk}`,
      object.bytes.map((byte) => byte ^ 1),
    );
    await gives(3, `/via/${true_.id}/chunk/${object.chunk}`, object.bytes);
    expect(new Uint8Array(await (await get(object)).arrayBuffer())).toEqual(object.bytes);
  });

  test("is not served where nobody gives bytes that have its hash", async () => {
    const object = await listedObject(4, 40);
    const node = await nodeOf(4);
    await tellsHolder(4, object.chunk, node);
    await gives(4, `/via/${node.id}/chunk/${object.chunk}`, object.bytes.slice(1));
    const response = await get(object);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "no-holder" });
  });
});

describe("who is asked for a chunk that nobody here is known to hold", () => {
  test("is sent to the peer's node, or through the peer", async () => {
    const object = await objectAt(5, { seed: 50 });
    const node = await nodeOf(5);
    await tellsHolder(5, object.chunk, node);
    const redirect = await SELF.fetch(`${EDGE}/chunk/${object.chunk}`, { redirect: "manual" });
    expect(redirect.status).toBe(307);
    expect(redirect.headers.get("location")).toBe(`${origin(5)}/via/${node.id}/chunk/${object.chunk}`);
  });

  test("tells who does, and by which edge they are reached", async () => {
    const object = await objectAt(6, { seed: 60 });
    const node = await nodeOf(6, "https://node.example.net");
    await tellsHolder(6, object.chunk, node);
    const answer = await locate(object);
    expect(answer.chunks).toEqual([{ hash: object.chunk, holders: [node.id] }]);
    expect(answer.nodes).toEqual([{ ...node, relays: [origin(6)] }]);
    const referral = await SELF.fetch(`${EDGE}/chunk/${object.chunk}`, {
      headers: { accept: REFERRAL_TYPE },
    });
    expect(await referral.json()).toMatchObject({ holders: answer.nodes });
  });

  test("sends nobody to a URL inside a network", async () => {
    const object = await objectAt(6, { seed: 70 });
    await tellsHolder(6, object.chunk, await nodeOf(6, "http://10.0.0.1"));
    expect((await locate(object)).nodes).toMatchObject([{ url: null, relays: [origin(6)] }]);
  });

  test("asks all peers at once, once in a while, and nobody on behalf of a peer", async () => {
    const object = await objectAt(7, { seed: 80 });
    expect((await locate(object, { [PEER_HEADER]: "1" })).chunks).toEqual([
      { hash: object.chunk, holders: [] },
    ]);
    expect(await asked()).toEqual([]);
    await locate(object);
    await locate(object);
    const requests = (await asked()).filter(({ path }) => path === "/chunk/locate");
    expect(requests).toHaveLength(PEERS_MAX);
    expect(requests.every(({ isFromPeer }) => isFromPeer)).toBe(true);
  });
});

test("a Version that a peer handed over brings no reference and no charge", async () => {
  const object = await listedObject(0, 90);
  const usage = await SELF.fetch(`${EDGE}/domain/${domain}`);
  expect(await usage.json()).toMatchObject({ usage: { bytes: 0, chunks: 0 } });
  expect(decodeBase64(object.posted.manifest).length).toBeGreaterThan(0);
});
