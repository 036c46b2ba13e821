// Readers: each knows one honest node, looks a chunk up from there, and believes nobody: what a holder gives is hashed.

import { lookup } from "../lib/overlay/lookup.ts";
import { answerOf } from "./hostile.ts";
import type { Tally } from "./network.ts";
import { isKept, recordsFound, type StoredChunk } from "./objects.ts";
import type { Contact } from "./population.ts";
import type { World } from "./world.ts";

/** Holders tried of those that one answer names. */
const HOLDERS_TRIED_MAX = 4;

export interface Read {
  isFound: boolean;
  /** Nodes that told of each other, from the first contact to the one that named a holder. */
  hops: number;
  calls: number;
  tookMs: number;
  /** Of the k nodes closest to the chunk, those that have a record of it. */
  records: number;
}

/** Null where no honest node keeps the chunk, or none when the look-up ends: there is nothing to be found. */
export async function read(world: World, chunk: StoredChunk, from: Contact): Promise<Read | null> {
  const { network, clock, scene } = world;
  if (!isKept(world, chunk)) return null;
  const records = recordsFound(world, chunk);
  const startedMs = clock.nowMs;
  const tally: Tally = { calls: 0 };
  const reader = new Reader(world, chunk, tally);
  const { values, hops } = await lookup<Contact, true>(chunk.hash, [from], {
    paths: scene.paths,
    isEnough: ({ length }) => length > 0,
    ask: async (contact) => {
      const { holders, closer } = await network.call(contact, tally, () =>
        answerOf(network, world.node(contact), chunk.hash),
      );
      return { value: (await reader.fetchFrom(holders)) ? true : null, contacts: closer };
    },
  });
  const isFound = values.length > 0 || (await reader.fetchAgain());
  if (!isFound && !isKept(world, chunk)) return null;
  const tookMs = clock.nowMs - startedMs;
  return { isFound, hops: values[0]?.hops ?? hops, calls: tally.calls, tookMs, records };
}

/** Asks nobody for the chunk twice, but for those that did not answer: them once more when nobody else is left. */
class Reader {
  readonly #world: World;
  readonly #chunk: StoredChunk;
  readonly #tally: Tally;
  readonly #tried = new Set<Contact>();
  readonly #silent: Contact[] = [];

  constructor(world: World, chunk: StoredChunk, tally: Tally) {
    this.#world = world;
    this.#chunk = chunk;
    this.#tally = tally;
  }

  async fetchFrom(holders: readonly Contact[]): Promise<boolean> {
    const untried = holders.filter((holder) => !this.#tried.has(holder)).slice(0, HOLDERS_TRIED_MAX);
    for (const holder of untried) this.#tried.add(holder);
    for (const holder of untried) if (await this.#fetch(holder)) return true;
    return false;
  }

  async fetchAgain(): Promise<boolean> {
    for (const holder of [...this.#silent]) if (await this.#fetch(holder)) return true;
    return false;
  }

  async #fetch(holder: Contact): Promise<boolean> {
    const { hash, holders } = this.#chunk;
    try {
      const given = await this.#world.network.call(holder, this.#tally, () =>
        holders.includes(holder) ? hash : holder.id,
      );
      return given === hash;
    } catch {
      this.#silent.push(holder);
      return false;
    }
  }
}
