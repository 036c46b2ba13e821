// Readers: each knows one honest node, looks a chunk up from there, and believes nobody: what a holder gives is hashed.

import type { Hash } from "../lib/hash.ts";
import { hashesElsewhere } from "../lib/overlay/distance.ts";
import { lookup } from "../lib/overlay/lookup.ts";
import { answerOf } from "./hostile.ts";
import type { Tally } from "./network.ts";
import type { Referral } from "./node.ts";
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
  const { clock } = world;
  if (!isKept(world, chunk)) return null;
  const records = recordsFound(world, chunk);
  const startedMs = clock.nowMs;
  const tally: Tally = { calls: 0 };
  const reader = new Reader(world, chunk, tally);
  const found =
    (await reader.lookUp([from], 1)) ?? (await reader.lookUp(await reader.contactsElsewhere(from), 2));
  if (found === null && !isKept(world, chunk)) return null;
  const tookMs = clock.nowMs - startedMs;
  return { isFound: found !== null, hops: found ?? 0, calls: tally.calls, tookMs, records };
}

/** Holders that an answer named first, and whether one of them gave the chunk. */
interface Named {
  holders: readonly Contact[];
  isFound: boolean;
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

  /** Hops to the node that named whoever gave the chunk; null where nobody did. The first contacts are at `startHops`. */
  async lookUp(start: readonly Contact[], startHops: number): Promise<number | null> {
    const { scene } = this.#world;
    const { hash } = this.#chunk;
    const { values } = await lookup<Contact, Named>(hash, start, {
      paths: scene.paths,
      isEnough: (named) => named.some(({ value }) => value.isFound),
      ask: async (contact) => {
        const { holders, closer } = await this.#ask(contact, hash);
        return { value: await this.#fetchFrom(holders), contacts: closer };
      },
    });
    const found = values.find(({ value }) => value.isFound) ?? (await this.#fetchAgain(values));
    return found === null ? null : found.hops - 1 + startHops;
  }

  /** What the only node that is known says of other parts of the space: around the chunk it may know liars only. */
  async contactsElsewhere(from: Contact): Promise<Contact[]> {
    const told = await Promise.allSettled(
      hashesElsewhere(this.#chunk.hash).map((hash) => this.#ask(from, hash)),
    );
    return told.flatMap((one) => (one.status === "fulfilled" ? one.value.closer : []));
  }

  #ask(contact: Contact, hash: Hash): Promise<Referral> {
    const { network } = this.#world;
    return network.call(contact, this.#tally, () => answerOf(network, this.#world.node(contact), hash));
  }

  /** Null where nobody is named who was not tried. */
  async #fetchFrom(named: readonly Contact[]): Promise<Named | null> {
    const holders = named.filter((holder) => !this.#tried.has(holder)).slice(0, HOLDERS_TRIED_MAX);
    if (holders.length === 0) return null;
    for (const holder of holders) this.#tried.add(holder);
    for (const holder of holders) if (await this.#fetch(holder)) return { holders, isFound: true };
    return { holders, isFound: false };
  }

  /** Who named the one that answers now; null where none does. */
  async #fetchAgain<T extends { value: Named }>(answers: readonly T[]): Promise<T | null> {
    for (const holder of [...this.#silent])
      if (await this.#fetch(holder))
        return answers.find(({ value }) => value.holders.includes(holder)) ?? null;
    return null;
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
