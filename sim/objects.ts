// Chunks in the network: placed by the edge's rules, and announced by whoever keeps them, or says so.

import { type Hash, hashBytes } from "../lib/hash.ts";
import { parseDomain } from "../lib/names.ts";
import { K } from "../lib/overlay/distance.ts";
import { lookup } from "../lib/overlay/lookup.ts";
import { type Candidate, placeReplicas } from "../lib/overlay/placement.ts";
import { answerOf } from "./hostile.ts";
import type { Tally } from "./network.ts";
import type { Contact } from "./population.ts";
import type { World } from "./world.ts";

const REPLICAS = 3;
/** Online nodes among which an edge places: durable-objects/index-client.ts. */
const CANDIDATES = 512;
const NODES_PER_NETWORK = 2;
/** Hostile nodes that announce a chunk which they never had; to the very nodes that are asked for it. */
const FALSE_HOLDERS = 3;
const domain = parseDomain("example.org");

export interface StoredChunk {
  hash: Hash;
  /** Those that really keep it. */
  holders: readonly Contact[];
}

/** Places a chunk and has it announced; `tally` counts the calls of the honest holders. */
export async function storeChunk(world: World, name: string, tally: Tally): Promise<StoredChunk> {
  const hash = hashBytes(new TextEncoder().encode(name));
  const placed = place(world, hash);
  const holders = placed.filter(({ index }) => world.population.isHonest(index));
  const liars = [
    ...placed.filter((one) => !holders.includes(one)),
    ...world.network.colluders.closest(hash, FALSE_HOLDERS),
  ];
  const { present } = world.network;
  for (const keeper of present.closest(hash, K))
    for (const liar of liars) world.node(keeper).keepRecord(hash, liar);
  await Promise.all(holders.map((holder) => announce(world, holder, hash, tally)));
  return { hash, holders };
}

function place({ network }: World, chunk: Hash): Contact[] {
  const near = new Map(network.present.closest(chunk, CANDIDATES).map((contact) => [contact.id, contact]));
  const candidates = [...near.values()].map(
    ({ id, index }): Candidate => ({
      ...{ id, failureDomain: `network ${Math.floor(index / NODES_PER_NETWORK)}`, domains: "all" },
      ...{ online: true, leaving: false, freeBytes: 1e9, standing: 1, hours: null, firstSeenMs: 0 },
    }),
  );
  const request = { chunk, count: REPLICAS, domain, sizeBytes: 1, nowMs: Number.MAX_SAFE_INTEGER };
  const rules = { taken: new Set<string>(), avoid: new Set<never>(), holders: [], hoursYield: false };
  return placeReplicas({ ...request, ...rules }, candidates).flatMap((id) => near.get(id) ?? []);
}

/**
 * The holder looks up who is closest to the hash, and leaves a record there. It begins with its whole table: of those nearest
 * in it all may be hostile.
 */
async function announce(world: World, holder: Contact, hash: Hash, tally: Tally): Promise<void> {
  const { network } = world;
  const node = world.node(holder);
  const { closest } = await lookup<Contact, never>(hash, node.table.contacts(), {
    self: holder.id,
    ask: async (contact) => {
      const { closer } = await network.call(contact, tally, () =>
        answerOf(network, world.node(contact), hash),
      );
      return { value: null, contacts: closer };
    },
  });
  await Promise.allSettled(
    closest.map((keeper) =>
      network.call(keeper, tally, () => {
        world.node(keeper).keepRecord(hash, holder);
        return true;
      }),
    ),
  );
}

/** Whether an honest node that is there keeps it. */
export function isKept({ population }: World, { holders }: StoredChunk): boolean {
  return holders.some(({ index }) => population.isPresent(index));
}

/** Of the k nodes that are closest to the chunk now, how many have a record of one who keeps it. */
export function recordsFound(world: World, { hash, holders }: StoredChunk): number {
  const keepers = world.network.present.closest(hash, K);
  const isTold = (keeper: Contact) =>
    world
      .node(keeper)
      .holdersOf(hash)
      .some((told) => holders.includes(told) && world.population.isPresent(told.index));
  return keepers.filter(isTold).length;
}
