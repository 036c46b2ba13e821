// What strangers try with a node's overlay, and what comes of it: false ids and URLs, other nodes' cards, floods, and look-ups
// that lead on and on. A node that is public is not sent into anybody's network; a control shows that it would go.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DIALS_PER_NETWORK_MAX } from "../../home-node/overlay/acquaintances.ts";
import { PROVIDERS_PER_HASH_AND_NETWORK_MAX } from "../../home-node/overlay/provider-records.ts";
import { NETWORK_PER_BUCKET_MAX } from "../../home-node/overlay/routing-table.ts";
import { SECOND_LOOK_MS } from "../../home-node/overlay/upkeep.ts";
import { CARD_LIFETIME_MS, CARD_SKEW_MAX_MS, contactCardKind } from "../../lib/contact-card.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { nodeIdOf } from "../../lib/openssh-key.ts";
import { ASKED_MAX } from "../../lib/overlay/lookup.ts";
import { signStatement } from "../../lib/statement.ts";
import { CONTACT_BODY_MAX, PROVIDED_PER_POST_MAX } from "../../lib/wire/overlay.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { SeededRandom } from "../random.ts";
import {
  Cleanup,
  chunkOf,
  isoTime,
  ManualClock,
  problemIn,
  settle,
  startTestNode,
  TestDns,
  type TestNode,
  until,
} from "./home-node-fixture.ts";
import {
  cardOf,
  closestAt,
  contactsOf,
  postCard,
  postJson,
  Stranger,
  startNet,
  startPretender,
  untilAsync,
  untilContacts,
} from "./overlay-fixture.ts";

const PUBLIC_URL = "https://node.example.net";

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;

beforeEach(async () => {
  clock = new ManualClock();
  dns = await TestDns.start(cleanup);
});
/** A node that is being asked by another waits for it. */
const STOP_TIMEOUT_MS = 60_000;
afterEach(() => cleanup.run(), STOP_TIMEOUT_MS);

const startNode = () => startTestNode(cleanup, dns, { clock });

/** A node with a public URL, whose every request to strangers is answered with `status`, and kept. */
async function startPublic(status: (url: string) => unknown = () => ({})): Promise<{
  node: TestNode;
  asked: string[];
}> {
  const asked: string[] = [];
  const strangerFetch: Fetch = async (url) => {
    asked.push(url);
    return Response.json(status(url));
  };
  const node = await startTestNode(cleanup, dns, {
    clock,
    config: { publicUrl: PUBLIC_URL },
    deps: { strangerFetch, resolveHost: async () => "192.0.2.7" },
  });
  return { node, asked };
}

describe("a card", () => {
  it("by another key than its node's is refused", async () => {
    const node = await startNode();
    const [stranger, other] = [await Stranger.create(clock), await Stranger.create(clock)];
    const card = await stranger.card(null, { node: nodeIdOf(other.signer.key) });
    expect(await problemIn(await postCard(node, card))).toBe("403 contact-invalid");
  });

  it("that is too old, or of tomorrow, is refused", async () => {
    const node = await startNode();
    const stranger = await Stranger.create(clock);
    const at = async (ms: number) => {
      const card = await stranger.card(null, { time: isoTime(clock.now() + ms) });
      return problemIn(await postCard(node, card));
    };
    expect(await at(-CARD_LIFETIME_MS)).toBe("200");
    expect(await at(-CARD_LIFETIME_MS - 1)).toBe("403 contact-expired");
    expect(await at(CARD_SKEW_MAX_MS)).toBe("200");
    expect(await at(CARD_SKEW_MAX_MS + 1)).toBe("403 contact-expired");
  });

  it("with one bit changed, in another namespace, or longer than allowed is refused", async () => {
    const node = await startNode();
    const stranger = await Stranger.create(clock);
    const card = await stranger.card(null);
    const bytes = card.bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte));
    expect(await problemIn(await postCard(node, { ...card, bytes }))).toBe("403 invalid-signature");
    const body = { type: contactCardKind.type, node: nodeIdOf(stranger.signer.key), url: null, relays: [] };
    const signed = await signStatement(
      { ...contactCardKind, namespace: "holdfast-upload" },
      { ...body, time: isoTime(clock.now()) },
      stranger.signer,
    );
    expect(await problemIn(await postCard(node, signed))).toBe("403 wrong-namespace");
    const long = JSON.stringify({ card: formatSigned(card), more: "x".repeat(CONTACT_BODY_MAX) });
    expect(await problemIn(await postJson(`${node.url}/contact`, long))).toBe("413 body-too-large");
  });

  it("that names a place where another node answers brings nobody into the table", async () => {
    const node = await startNode();
    const other = await startNode();
    const stranger = await Stranger.create(clock);
    const pretender = await startPretender(cleanup, () => ({
      kind: "home-node",
      ...stranger.contact(null),
      id: other.id,
    }));
    for (const url of [other.url, pretender.url, node.url])
      expect((await postCard(node, await stranger.card(url))).status).toBe(200);
    await until("the node has asked there", () => pretender.asked.length > 0);
    await settle();
    expect(pretender.asked).toEqual(["/status"]);
    expect(await closestAt(node, nodeIdOf(stranger.signer.key))).toEqual([]);
  });

  it("of a node, handed out by another, is not taken for that other's", async () => {
    const victim = await startNode();
    const card = await cardOf(victim);
    const pretender = await startPretender(cleanup, () => ({ card: formatSigned(card) }));
    const node = await startTestNode(cleanup, dns, { clock, config: { join: [pretender.url] } });
    await until("the node has asked there", () => pretender.asked.length > 0);
    await settle();
    expect(pretender.asked).toEqual(["/contact"]);
    expect(await contactsOf(node)).toBe(0);
  });

  it("that anybody may have got hold of changes nothing about a node that is known", async () => {
    const [first, second] = (await startNet(2, cleanup, dns, { clock })) as [TestNode, TestNode];
    await untilContacts([first, second], 1);
    const card = await cardOf(second);
    expect((await postCard(first, card)).status).toBe(200);
    expect(await closestAt(first, second.id)).toMatchObject([{ id: second.id, url: second.url }]);
  });
});

