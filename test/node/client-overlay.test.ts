// A client that knows one home node, and no edge: what it reads is right, whatever liars among the others agree on. Real home
// nodes on real sockets, and servers that lie.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeHasher } from "../../cli/node-host.ts";
import { ANNOUNCE_DELAY_MS } from "../../home-node/overlay/announcer.ts";
import { SECOND_LOOK_MS } from "../../home-node/overlay/upkeep.ts";
import { createChunkFetch } from "../../lib/client/chunk-fetch.ts";
import { ChunkSource, type HolderFailure } from "../../lib/client/chunk-source.ts";
import { Overlay } from "../../lib/client/overlay.ts";
import { Server } from "../../lib/client/server.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { K } from "../../lib/overlay/distance.ts";
import { OFFERED_AT_ONCE } from "../../lib/overlay/holder-search.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  ManualClock,
  postNames,
  publicationOf,
  putChunk,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";
import { contactsOf, postCard, Stranger, startNet, startPretender, untilAsync } from "./overlay-fixture.ts";

const HONEST = 4;
const LIARS = 6;
const HONEST_DELAY_MS = 30;

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

interface Liar {
  self: Stranger;
  url: string;
  asked: string[];
}

interface Liars {
  liars: Liar[];
  /** Whom they name as holders of everything. */
  friends: Contact[];
}

/** Liars name each other as closest to everything, and the same friends as its holders; these give something else. */
async function startLiars(): Promise<Liars> {
  const make = (count: number) => Promise.all(Array.from({ length: count }, () => Stranger.create(clock)));
  const friends = await Promise.all(
    (await make(K)).map(async (friend) => {
      const { url } = await startPretender(cleanup, () => ({ not: "the chunk" }));
      return friend.contact(url);
    }),
  );
  const contacts: Contact[] = [];
  const liars = await Promise.all(
    (await make(LIARS)).map(async (self): Promise<Liar> => {
      const door = await startPretender(cleanup, async (path, body) => {
        if (path === "/status") return { kind: "home-node", ...self.contact(null) };
        if (path === "/contact") return { card: formatSigned(await self.card(door.url)) };
        if (path.startsWith("/closest/")) return { nodes: contacts };
        return path === "/chunk/locate" ? locate((body as { chunks: Hash[] }).chunks, friends) : null;
      });
      contacts.push(self.contact(door.url));
      return { self, ...door };
    }),
  );
  return { liars, friends };
}

function locate(chunks: readonly Hash[], nodes: readonly Contact[]) {
  return { chunks: chunks.map((hash) => ({ hash, holders: nodes.map(({ id }) => id) })), nodes, resting: [] };
}

describe("a client that knows one home node, and no edge", () => {
  let honest: TestNode[];
  let keeper: TestNode;
  let first: TestNode;
  let lie: Liars;

  beforeEach(async () => {
    honest = await startNet(HONEST, cleanup, dns, { clock });
    [first, keeper] = [honest[0], honest[HONEST - 1]] as [TestNode, TestNode];
    lie = await startLiars();
    for (const { self, url } of lie.liars)
      for (const node of honest) expect((await postCard(node, await self.card(url))).status).toBe(200);
    await clock.advance(SECOND_LOOK_MS);
    await untilAsync("all know all", async () => {
      const known = await Promise.all(honest.map(contactsOf));
      return known.every((count) => count === HONEST - 1 + LIARS);
    });
  });

  /** Until the first node knows who keeps so many hashes. */
  async function announced(count: number): Promise<void> {
    await clock.advance(ANNOUNCE_DELAY_MS);
    await untilAsync("the first node knows it", async () => {
      const { overlay } = await first.node.status();
      return overlay?.records.records === count;
    });
  }

  /** Liars are near, and answer first. */
  const slowFetch: Fetch = async (url, init) => {
    if (honest.some((node) => url.startsWith(node.url))) await sleep(HONEST_DELAY_MS);
    return fetch(url, init);
  };
  const startOverlay = () => {
    const nodeAt = (url: string) => new Server(url, slowFetch, { isEdge: false });
    return new Overlay({ entries: [nodeAt(first.url)], nodeAt });
  };
  const sourceOf = (overlay: Overlay, failures: HolderFailure[] = []) =>
    new ChunkSource({
      ...{ servers: [], hasher: nodeHasher, fetchChunk: createChunkFetch(slowFetch) },
      holdersOf: (hash) => overlay.holdersOf(hash),
      onHolderFailed: (failure) => failures.push(failure),
    });

  it("reads a chunk though most whom it asks agree on others as its holders", async () => {
    const { hash, bytes } = chunkOf(100);
    expect((await putChunk(keeper, await createPublisher(keeper), { hash, bytes })).status).toBe(201);
    await announced(1);
    const failures: HolderFailure[] = [];
    const overlay = startOverlay();
    expect(await sourceOf(overlay, failures).get({ hash, sizeBytes: bytes.length })).toEqual(bytes);
    const friends = new Set(lie.friends.map(({ id }) => id));
    expect(failures.length).toBeGreaterThanOrEqual(OFFERED_AT_ONCE);
    expect(failures.length).toBeLessThanOrEqual(OFFERED_AT_ONCE * 2);
    expect(failures.every(({ node }) => node !== null && friends.has(node))).toBe(true);
    const misled = lie.liars.filter(({ asked }) => asked.includes("/chunk/locate"));
    expect(misled.length).toBeGreaterThan(1);
  });

  it("finds who keeps a name", async () => {
    const { json, nameHash } = await publicationOf(keeper, "notes/today");
    expect((await postNames(keeper, [json])).status).toBe(200);
    // With its Manifest.
    await announced(2);
    const urls: string[] = [];
    for await (const servers of startOverlay().serversKnowing(nameHash)) {
      urls.push(...servers.map(({ url }) => url));
      if (urls.includes(keeper.url)) break;
    }
    expect(urls.length).toBeGreaterThan(OFFERED_AT_ONCE);
    expect(urls).toContain(keeper.url);
  });

  it("ends where nobody has it", async () => {
    const wanted = { hash: parseHash("5".repeat(64)), sizeBytes: 10 };
    await expect(sourceOf(startOverlay()).get(wanted)).rejects.toMatchObject({ code: "no-holder" });
  });
});
