// What a node's volunteer means to do, across restarts; a disk that was lost; and chunks that the disk gives back no more.

import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSocketFetch } from "../../cli/http-fetch.ts";
import { findSocket } from "../../home-node/server/socket-path.ts";
import { LOSS_DELAY_MS, SCRUB_DELAY_MS, SCRUB_PERIOD_MS } from "../../home-node/store/scrub.ts";
import { readBody } from "../../lib/fetch.ts";
import type { Hash } from "../../lib/hash.ts";
import { type NodeFrame, type Registration, VACATION_MAX_MS } from "../../lib/registration.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  isoTime,
  ManualClock,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
  type TestNodeOptions,
  until,
} from "./home-node-fixture.ts";
import { type Connection, Edge, untilState } from "./test-edge.ts";

const DAY_MS = 24 * 3600 * 1000;
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

interface Joined {
  node: TestNode;
  registration: Registration;
  connection: Connection;
}

async function joined(options: TestNodeOptions = {}): Promise<Joined> {
  const before = edge.connections.length;
  const config = { edges: [edge.url], ...options.config };
  const node = await startTestNode(cleanup, dns, { clock, ...options, config });
  const connection = await edge.connection(before);
  connection.challenge.node = node.id;
  const registration = await connection.register();
  await untilState(node, "registered");
  return { node, registration, connection };
}

/** What the node said after it registered. */
async function saidBy(connection: Connection, type: NodeFrame["type"]): Promise<NodeFrame> {
  let found: NodeFrame | undefined;
  await until(`a ${type} frame comes`, () => {
    found = connection.frames().find((frame) => frame.type === type);
    return found !== undefined;
  });
  if (found === undefined) throw new Error("it has come");
  return found;
}

/** Tells the node by its socket, as the command does. */
async function tell(node: TestNode, path: string, what: object): Promise<number> {
  const fetch = createSocketFetch(await findSocket(node.dir));
  const response = await fetch(`http://localhost${path}`, { method: "POST", body: JSON.stringify(what) });
  await readBody(response, 1024 * 1024);
  return response.status;
}

describe("a volunteer who will be away", () => {
  it("is announced at once and at every registration until the day, and offers no room", async () => {
    const { node, connection, registration } = await joined();
    expect(registration).not.toHaveProperty("awayUntil");
    expect(registration.freeBytes).toBeGreaterThan(0);
    const day = isoTime(clock.now() + 3 * DAY_MS);
    expect(await tell(node, "/pause", { until: day })).toBe(200);
    expect(await saidBy(connection, "pause")).toEqual({ type: "pause", until: day });
    expect(await saidBy(connection, "room")).toEqual({ type: "room", freeBytes: 0 });
    await node.node.stop();
    const again = await joined({ dir: node.dir });
    expect(again.registration).toMatchObject({ awayUntil: day, freeBytes: 0 });
    expect((await again.node.node.status()).awayUntil).toBe(day);
    await again.node.node.stop();
    await clock.advance(3 * DAY_MS);
    const back = await joined({ dir: node.dir });
    expect(back.registration).not.toHaveProperty("awayUntil");
    expect(back.registration.freeBytes).toBeGreaterThan(0);
  });

  it("is refused a day that is past or too far away, and can come back early", async () => {
    const { node } = await joined();
    for (const ms of [-1000, VACATION_MAX_MS + 1000])
      expect(await tell(node, "/pause", { until: isoTime(clock.now() + ms) })).toBe(400);
    expect(await tell(node, "/pause", { until: "tomorrow" })).toBe(400);
    expect(await tell(node, "/pause", { until: isoTime(clock.now() + DAY_MS) })).toBe(200);
    expect(await tell(node, "/pause", { until: null })).toBe(200);
    expect((await node.node.status()).awayUntil).toBeNull();
  });

  it("says so by the socket only: the listener takes no commands", async () => {
    const { node } = await joined();
    const body = JSON.stringify({ until: isoTime(clock.now() + DAY_MS) });
    for (const path of ["/pause", "/leave"])
      expect((await fetch(`${node.url}${path}`, { method: "POST", body })).status).toBe(404);
    expect(await node.node.status()).toMatchObject({ awayUntil: null, leaving: null });
  });
});

