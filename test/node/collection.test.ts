// What a home node deletes when edges need it no more, and all that keeps it from doing so: the edges' side of the wire,
// real files, time that the test moves.

import { readFileSync } from "node:fs";
import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { COLLECT_AGE_MS } from "../../home-node/collection/collection.ts";
import { COLLECTION_FILE } from "../../home-node/collection/verdict-file.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { type InventoryState, inventoryKind } from "../../lib/inventory.ts";
import { verifyQuestion } from "../../lib/node-question.ts";
import { parseSigned, parseSignedJson } from "../../lib/wire/signed.ts";
import {
  Cleanup,
  chunkOf,
  createPublisher,
  ManualClock,
  putChunk,
  startTestNode,
  TestDns,
  type TestNode,
} from "./home-node-fixture.ts";
import { Edge } from "./test-edge.ts";

const EVERY_S = 20;
const STEP_MS = 2000;
const STEPS_MAX = 300;
const HOUR_MS = 3_600_000;
const cleanup = new Cleanup();
let dns: TestDns;
let clock: ManualClock;

beforeEach(async () => {
  dns = await TestDns.start(cleanup);
  clock = new ManualClock();
});
afterEach(() => cleanup.run());

type Chunk = ReturnType<typeof chunkOf>;
type StateOf = { hash: Hash; state: InventoryState };

/** An edge that registers whoever comes, and lets go of every chunk but those that the test names. */
class CollectingEdge {
  readonly needed = new Set<Hash>();
  readonly asked: { hash: Hash; since: string }[][] = [];
  /** Makes another answer of the right one. */
  twist: (chunks: StateOf[]) => unknown = (chunks) => ({ chunks });
  readonly edge: Edge;
  #registered = 0;

  private constructor(edge: Edge) {
    this.edge = edge;
    edge.answer = async (_, body) => {
      const signed = parseSigned(parseSignedJson(body));
      const { chunks } = (await verifyQuestion(inventoryKind, signed, { edge: edge.id, nowMs: clock.now() }))
        .body;
      this.asked.push(chunks);
      return this.twist(
        chunks.map(({ hash }) => ({ hash, state: this.needed.has(hash) ? "needed" : "released" })),
      );
    };
  }

  static async start(): Promise<CollectingEdge> {
    return new CollectingEdge(await Edge.start(cleanup, clock));
  }

  get hashes(): Hash[] {
    return this.asked.flat().map(({ hash }) => hash);
  }

  async registerNew(node: NodeId): Promise<void> {
    for (const connection of this.edge.connections.slice(this.#registered)) {
      this.#registered += 1;
      connection.challenge.node = node;
      await connection.register();
    }
  }
}

class Scene {
  readonly edges: CollectingEdge[];
  readonly node: TestNode;

  private constructor(edges: CollectingEdge[], node: TestNode) {
    this.edges = edges;
    this.node = node;
  }

  static async start(
    edges: CollectingEdge[],
    options: { dir?: string; collectSeconds?: number } = {},
  ): Promise<Scene> {
    const { collectSeconds = EVERY_S, ...rest } = options;
    const config = { edges: edges.map(({ edge }) => edge.url), collectSeconds };
    return new Scene(edges, await startTestNode(cleanup, dns, { clock, config, ...rest }));
  }

  static async withEdges(count: number): Promise<Scene> {
    return Scene.start(await Promise.all(Array.from({ length: count }, () => CollectingEdge.start())));
  }

  /** Chunks that came so long ago. */
  async hold(count: number, ageMs = COLLECT_AGE_MS + HOUR_MS): Promise<Chunk[]> {
    const chunks = Array.from({ length: count }, () => chunkOf(1000));
    for (const chunk of chunks) {
      expect((await this.put(chunk)).status).toBe(201);
      await this.age(chunk, ageMs);
    }
    return chunks;
  }

  async put(chunk: Chunk): Promise<Response> {
    return putChunk(this.node, await createPublisher(this.node), chunk);
  }

  async age({ hash }: Chunk, ageMs: number): Promise<void> {
    const time = new Date(clock.now() - ageMs);
    await utimes(join(this.node.dir, "chunks", hash.slice(0, 2), hash), time, time);
  }

  async holds(chunks: readonly Chunk[]): Promise<boolean[]> {
    const asked = chunks.map(({ hash }) => fetch(`${this.node.url}/chunk/${hash}`, { method: "HEAD" }));
    return (await Promise.all(asked)).map(({ status }) => status === 200);
  }

