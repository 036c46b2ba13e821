// The simulated home nodes and what is counted while they live.

import { SeededRandom } from "../test/random.ts";
import { Clock } from "./clock.ts";
import { TableDrawer } from "./drawn-tables.ts";
import { Network, type Tally } from "./network.ts";
import { SimNode } from "./node.ts";
import { type Contact, Population } from "./population.ts";

export const TABLES = ["joined", "drawn"] as const;

export const BUCKETS = ["sampled", "looked up"] as const;

export interface Scene {
  nodes: number;
  seed: string;
  /** Share of the nodes that are hostile, and of the calls that are lost. */
  hostile: number;
  loss: number;
  lookups: number;
  /** Disjoint paths of a reader's look-up. */
  paths: number;
  /** Whether nodes join one after the other, or the tables that look-ups touch are drawn: then nobody comes or goes. */
  tables: (typeof TABLES)[number];
  /** Whether a joining node samples its far buckets, or looks up a random id in each as the home node does. */
  buckets: (typeof BUCKETS)[number];
}

/** Calls by which nodes get to know each other, and how often one was taken into a table. */
export interface MeetingTally extends Tally {
  taken: number;
}

export class World {
  readonly scene: Scene;
  readonly clock = new Clock();
  readonly population: Population;
  readonly network: Network;
  readonly #nodes: (SimNode | undefined)[] = [];
  /** Fills the table of a node that is first asked for, where nodes did not join. */
  #drawTable: ((node: SimNode) => void) | null = null;
  /** Calls by joining nodes, and calls by nodes that look after their tables. */
  readonly joining: MeetingTally = { calls: 0, taken: 0 };
  readonly upkeep: MeetingTally = { calls: 0, taken: 0 };
  joins = 0;
  /** By which nodes draw the ids that they look up. */
  readonly draws: SeededRandom;

  constructor(scene: Scene, capacity: number) {
    this.scene = scene;
    this.population = new Population(capacity, scene, this.random("population"));
    this.draws = this.random("ids looked up");
    this.network = new Network(this.clock, this.population, scene, this.random("network"));
  }

  /** Draws of their own for each purpose: what one part draws changes nothing for the others. */
  random(purpose: string): SeededRandom {
    const { seed, nodes } = this.scene;
    return new SeededRandom(seed, nodes, purpose);
  }

  /** A node that is there, and that nobody knows yet. */
  createNode(): SimNode {
    const node = new SimNode(this.population.create());
    this.#nodes[node.contact.index] = node;
    this.network.arrive(node.contact);
    return node;
  }

  removeNode(contact: Contact): void {
    this.network.leave(contact);
    this.#nodes[contact.index] = undefined;
  }

  /** Nodes that are there at once, and those that others still have in their tables: these are drawn when they are needed. */
  populate({ present, gone }: { present: number; gone: number }): void {
    for (let i = 0; i < present; i++) this.network.arrive(this.population.create());
    for (let i = 0; i < gone; i++) this.population.create();
    const drawer = new TableDrawer(this.population, this.random("tables"));
    this.#drawTable = (node) => drawer.fill(node);
  }

  /** The node of a contact that is there. */
  node({ index }: Contact): SimNode {
    const known = this.#nodes[index];
    if (known !== undefined) return known;
    if (this.#drawTable === null || !this.population.isPresent(index))
      throw new RangeError(`node ${index} is not there`);
    const node = new SimNode(this.population.contact(index));
    this.#nodes[index] = node;
    this.#drawTable(node);
    node.isReady = true;
    return node;
  }

  /** An honest node that is there and has joined: one that a reader or a newcomer knows. */
  pickFirstContact(random: SeededRandom): Contact {
    for (;;) {
      const contact = this.population.contact(random.pick(this.population.present));
      if (this.population.isHonest(contact.index) && this.node(contact).isReady) return contact;
    }
  }

  /** Nodes that are there and have a table. */
  presentNodes(): SimNode[] {
    return this.population.present.flatMap((index) => this.#nodes[index] ?? []);
  }
}
