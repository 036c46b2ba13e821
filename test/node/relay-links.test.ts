// Which relays a node without a URL of its own holds links to: the nearest that work, against real home nodes; and what
// a relay that means it ill gets through such a link.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../../cli/local/free-port.ts";
import { createPublicLookup } from "../../cli/public-lookup.ts";
import { type Identity, loadIdentity } from "../../home-node/identity.ts";
import {
  RELAY_REST_MS,
  RELAYS_CHECKED_MS,
  RELAYS_SOUGHT_MS,
  RELAYS_WANTED,
  RelayLinks,
} from "../../home-node/link/relay-links.ts";
import { contactCardKind } from "../../lib/contact-card.ts";
import { readBody } from "../../lib/fetch.ts";
import { formatPublicKeyText, nodeIdOf } from "../../lib/openssh-key.ts";
import { closestTo } from "../../lib/overlay/distance.ts";
import { signStatement } from "../../lib/statement.ts";
import type { RequestHead } from "../../lib/tunnel/frames.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { startNginxServer } from "../e2e/nginx.ts";
import { requirePrograms } from "../e2e/requires.ts";
import {
  Cleanup,
  chunkOf,
  createSigner,
  ManualClock,
  settle,
  startTestNode,
  TestDns,
  type TestNode,
  until,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilClosed, untilState } from "./test-edge.ts";

const withoutNginx = requirePrograms({ nginx: "nginx" }).missing.length > 0;

const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
});
afterEach(() => cleanup.run());