describe("a node that is leaving", () => {
  it("says so at every registration, also after a restart, until it is told to stay", async () => {
    const { node, connection } = await joined();
    expect(await tell(node, "/leave", { leaving: true })).toBe(200);
    expect(await saidBy(connection, "leave")).toEqual({ type: "leave", leaving: true });
    await node.node.stop();
    const again = await joined({ dir: node.dir });
    expect(again.registration).toMatchObject({ leaving: true, freeBytes: 0 });
    expect((await again.node.node.status()).leaving).toMatchObject({ chunks: 0, problem: null });
    await tell(again.node, "/leave", { leaving: false });
    expect(await saidBy(again.connection, "leave")).toEqual({ type: "leave", leaving: false });
    await again.node.node.stop();
    expect((await joined({ dir: node.dir })).registration).not.toHaveProperty("leaving");
  });
});

describe("a node without the chunks that it had", () => {
  it("says so to its edge once; a new node, and one that has them, never", async () => {
    const { node, registration } = await joined();
    expect(registration).not.toHaveProperty("lost");
    await node.node.stop();
    await rm(join(node.dir, "chunks"), { recursive: true });
    const lost = await joined({ dir: node.dir });
    expect(lost.registration).toMatchObject({ lost: true });
    await lost.node.node.stop();
    expect((await joined({ dir: node.dir })).registration).not.toHaveProperty("lost");
  });

  it("says so where its volunteer does (--lost-disk)", async () => {
    const { registration } = await joined({ config: { lostDisk: true } });
    expect(registration).toMatchObject({ lost: true });
  });
});

