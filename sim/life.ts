// A network's life: it grows node by node, then half of its nodes leave within two hours while as many come, and meanwhile
// chunks are looked up.

import type { SeededRandom } from "../test/random.ts";
import type { Tally } from "./network.ts";
import type { SimNode } from "./node.ts";
import { type StoredChunk, storeChunk } from "./objects.ts";
import { type Read, read } from "./reads.ts";
import { join, lookAfterTable, UPKEEP_INTERVAL_MS } from "./tables.ts";
import type { World } from "./world.ts";

const HOUR_MS = 3600 * 1000;
/** Half of the nodes leave within so long. */
export const HALF_LIFE_MS = 2 * HOUR_MS;
/** Chunks are looked up for so long; in a large network, where many come and go in that time, for a quarter of it. */
const LOOKED_UP_FOR_MS = HALF_LIFE_MS;
const LARGE_NODES = 20_000;
/** A node joins so long after the one before it. */
const ARRIVAL_INTERVAL_MS = 200;
/** Each chunk is looked up so often, on average. */
const LOOKUPS_PER_CHUNK = 4;

function lookedUpForMs(nodes: number): number {
  return nodes > LARGE_NODES ? LOOKED_UP_FOR_MS / 4 : LOOKED_UP_FOR_MS;
}

/** Of `nodes`, so many come in their place while chunks are looked up; with room for chance. */
export function arrivalsMax(nodes: number): number {
  const expected = nodes * Math.LN2 * (lookedUpForMs(nodes) / HALF_LIFE_MS);
  return Math.ceil(expected + 8 * Math.sqrt(expected) + 10);
}

export type OnProgress = (what: string, done: number, total: number) => void;

export async function grow(world: World, onProgress: OnProgress): Promise<void> {
  const { nodes } = world.scene;
  const random = world.random("first contacts");
  const joins: Promise<void>[] = [];
  for (let i = 0; i < nodes; i++) {
    joins.push(arrive(world, random).joined);
    await world.clock.sleep(ARRIVAL_INTERVAL_MS);
    onProgress("nodes", i + 1, nodes);
  }
  await Promise.all(joins);
}

/** A newcomer, and when it has joined: by an honest node, unless it is the first. */
function arrive(world: World, random: SeededRandom): { node: SimNode; joined: Promise<void> } {
  const node = world.createNode();
  if (node.contact.index > 0)
    return { node, joined: join(world, node, () => world.pickFirstContact(random)) };
  node.isReady = true;
  return { node, joined: Promise.resolve() };
}

export async function store(world: World, tally: Tally, onProgress: OnProgress): Promise<StoredChunk[]> {
  const count = Math.ceil(world.scene.lookups / LOOKUPS_PER_CHUNK);
  const chunks: Promise<StoredChunk>[] = [];
  for (let i = 0; i < count; i++) {
    chunks.push(storeChunk(world, `chunk ${i} of ${world.scene.seed}`, tally));
    await world.clock.sleep(ARRIVAL_INTERVAL_MS);
    onProgress("chunks announced", i + 1, count);
  }
  return Promise.all(chunks);
}

/** Reads, while nodes come and go if `churns`. What nobody keeps any more is not counted. */
export async function readChunks(
  world: World,
  chunks: readonly StoredChunk[],
  churns: boolean,
  onProgress: OnProgress,
): Promise<Read[]> {
  const churn = churns ? new Churn(world) : null;
  churn?.start();
  const { nodes, lookups } = world.scene;
  const random = world.random("readers");
  const reads: Promise<Read | null>[] = [];
  for (let i = 0; i < lookups; i++) {
    await world.clock.sleep(lookedUpForMs(nodes) / lookups);
    reads.push(read(world, random.pick(chunks), world.pickFirstContact(random)));
    onProgress("look-ups", i + 1, lookups);
  }
  const done = await Promise.all(reads);
  churn?.stop();
  return done.filter((one) => one !== null);
}

/** Nodes leave at random, as many come, and those that stay look after their tables. */
class Churn {
  readonly #world: World;
  readonly #random: SeededRandom;
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random("churn");
  }

  start(): void {
    for (const node of this.#world.presentNodes()) this.#live(node);
    this.#replace();
  }

  stop(): void {
    this.#isOver = true;
  }

  /** A node's remaining life, and the first of its hours. */
  #live(node: SimNode): void {
    const { clock } = this.#world;
    clock.after((-Math.log(1 - this.#random.next()) * HALF_LIFE_MS) / Math.LN2, () => {
      if (!this.#isOver) this.#world.removeNode(node.contact);
    });
    clock.after(this.#random.next() * UPKEEP_INTERVAL_MS, () => this.#lookAfter(node));
  }

  #lookAfter(node: SimNode): void {
    if (this.#isOver || !this.#world.population.isPresent(node.contact.index)) return;
    void lookAfterTable(this.#world, node);
    this.#world.clock.after(UPKEEP_INTERVAL_MS, () => this.#lookAfter(node));
  }

  /** Newcomers, on average as many as leave. */
  #replace(): void {
    const perMs = (this.#world.scene.nodes * Math.LN2) / HALF_LIFE_MS;
    this.#world.clock.after(-Math.log(1 - this.#random.next()) / perMs, () => {
      if (this.#isOver) return;
      this.#live(arrive(this.#world, this.#random).node);
      this.#replace();
    });
  }
}