describe("a public node", () => {
  it.each([
    "http://127.0.0.1:80",
    "https://127.0.0.1",
    "https://10.0.0.1",
    "https://[::1]",
    "https://a.local",
  ])("is not sent to %s", async (url) => {
    const { node, asked } = await startPublic();
    const stranger = await Stranger.create(clock);
    expect((await postCard(node, await stranger.card(url))).status).toBe(200);
    const words = await stranger.provide(node, await stranger.card(url), [chunkOf(1).hash]);
    expect(await problemIn(words)).toBe("403 contact-invalid");
    const relayed = await stranger.card(null, { relays: [url] });
    expect(await problemIn(await stranger.provide(node, relayed, [chunkOf(1).hash]))).toBe(
      "403 contact-invalid",
    );
    await settle();
    expect(asked).toEqual([]);
    // The control: to a public place it is.
    await postCard(node, await stranger.card("https://stranger.example.com"));
    await until("it asks there", () => asked.length > 0);
    expect(asked).toEqual(["https://stranger.example.com/status"]);
  });

  it("asks one network a few times a minute, however many cards name places in it", async () => {
    const { node, asked } = await startPublic();
    const flood = async () => {
      for (let i = 0; i < 3 * DIALS_PER_NETWORK_MAX; i++) {
        const stranger = await Stranger.create(clock);
        await postCard(node, await stranger.card(`https://n${i}.example.com`));
      }
      await settle();
    };
    await flood();
    expect(asked).toHaveLength(DIALS_PER_NETWORK_MAX);
    await clock.advance(60_000);
    await flood();
    expect(asked).toHaveLength(2 * DIALS_PER_NETWORK_MAX);
  });

  it("asks a place once, though its card comes again and again", async () => {
    const { node, asked } = await startPublic();
    const stranger = await Stranger.create(clock);
    for (let i = 0; i < 10; i++) await postCard(node, await stranger.card("https://stranger.example.com"));
    await settle();
    expect(asked).toHaveLength(1);
  });

  it("takes two of a network into a bucket, though all of them answer", async () => {
    const strangers = await Promise.all(Array.from({ length: 18 }, () => Stranger.create(clock)));
    const { node, asked } = await startPublic((url) => {
      const number = Number(/n(\d+)\./.exec(url)?.[1]);
      return { kind: "home-node", ...strangers[number]?.contact(null) };
    });
    for (const [i, stranger] of strangers.entries())
      await postCard(node, await stranger.card(`https://n${i}.example.com`));
    const dials = () => asked.filter((url) => url.endsWith("/status"));
    await until("all were asked", () => dials().length === strangers.length);
    await settle();
    const digit = (id: string) => Number.parseInt(id.charAt(0), 16);
    const inFarHalf = (await closestAt(node, node.id)).filter(({ id }) => (digit(id) ^ digit(node.id)) >= 8);
    expect(await contactsOf(node)).toBeGreaterThan(0);
    expect(inFarHalf.length).toBeLessThanOrEqual(NETWORK_PER_BUCKET_MAX);
  });
});