describe("a chunk that is corrupt on disk", () => {
  async function corrupt(node: TestNode, hash: string): Promise<void> {
    await writeFile(join(node.dir, "chunks", hash.slice(0, 2), hash), "not what was sent");
  }

  async function withChunks(options: TestNodeOptions = {}) {
    const found = await joined(options);
    const publisher = await createPublisher(found.node);
    const chunks = [chunkOf(1000), chunkOf(2000)];
    for (const chunk of chunks) expect((await putChunk(found.node, publisher, chunk)).status).toBe(201);
    return { ...found, hashes: chunks.map(({ hash }) => hash) };
  }

  it("is reported when somebody asks for it", async () => {
    const { node, connection, hashes } = await withChunks();
    const [bad = ""] = hashes;
    await corrupt(node, bad);
    expect((await fetch(`${node.url}/chunk/${bad}`)).status).toBe(404);
    expect(await saidBy(connection, "lost")).toEqual({ type: "lost", chunks: [bad] });
  });

  it("is found by the look at all chunks, deleted and reported, the others are left alone", async () => {
    const { node, connection, hashes } = await withChunks({ config: { scrubRate: 1024 * 1024 } });
    const [bad = "", good = ""] = hashes;
    await corrupt(node, bad);
    await clock.advance(SCRUB_DELAY_MS);
    expect(await saidBy(connection, "lost")).toEqual({ type: "lost", chunks: [bad] });
    const { scrub } = await untilScrubbed(node);
    expect(scrub).toMatchObject({ isDone: true, read: 2, bad: 1 });
    expect(await readdir(join(node.dir, "chunks"), { recursive: true })).toContain(
      `${good.slice(0, 2)}/${good}`,
    );
    expect((await fetch(`${node.url}/chunk/${good}`)).status).toBe(200);
  });

  it("is reported to an edge that was away as soon as it is back", async () => {
    const { node, connection, hashes } = await withChunks();
    const [bad = ""] = hashes;
    connection.socket.terminate();
    await untilState(node, "waiting");
    await corrupt(node, bad);
    expect((await fetch(`${node.url}/chunk/${bad}`)).status).toBe(404);
    await clock.advance(2000);
    const next = await edge.connection(1);
    next.challenge.node = node.id;
    await next.register();
    expect(await saidBy(next, "lost")).toEqual({ type: "lost", chunks: [bad] });
  });

  it("is looked for once a month, also across restarts", async () => {
    // No edge, whose pings would have the clock stop a hundred thousand times.
    const options = { clock, config: { scrubRate: 1024 * 1024 } };
    const node = await startTestNode(cleanup, dns, options);
    await putChunk(node, await createPublisher(node), chunkOf(1000));
    await clock.advance(SCRUB_DELAY_MS);
    const first = (await untilScrubbed(node)).scrub?.startedAt ?? "";
    await node.node.stop();
    const again = await startTestNode(cleanup, dns, { ...options, dir: node.dir });
    await clock.advance(SCRUB_PERIOD_MS / 2);
    expect((await again.node.status()).scrub).toMatchObject({ startedAt: first, isDone: true });
    await clock.advance(SCRUB_PERIOD_MS / 2 + SCRUB_DELAY_MS);
    const { scrub } = await untilScrubbed(again, first);
    expect(Date.parse(scrub?.startedAt ?? "")).toBeGreaterThanOrEqual(Date.parse(first) + SCRUB_PERIOD_MS);
  });

  it("is looked for again soon after a chunk was found bad, until a look finds none", async () => {
    const { node, connection, hashes } = await withChunks({ config: { scrubRate: 1024 * 1024 } });
    await clock.advance(SCRUB_DELAY_MS);
    expect((await untilScrubbed(node)).scrub).toMatchObject({ read: 2, bad: 0 });
    const isMonthAhead = () => clock.sleepingUntil.some((ms) => ms > SCRUB_PERIOD_MS / 2);
    await until("the next look is in a month", isMonthAhead);
    const [read = "", other = ""] = hashes;
    await corrupt(node, read);
    await corrupt(node, other);
    expect((await fetch(`${node.url}/chunk/${read}`)).status).not.toBe(200);
    for (const found of [
      { read: 1, bad: 1 },
      { read: 0, bad: 0 },
    ]) {
      await until("the next look is near", () => !isMonthAhead());
      const before = (await node.node.status()).scrub?.startedAt;
      while ((await node.node.status()).scrub?.startedAt === before) await clock.advance(SCRUB_DELAY_MS / 4);
      expect((await untilScrubbed(node, before)).scrub).toMatchObject(found);
    }
    await until("nothing was bad: the next is in a month", isMonthAhead);
    const lost = () => connection.frames().flatMap((frame) => (frame.type === "lost" ? frame.chunks : []));
    await until("both are reported", () => hashes.every((hash) => lost().includes(hash as Hash)));
  });

  it("is looked for soon after the first of many, which do not put the look off", async () => {
    const { node, hashes } = await withChunks({ config: { scrubRate: 1024 * 1024 } });
    const more = chunkOf(1000);
    expect((await putChunk(node, await createPublisher(node), more)).status).toBe(201);
    await clock.advance(SCRUB_DELAY_MS);
    expect((await untilScrubbed(node)).scrub).toMatchObject({ read: 3, bad: 0 });
    const before = (await node.node.status()).scrub?.startedAt;
    const [first = "", second = ""] = hashes;
    for (const hash of [first, second, more.hash]) await corrupt(node, hash);
    expect((await fetch(`${node.url}/chunk/${first}`)).status).not.toBe(200);
    await until("the next look is near", () => clock.sleepingUntil.includes(LOSS_DELAY_MS));
    await clock.advance(LOSS_DELAY_MS - 1);
    expect((await fetch(`${node.url}/chunk/${second}`)).status).not.toBe(200);
    await clock.advance(1);
    expect((await untilScrubbed(node, before)).scrub).toMatchObject({ read: 1, bad: 1 });
  });

  /** The look that is done and did not begin `before`. */
  async function untilScrubbed(node: TestNode, before?: string) {
    let isDone = false;
    await until("all chunks are looked at", () => {
      void node.node.status().then(({ scrub }) => {
        isDone = scrub?.isDone === true && scrub.startedAt !== before;
      });
      return isDone;
    });
    return node.node.status();
  }
});
