// How a routing table comes to be and stays good: a node joins by looking up its own id through one that it knows, looks for
// nodes in each bucket that has few, and asks now and then whether those that it knows are there.

import { decodeHash, encodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { K } from "../lib/overlay/distance.ts";
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
/** A bucket with fewer contacts is filled up. */
const BUCKET_FEW = K;
/** Nodes met of those that one answer was the first to name. */
const MET_PER_TELLER_MAX = 4;
/** Beside GET /closest: POST /contact, and the GET /status by which the other sees that the card is true. */
const INTRODUCTION_CALLS = 2;

export async function join(world: World, node: SimNode, via: Contact): Promise<void> {
  const tally = world.joining;
  await lookUpToMeet(world, node, node.contact.id, { start: [via], tally, options: {} });
  await fillBuckets(world, node, tally);
  node.isReady = true;
  world.joins += 1;
}

/** Drops whoever is gone, and looks for others where few are left. */
export async function lookAfterTable(world: World, node: SimNode): Promise<void> {
  for (const contact of node.table.contacts()) {
    world.upkeep.calls += 1;
    if (!world.population.isPresent(contact.index)) node.table.remove(contact.id);
  }
  await fillBuckets(world, node, world.upkeep);
}

/** Looks up an id in each bucket with too few, from the widest to the one that the nearest neighbour is in. */
async function fillBuckets(world: World, node: SimNode, tally: MeetingTally): Promise<void> {
  const random = world.random(`buckets of ${node.contact.index}`);
  const { depth } = node.table;
  for (let bits = 0; bits < depth - 1; bits++) {
    if (node.table.bucket(bits).length >= BUCKET_FEW) continue;
    const target = idInBucket(node.contact.id, bits, random);
    const options = { paths: 1, askedMax: REFRESH_ASKED_MAX };
    await lookUpToMeet(world, node, target, { start: node.table.closest(target), tally, options });
  }
}

/**
 * A look-up in which the node introduces itself to a few of those that each answer named first, and to the closest: a liar's
 * friends, who are all asked because he names them, do not all get into the table by that.
 */
async function lookUpToMeet(
  world: World,
  node: SimNode,
  target: Hash,
  how: { start: Contact[]; tally: MeetingTally; options: Partial<LookupOptions<Contact, never>> },
): Promise<void> {
  const { network } = world;
  const { tally } = how;
  const toldBy = new Map<Contact, Contact>();
  const metThrough = new Map<Contact, number>();
  const met = new Set<Contact>();
  const isToMeet = (contact: Contact) => {
    const teller = toldBy.get(contact);
    const already = teller === undefined ? 0 : (metThrough.get(teller) ?? 0);
    if (teller !== undefined) metThrough.set(teller, already + 1);
    return already < MET_PER_TELLER_MAX;
  };
  const { closest } = await lookup<Contact, never>(target, how.start, {
    ...how.options,
    self: node.contact.id,
    ask: async (contact) => {
      if (isToMeet(contact)) met.add(contact);
      const { closer } = await orForget(node, contact, () =>
        network.call(contact, tally, () => answerOf(network, world.node(contact), target)),
      );
      for (const told of closer) if (!toldBy.has(told)) toldBy.set(told, contact);
      return { value: null, contacts: closer };
    },
  });
  for (const other of new Set([...met, ...closest])) introduce(world, node, other, tally);
}

/** Two nodes exchange cards, and each sees that the other is where it says. */
function introduce(world: World, node: SimNode, other: Contact, tally: MeetingTally): void {
  tally.calls += INTRODUCTION_CALLS - 1;
  if (!world.network.reach(other, tally)) return;
  if (meet(world, world.node(other), node.contact)) tally.taken += 1;
  meet(world, node, other);
}

/** Whoever does not answer is no contact any more. */
async function orForget<T>(node: SimNode, contact: Contact, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    node.table.remove(contact.id);
    throw error;
  }
}

/** Takes a contact in, where a full bucket's oldest are gone in their place. False where there is no room. */
function meet(world: World, node: SimNode, contact: Contact): boolean {
  const { population, upkeep } = world;
  const oldest = node.table.add(contact);
  upkeep.calls += oldest.length;
  const gone = oldest.filter((other) => !population.isPresent(other.index));
  for (const { id } of gone) node.table.remove(id);
  return oldest.length === 0 || (gone.length > 0 && node.table.add(contact).length === 0);
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