  async step(): Promise<void> {
    await clock.advance(STEP_MS);
    await sleep(10);
    for (const edge of this.edges) await edge.registerNew(this.node.id);
  }

  /** Moves time on until so many rounds more have gone through. */
  async rounds(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const before = this.roundMs;
      await this.stepUntil("a round has gone through", () => this.roundMs > before);
    }
  }

  async stepUntil(what: string, isSo: () => boolean): Promise<void> {
    for (let steps = 0; !isSo(); steps++) {
      if (steps === STEPS_MAX) throw new Error(`waited in vain until ${what}`);
      await this.step();
    }
  }

  get roundMs(): number {
    try {
      return JSON.parse(readFileSync(this.file, "utf8")).roundMs;
    } catch {
      return 0;
    }
  }

  get file(): string {
    return join(this.node.dir, COLLECTION_FILE);
  }
}

describe("a home node with two edges", () => {
  it("deletes what both let go of in two rounds, and nothing that one of them needs", async () => {
    const scene = await Scene.withEdges(2);
    const [both, one, other] = (await scene.hold(3)) as [Chunk, Chunk, Chunk];
    const [young] = (await scene.hold(1, COLLECT_AGE_MS - HOUR_MS)) as [Chunk];
    scene.edges[0]?.needed.add(one.hash);
    scene.edges[1]?.needed.add(other.hash);
    await scene.rounds(1);
    expect(await scene.holds([both, one, other, young])).toEqual([true, true, true, true]);
    await scene.rounds(1);
    expect(await scene.holds([both, one, other, young])).toEqual([false, true, true, true]);
    await scene.rounds(2);
    expect(await scene.holds([one, other, young])).toEqual([true, true, true]);
    for (const { hashes } of scene.edges) expect(hashes).not.toContain(young.hash);
    const status = await scene.node.node.status();
    expect(status).toMatchObject({ reclaimed: { chunks: 1, bytes: 1000 }, chunks: 3 });
    expect(status.usedBytes).toBe(3000);
    // What is needed for a while is asked for anew, twice.
    scene.edges[0]?.needed.delete(one.hash);
    await scene.rounds(1);
    expect(await scene.holds([one])).toEqual([true]);
    await scene.rounds(1);
    expect(await scene.holds([one, other])).toEqual([false, true]);
  });

  const STRANGE: [string, (chunks: StateOf[]) => unknown][] = [
    ["an error", () => Promise.reject(new Error("down"))],
    ["nothing", () => ({})],
    ["null", () => null],
    ["an empty list", () => ({ chunks: [] })],
    ["fewer chunks", (chunks) => ({ chunks: chunks.slice(1) })],
    ["another order", (chunks) => ({ chunks: chunks.toReversed() })],
    ["other chunks", (chunks) => ({ chunks: chunks.map((chunk) => ({ ...chunk, hash: chunkOf(1).hash })) })],
    ["another word", (chunks) => ({ chunks: chunks.map((chunk) => ({ ...chunk, state: "gone" })) })],
  ];

  it("keeps everything as long as one of them answers strangely, or not", async () => {
    const scene = await Scene.withEdges(2);
    const chunks = await scene.hold(3);
    const [sound, strange] = scene.edges as [CollectingEdge, CollectingEdge];
    await scene.rounds(1);
    const right = strange.twist;
    for (const [what, twist] of STRANGE) {
      strange.twist = twist;
      const asked = strange.asked.length;
      // Past the time at which the second round would have deleted them.
      for (let i = 0; i < 15; i++) await scene.step();
      await scene.stepUntil("it was asked twice", () => strange.asked.length >= asked + 2);
      expect({ what, holds: await scene.holds(chunks) }).toEqual({ what, holds: [true, true, true] });
    }
    expect(sound.asked.length).toBeGreaterThan(STRANGE.length);
    // Control.
    strange.twist = right;
    await scene.rounds(1);
    expect(await scene.holds(chunks)).toEqual([false, false, false]);
  });

  it("keeps everything while one of them is away", async () => {
    const edge = await CollectingEdge.start();
    const away = await CollectingEdge.start();
    away.registerNew = async () => undefined;
    const scene = await Scene.start([edge, away]);
    const chunks = await scene.hold(2);
    for (let i = 0; i < 40; i++) await scene.step();
    expect(await scene.holds(chunks)).toEqual([true, true]);
    expect(away.asked).toEqual([]);
    // Control: alone, the other's word is enough.
    await scene.node.node.stop();
    const alone = await Scene.start([edge], { dir: scene.node.dir });
    await alone.rounds(2);
    expect(await alone.holds(chunks)).toEqual([false, false]);
  });
});

