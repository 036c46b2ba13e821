// Readers: each knows one honest node, looks a chunk up from there, and believes nobody: what a holder gives is hashed.

import type { Hash } from "../lib/hash.ts";
import { type FoundHolder, HolderSearch } from "../lib/overlay/holder-search.ts";
import { answerOf } from "./hostile.ts";
import type { Tally } from "./network.ts";
import type { Referral } from "./node.ts";
import { isKept, recordsFound, type StoredChunk } from "./objects.ts";
import type { Contact } from "./population.ts";
import type { World } from "./world.ts";

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
  const hops = await find(world, chunk, from, tally);
  if (hops === null && !isKept(world, chunk)) return null;
  const tookMs = clock.nowMs - startedMs;
  return { isFound: hops !== null, hops: hops ?? 0, calls: tally.calls, tookMs, records };
}

/** Hops to the node that named whoever gave the chunk; null where nobody did. */
async function find(world: World, chunk: StoredChunk, from: Contact, tally: Tally): Promise<number | null> {
  const ask = (contact: Contact, hash: Hash): Promise<Referral> =>
    world.network.call(contact, tally, () => answerOf(world.network, world.node(contact), hash));
  const search = new HolderSearch<Contact, Contact>(chunk.hash, {
    start: () => [from],
    ask: async (contact) => {
      const { holders, closer } = await ask(contact, chunk.hash);
      return { value: holders.length === 0 ? null : holders, contacts: closer };
    },
    closest: async (contact, hash) => (await ask(contact, hash)).closer,
    paths: world.scene.paths,
  });
  const silent: FoundHolder<Contact>[] = [];
  for (let known = 0; ; ) {
    const found = await search.more(known);
    // Whoever did not answer is asked once more when nobody else is left: lib/client/chunk-source.ts.
    const tried = found.length > 0 ? found : silent.splice(0);
    if (tried.length === 0) return null;
    for (const one of tried) {
      const given = await fetchFrom(world, chunk, one.holder, tally);
      if (given === "chunk") return one.hops;
      if (given === null && found.length > 0) silent.push(one);
    }
    known += found.length;
  }
}

/** What a node gives that is said to keep the chunk; null: no answer. */
async function fetchFrom(
  world: World,
  { holders }: StoredChunk,
  holder: Contact,
  tally: Tally,
): Promise<"chunk" | "something else" | null> {
  try {
    return await world.network.call(holder, tally, () =>
      holders.includes(holder) ? "chunk" : "something else",
    );
  } catch {
    return null;
  }
}