describe("a node that needs relays", () => {
  let self: Identity;
  let nodes: TestNode[];
  /** Of `nodes`, the nearest first. */
  let contacts: Contact[];
  let candidates: Contact[];
  let isNeeded: boolean;
  let changes: string[][];
  let links: RelayLinks;

  beforeEach(async () => {
    self = await loadIdentity(await cleanup.directory());
    const starting = Array.from({ length: RELAYS_WANTED + 2 }, () => startTestNode(cleanup, dns, { clock }));
    nodes = await Promise.all(starting);
    const known = await Promise.all(nodes.map(contactOf));
    contacts = closestTo(self.id, known, ({ id }) => id, known.length);
    candidates = contacts;
    isNeeded = true;
    changes = [];
    links = new RelayLinks({
      identity: self,
      clock,
      random: () => 0.5,
      log: pino({ level: "silent" }),
      candidates: () => candidates,
      isNeeded: () => isNeeded,
      answer: async () => new Response(null, { status: 404 }),
      onChange: () => void changes.push(links.relays()),
    });
    cleanup.add(() => links.stop());
  });

  const urls = (...at: number[]) => at.map((i) => contacts[i]?.url);

  async function untilRelays(...at: number[]): Promise<void> {
    const wanted = urls(...at)
      .sort()
      .join();
    await until(`the relays are ${at}`, () => links.relays().sort().join() === wanted);
  }

  /** Lets time pass while sockets answer. */
  async function pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      await clock.advance(Math.min(left, 1000));
      await settle();
    }
  }

  const nodeAt = (i: number) => nodes.find(({ id }) => id === contacts[i]?.id);

  it("links with the two nearest, and tells of both", async () => {
    links.start();
    await untilRelays(0, 1);
    expect(changes.at(-1)?.sort()).toEqual(urls(0, 1).sort());
    expect((await nodeAt(0)?.node.status())?.relayed).toMatchObject([{ id: self.id }]);
    expect((await nodeAt(2)?.node.status())?.relayed).toEqual([]);
    expect(links.report().map(({ id, state }) => [id, state])).toEqual([
      [contacts[0]?.id, "registered"],
      [contacts[1]?.id, "registered"],
    ]);
  });

  it("takes another in the place of one that is gone, and tells of it", async () => {
    links.start();
    await untilRelays(0, 1);
    await nodeAt(0)?.node.stop();
    await untilRelays(1, 2);
    expect(changes.at(-1)?.sort()).toEqual(urls(1, 2).sort());
  });

  it("goes back to a nearer one that has come back, and lets the other go when that works", async () => {
    const gone = nodeAt(0);
    const port = Number(new URL(contacts[0]?.url ?? "").port);
    await gone?.node.stop();
    links.start();
    await untilRelays(1, 2);
    const listen = { host: "127.0.0.1", port };
    await startTestNode(cleanup, dns, { clock, dir: gone?.dir ?? "", config: { listen } });
    await pass(RELAY_REST_MS);
    links.refresh();
    await untilRelays(0, 1);
    expect(changes.every((relays) => relays.length > 0)).toBe(true);
  });

  it("does not register with another node than the one that it was told of", async () => {
    const [first, second, third, fourth] = contacts;
    if (first === undefined || second === undefined || third === undefined || fourth === undefined)
      throw new Error("there are four");
    candidates = [{ ...first, url: fourth.url }, second, third];
    links.start();
    await untilRelays(1, 2);
    expect((await nodeAt(3)?.node.status())?.relayed).toEqual([]);
  });

  it("passes over one that has no place", async () => {
    const full = await Edge.start(cleanup, clock, contacts[0]?.id);
    candidates = contacts.map((contact, i) => (i === 0 ? { ...contact, url: full.url } : contact));
    links.start();
    (await full.connection(0)).send({ type: "refused", code: "quota-exceeded", detail: "full" });
    await untilRelays(1, 2);
  });

  it("looks again each hour whether there are nearer ones", async () => {
    candidates = contacts.slice(1);
    links.start();
    await untilRelays(1, 2);
    candidates = contacts;
    await clock.advance(RELAYS_CHECKED_MS);
    await untilRelays(0, 1);
  });

  it("seeks more often while it has too few", async () => {
    candidates = contacts.slice(3);
    links.start();
    await untilRelays(3);
    candidates = contacts;
    await clock.advance(RELAYS_SOUGHT_MS);
    await untilRelays(0, 1);
  });

  it("keeps those that work while it hears of no others", async () => {
    links.start();
    await untilRelays(0, 1);
    candidates = [];
    links.refresh();
    await settle();
    expect(links.relays().sort()).toEqual(urls(0, 1).sort());
  });

  it("does not give up the only one that there is", async () => {
    const only = nodeAt(0);
    candidates = contacts.slice(0, 1);
    links.start();
    await untilRelays(0);
    const listen = { host: "127.0.0.1", port: Number(new URL(only?.url ?? "").port) };
    await only?.node.stop();
    await until("the link is lost", () => links.relays().length === 0);
    await startTestNode(cleanup, dns, { clock, dir: only?.dir ?? "", config: { listen } });
    await pass(10_000);
    await untilRelays(0);
  });

  it("links with none, and lets go of those that it has, as soon as it is reached itself", async () => {
    isNeeded = false;
    links.start();
    await settle();
    expect(links.report()).toEqual([]);
    isNeeded = true;
    links.refresh();
    await untilRelays(0, 1);
    isNeeded = false;
    links.refresh();
    await untilRelays();
    expect(changes.at(-1)).toEqual([]);
    expect(links.report()).toEqual([]);
  });

  it("asks nobody who is known to be reached through others only", async () => {
    candidates = contacts.map((contact) => ({ ...contact, url: null }));
    links.start();
    await settle();
    expect(links.report()).toEqual([]);
  });

  it("connects to no host that a name in public DNS leads to inside", async () => {
    const [first] = contacts;
    if (first === undefined) throw new Error("there is one");
    candidates = [{ ...first, url: `http://localhost:${new URL(first.url ?? "").port}` }];
    const guarded = new RelayLinks({
      identity: self,
      clock,
      random: () => 0.5,
      log: pino({ level: "silent" }),
      candidates: () => candidates,
      isNeeded: () => true,
      lookup: createPublicLookup(),
      answer: async () => new Response(null),
      onChange: () => undefined,
    });
    cleanup.add(() => guarded.stop());
    guarded.start();
    await until("it has failed", () => guarded.report()[0]?.state === "waiting");
    expect(guarded.report()[0]?.reason).toMatch(/no public address/);
  });
});

describe.skipIf(withoutNginx)("a node behind nginx, set up as docs/operations.md says", () => {
  /** The block, at a port of nginx's own and without TLS; the node is at `port`. */
  async function shownServer(port: number): Promise<string> {
    const text = await readFile(join(import.meta.dirname, "..", "..", "docs", "operations.md"), "utf8");
    const [, shown = ""] = /^```nginx\nserver \{\n(.*?)^\}\n```$/ms.exec(text) ?? [];
    expect(shown).toContain("location = /node");
    return shown
      .replaceAll(/^ *(listen|server_name|ssl_certificate|ssl_certificate_key) .*;$/gm, "")
      .replaceAll("127.0.0.1:8790", `127.0.0.1:${port}`);
  }

  it("relays for nodes that link with it through nginx", async () => {
    const port = await freePort(0);
    const nginx = await startNginxServer(await shownServer(port));
    cleanup.add(nginx.stop);
    const config = { listen: { host: "127.0.0.1", port }, publicUrl: nginx.url };
    const relay = await startTestNode(cleanup, dns, { clock, config });
    const self = await loadIdentity(await cleanup.directory());
    const chunk = chunkOf(100_000);
    const contact = { ...(await contactOf(relay)), url: nginx.url };
    const links = new RelayLinks({
      ...{ identity: self, clock, random: () => 0.5, log: pino({ level: "silent" }) },
      candidates: () => [contact],
      isNeeded: () => true,
      answer: async ({ url }) =>
        url.endsWith(`/chunk/${chunk.hash}`)
          ? new Response(chunk.bytes)
          : new Response(null, { status: 500 }),
      onChange: () => undefined,
    });
    cleanup.add(() => links.stop());
    links.start();
    await until("it has registered", () => links.relays().length === 1);
    const answer = await fetch(`${nginx.url}/via/${self.id}/chunk/${chunk.hash}`);
    expect(answer.status).toBe(200);
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(chunk.bytes);
  });
});