describe("a home node", () => {
  it("keeps what came again between two rounds, also where it ended before it wrote that down", async () => {
    const scene = await Scene.withEdges(1);
    const [again, gone] = (await scene.hold(2)) as [Chunk, Chunk];
    await scene.rounds(1);
    const verdicts = await readFile(scene.file);
    expect((await scene.put(again)).status).toBe(200);
    await scene.node.node.stop();
    await writeFile(scene.file, verdicts);
    const next = await Scene.start(scene.edges, { dir: scene.node.dir });
    await next.rounds(2);
    expect(await next.holds([again, gone])).toEqual([true, false]);
    // Once it is old again, it takes two rounds more.
    await next.age(again, COLLECT_AGE_MS + HOUR_MS);
    await next.rounds(1);
    expect(await next.holds([again])).toEqual([true]);
    await next.rounds(1);
    expect(await next.holds([again])).toEqual([false]);
  });

  it("remembers over a restart what it was told, and when it asked", async () => {
    const scene = await Scene.withEdges(1);
    const chunks = await scene.hold(1);
    await scene.rounds(1);
    await scene.node.node.stop();
    const next = await Scene.start(scene.edges, { dir: scene.node.dir });
    const asked = scene.edges[0]?.asked.length ?? 0;
    while (clock.now() < next.roundMs + (EVERY_S - 3) * 1000) await next.step();
    expect(scene.edges[0]?.asked).toHaveLength(asked);
    await next.rounds(1);
    expect(await next.holds(chunks)).toEqual([false]);
    expect((await next.node.node.status()).reclaimed).toEqual({ chunks: 1, bytes: 1000 });
  });

  it("begins anew where what it remembers is damaged", async () => {
    const scene = await Scene.withEdges(1);
    const chunks = await scene.hold(1);
    await scene.rounds(1);
    await scene.node.node.stop();
    await writeFile(scene.file, '{"type":"holdfast-collection-1","roundMs":0');
    const next = await Scene.start(scene.edges, { dir: scene.node.dir });
    await next.rounds(1);
    expect(await next.holds(chunks)).toEqual([true]);
    expect(await readFile(`${scene.file}.damaged`, "utf8")).toContain("roundMs");
    await next.rounds(1);
    expect(await next.holds(chunks)).toEqual([false]);
  });

  it("says since when it holds a chunk for an edge: not longer than it has asked that edge", async () => {
    const scene = await Scene.withEdges(1);
    const startMs = clock.now();
    const [chunk] = (await scene.hold(1)) as [Chunk];
    await scene.rounds(3);
    const times = scene.edges[0]?.asked.flat().map(({ hash, since }) => [hash, Date.parse(since)] as const);
    expect(new Set(times?.map(([hash]) => hash))).toEqual(new Set([chunk.hash]));
    expect(new Set(times?.map(([, ms]) => ms)).size).toBe(1);
    expect(times?.[0]?.[1]).toBeGreaterThanOrEqual(startMs);
  });

  it("asks in batches, and about each chunk once a round", async () => {
    const scene = await Scene.withEdges(1);
    const [edge] = scene.edges as [CollectingEdge];
    const chunks = await scene.hold(30);
    for (const { hash } of chunks) edge.needed.add(hash);
    await scene.rounds(1);
    expect(edge.asked.map(({ length }) => length)).toEqual([30]);
    expect(new Set(edge.hashes)).toEqual(new Set(chunks.map(({ hash }) => hash)));
  });

  it("deletes nothing where it serves no edge, or is told to keep all", async () => {
    const none = await Scene.start([]);
    const kept = await none.hold(1);
    const edge = await CollectingEdge.start();
    const all = await Scene.start([edge], { collectSeconds: 0 });
    const keptToo = await all.hold(1);
    for (let i = 0; i < 40; i++) await all.step();
    expect([await none.holds(kept), await all.holds(keptToo)]).toEqual([[true], [true]]);
    expect(edge.asked).toEqual([]);
  });
});
