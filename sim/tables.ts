// How a routing table comes to be and stays good: a node joins by looking up its own id through one that it knows, looks for
// nodes in each bucket that has few, and asks now and then whether those that it knows are there.

import { decodeHash, encodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { K, sharedBits } from "../lib/overlay/distance.ts";
import { type LookupOptions, lookup } from "../lib/overlay/lookup.ts";
import type { SeededRandom } from "../test/random.ts";
import { answerOf } from "./hostile.ts";
import type { SimNode } from "./node.ts";
import type { Contact } from "./population.ts";
import type { MeetingTally, World } from "./world.ts";

/** Nodes asked for contacts of one bucket. */
const REFRESH_ASKED_MAX = 6;
/** A table is looked after so often. */
export const UPKEEP_INTERVAL_MS = 3600 * 1000;
/** A bucket with fewer contacts is filled up again. */
const BUCKET_FEW = K / 2;
/** Beside GET /closest: POST /contact, and the GET /status by which the other sees that the card is true. */
const INTRODUCTION_CALLS = 2;

export async function join(world: World, node: SimNode, via: Contact): Promise<void> {
  const tally = world.joining;
  await lookUpToMeet(world, node, node.contact.id, { start: [via], tally, options: {} });
  await fillBuckets(world, node, { fewerThan: K, tally });
  node.isReady = true;
  world.joins += 1;
}

/** Drops whoever is gone, and looks for others where few are left. */
export async function lookAfterTable(world: World, node: SimNode): Promise<void> {
  for (const contact of node.table.contacts()) {
    world.upkeep.calls += 1;
    if (!world.population.isPresent(contact.index))
      node.table.remove(world.population.entry(contact.index).id);
  }
  await fillBuckets(world, node, { fewerThan: BUCKET_FEW, tally: world.upkeep });
}

/** Looks up an id in each bucket with too few, from the widest to the one that the nearest neighbour is in. */
async function fillBuckets(
  world: World,
  node: SimNode,
  { fewerThan, tally }: { fewerThan: number; tally: MeetingTally },
): Promise<void> {
  const self = node.contact.id;
  const random = world.random(`buckets of ${node.contact.index}`);
  const counts = new Map<number, number>();
  for (const { id } of node.table.contacts()) {
    const bits = sharedBits(self, id);
    counts.set(bits, (counts.get(bits) ?? 0) + 1);
  }
  const deepest = Math.max(0, ...counts.keys());
  for (let bits = 0; bits < deepest; bits++) {
    if ((counts.get(bits) ?? 0) >= fewerThan) continue;
    const target = idInBucket(self, bits, random);
    const options = { paths: 1, askedMax: REFRESH_ASKED_MAX };
    await lookUpToMeet(world, node, target, { start: node.table.closest(target), tally, options });
  }
}

/** A look-up in which the node introduces itself to everybody that it asks, and remembers who answers. */
async function lookUpToMeet(
  world: World,
  node: SimNode,
  target: Hash,
  how: { start: Contact[]; tally: MeetingTally; options: Partial<LookupOptions<Contact, never>> },
): Promise<void> {
  const { network, population } = world;
  await lookup<Contact, never>(target, how.start, {
    ...how.options,
    self: node.contact.id,
    ask: async (contact) => {
      how.tally.calls += INTRODUCTION_CALLS;
      try {
        const { closer } = await network.call(contact, how.tally, () => {
          const peer = world.node(contact);
          if (meet(world, peer, node.contact)) how.tally.taken += 1;
          return answerOf(network, peer, target);
        });
        meet(world, node, contact);
        return { value: null, contacts: closer };
      } catch (error) {
        node.table.remove(population.entry(contact.index).id);
        throw error;
      }
    },
  });
}

/** Takes a contact in, where a full bucket's oldest are gone in their place. False where there is no room. */
function meet(world: World, node: SimNode, contact: Contact): boolean {
  const { population, upkeep } = world;
  const entry = population.entry(contact.index);
  const oldest = node.table.add(entry);
  upkeep.calls += oldest.length;
  const gone = oldest.filter((other) => !population.isPresent(other.contact.index));
  for (const { id } of gone) node.table.remove(id);
  return oldest.length === 0 || (gone.length > 0 && node.table.add(entry).length === 0);
}

/** An id that has exactly so many bits in common with `self`. */
function idInBucket(self: NodeId, bits: number, random: SeededRandom): Hash {
  const id = random.bytes(32);
  const own = decodeHash(self);
  const whole = bits >> 3;
  id.set(own.subarray(0, whole));
  const flipped = 0x80 >> (bits & 7);
  const shared = ~(2 * flipped - 1) & 0xff;
  const [mine = 0, drawn = 0] = [own[whole], id[whole]];
  id[whole] = (mine & shared) | (~mine & flipped) | (drawn & (flipped - 1));
  return encodeHash(id);
}