describe("a home node", () => {
  async function relayOf(): Promise<{ server: Edge; contact: Contact }> {
    const signer = await createSigner();
    const { key } = signer;
    const server = await Edge.start(cleanup, clock, nodeIdOf(key));
    // It is met as any node is before it is dialled.
    server.answer = async () => {
      const time = new Date(clock.now()).toISOString();
      const card = { type: contactCardKind.type, node: nodeIdOf(key), url: server.url, relays: [], time };
      return { card: formatSigned(await signStatement(contactCardKind, card, signer)) };
    };
    return { server, contact: { id: nodeIdOf(key), key: formatPublicKeyText(key), url: server.url } };
  }

  /** A node that an edge has told of a relay, and the relay's side of the link. */
  async function relayed(direct = false): Promise<{ node: TestNode; told: Connection; relay: Edge }> {
    const edge = await Edge.start(cleanup, clock);
    const { server, contact } = await relayOf();
    const config = { edges: [edge.url], listen: { host: "127.0.0.1", port: 0 } };
    const node = await startTestNode(cleanup, dns, { clock, config });
    const told = await edge.connection(0);
    told.challenge.node = node.id;
    await told.register([contact], { direct });
    await untilState(node, "registered");
    return { node, told, relay: server };
  }

  it("needs relays where its edges say that they do not reach it", async () => {
    const { node, relay } = await relayed();
    const connection = await relay.connection(0);
    connection.challenge.node = node.id;
    await connection.register();
    await until("it is linked", () => connection.closed === null && relay.connections.length === 1);
  });

  it("needs none where one of its edges reaches it", async () => {
    const { node, relay } = await relayed(true);
    await settle();
    expect(relay.connections).toEqual([]);
    expect((await node.node.status()).relays).toEqual([]);
  });

  it("tells a relay nothing of its pledge", async () => {
    const { node, relay } = await relayed();
    const connection = await relay.connection(0);
    connection.challenge.node = node.id;
    const { url, pledge, freeBytes, name } = await connection.register();
    expect({ url, pledge, freeBytes, name }).toEqual({
      url: null,
      pledge: { bytes: 0, uploadRate: null, downloadRate: null, domains: [] },
      freeBytes: 0,
      name: undefined,
    });
  });

  it.each<[RequestHead["method"], string, string]>([
    ["POST", "/pull", "404 not-found"],
    ["GET", "/inventory", "404 not-found"],
    ["GET", `/inventory?known=${"0".repeat(64)}`, "404 not-found"],
    ["GET", "/inventory/7", "404 not-found"],
    ["GET", "/status", "404 not-found"],
    ["GET", "/", "404 not-found"],
    ["GET", "/node", "404 not-found"],
    ["GET", `/via/${"0".repeat(64)}/chunk/${"0".repeat(64)}`, "404 not-found"],
    ["GET", `/chunk/${"0".repeat(64)}`, "404 not-found"],
    ["POST", "/names", "400 invalid-request"],
  ])("answers a relay's %s %s as a stranger's: %s", async (method, path, expected) => {
    const { node, relay } = await relayed();
    const connection = await relay.connection(0);
    connection.challenge.node = node.id;
    await connection.register();
    await connection.settle();
    const { status, body } = await connection.opener.request({
      head: { method, path, headers: [] },
      body: null,
    });
    const { code } = JSON.parse(
      Buffer.from(await readBody({ headers: new Headers(), body }, 1000)).toString(),
    );
    expect(`${status} ${code}`).toBe(expected);
  });

  it("hangs up on a relay that says that it is another node", async () => {
    const { node, relay } = await relayed();
    const connection = await relay.connection(0);
    connection.challenge.node = node.id;
    connection.sendChallenge({ edge: (await Edge.start(cleanup, clock)).id });
    expect((await untilClosed(connection)).code).toBe(1002);
    expect(connection.frames()).toEqual([]);
  });
});

async function contactOf({ node, id, url }: TestNode): Promise<Contact> {
  return { id, key: (await node.status()).key, url };
}