describe("word that a node keeps something", () => {
  /** A stranger that is where it says. */
  async function startProvider(): Promise<{ stranger: Stranger; url: string }> {
    const stranger = await Stranger.create(clock);
    const { url } = await startPretender(cleanup, () => ({ kind: "home-node", ...stranger.contact(null) }));
    return { stranger, url };
  }

  it("is kept where the node itself says so, and answers where it says", async () => {
    const node = await startNode();
    const { stranger, url } = await startProvider();
    const hashes = [chunkOf(1).hash, chunkOf(1).hash, chunkOf(1).hash];
    const response = await stranger.provide(node, await stranger.card(url), hashes);
    expect(await response.json()).toEqual({ kept: 3 });
    const moved = await fetch(`${node.url}/chunk/${hashes[0]}`, { redirect: "manual" });
    expect(moved.headers.get("location")).toBe(`${url}/chunk/${hashes[0]}`);
  });

  it("is refused from whoever has only the node's card", async () => {
    const node = await startNode();
    const { stranger, url } = await startProvider();
    const [card, thief] = [await stranger.card(url), await Stranger.create(clock)];
    const hashes = [chunkOf(1).hash];
    expect(await problemIn(await thief.provide(node, card, hashes))).toBe("403 contact-invalid");
    const named = await thief.provide(node, card, hashes, { node: nodeIdOf(stranger.signer.key) });
    expect(await problemIn(named)).toBe("403 contact-invalid");
  });

  it("is refused where it was given to another node, of other hashes, or long ago", async () => {
    const [node, other] = [await startNode(), await startNode()];
    const { stranger, url } = await startProvider();
    const card = await stranger.card(url);
    const hashes = [chunkOf(1).hash];
    const refusal = async (change: Parameters<Stranger["provide"]>[3]) =>
      problemIn(await stranger.provide(node, card, hashes, change));
    expect(await refusal({ to: other.id })).toBe("403 contact-invalid");
    expect(await refusal({ hashes: chunkOf(1).hash })).toBe("403 contact-invalid");
    expect(await refusal({ time: isoTime(clock.now() - CARD_SKEW_MAX_MS - 1) })).toBe("403 contact-expired");
    expect(await refusal({})).toBe("200");
  });

  it("is refused where nobody could reach the node, or another answers there", async () => {
    const [node, other] = [await startNode(), await startNode()];
    const stranger = await Stranger.create(clock);
    for (const url of [null, "http://127.0.0.1:1", other.url]) {
      const response = await stranger.provide(node, await stranger.card(url), [chunkOf(1).hash]);
      expect(await problemIn(response)).toBe("403 contact-invalid");
    }
    expect((await node.node.status()).overlay?.records).toEqual({ records: 0, nodes: 0 });
  });

  it("is refused of more hashes than a list may have, and of none", async () => {
    const node = await startNode();
    const { stranger, url } = await startProvider();
    const many = Array.from({ length: PROVIDED_PER_POST_MAX + 1 }, () => chunkOf(1).hash);
    for (const hashes of [many, []]) {
      const response = await stranger.provide(node, await stranger.card(url), hashes);
      expect(await problemIn(response)).toBe("400 invalid-request");
    }
    const most = await stranger.provide(node, await stranger.card(url), many.slice(1));
    expect(await most.json()).toEqual({ kept: PROVIDED_PER_POST_MAX });
  });

  it("of one hash is kept of two nodes of a network, behind relays too", async () => {
    const { node } = await startPublic();
    const { hash } = chunkOf(1);
    const kept: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const stranger = await Stranger.create(clock);
      const card = await stranger.card(null, { relays: [`https://relay${i}.example.com`] });
      kept.push(await (await stranger.provide(node, card, [hash])).json());
    }
    expect(kept).toEqual([{ kept: 1 }, { kept: 1 }, { kept: 0 }, { kept: 0 }]);
    expect(kept.filter((one) => JSON.stringify(one).includes("1"))).toHaveLength(
      PROVIDERS_PER_HASH_AND_NETWORK_MAX,
    );
    const moved = await fetch(`${node.url}/chunk/${hash}`, { redirect: "manual" });
    expect(moved.headers.get("location")).toMatch(
      /^https:\/\/relay[01]\.example\.com\/via\/[0-9a-f]{64}\/chunk\/[0-9a-f]{64}$/,
    );
  });
});

describe("a look-up that is led on and on", () => {
  it("ends, and brings nobody into the table who does not exist", async () => {
    const random = new SeededRandom(1126, "endless");
    const liar = await Stranger.create(clock);
    const invented = await Promise.all(Array.from({ length: 600 }, () => Stranger.create(clock)));
    const place = { url: "" };
    const card = async () => ({ card: formatSigned(await liar.card(place.url)) });
    const pretender = await startPretender(cleanup, (path) => {
      if (path === "/contact") return card();
      if (path === "/status") return { kind: "home-node", ...liar.contact(null) };
      return { nodes: Array.from({ length: 20 }, () => random.pick(invented).contact(place.url)) };
    });
    place.url = pretender.url;
    const node = await startTestNode(cleanup, dns, { clock, config: { join: [pretender.url] } });
    await untilAsync("the first look is over", async () => clock.sleepingUntil.includes(SECOND_LOOK_MS));
    const asked = pretender.asked.filter((path) => path.startsWith("/closest/"));
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.length).toBeLessThanOrEqual(ASKED_MAX + 1);
    expect((await closestAt(node, node.id)).map(({ id }) => id)).toEqual([nodeIdOf(liar.signer.key)]);
  });
});
