// How a routing table comes to be and stays good, as home-node/overlay/upkeep.ts does it: a node looks up its own id and gets to
// know the closest, then looks for nodes in each farther bucket with few.

import { decodeHash, encodeHash, HASH_BYTES, type Hash, type NodeId } from "../lib/hash.ts";
import { K, sharedBits } from "../lib/overlay/distance.ts";
import { lookup } from "../lib/overlay/lookup.ts";
import { sampleBucket } from "./bucket-sample.ts";
import { answerOf } from "./hostile.ts";
import { PATIENCE_MS } from "./network.ts";
import type { SimNode } from "./node.ts";
import type { Contact } from "./population.ts";
import type { MeetingTally, World } from "./world.ts";

/** A table is looked after so often. */
export const UPKEEP_INTERVAL_MS = 3600 * 1000;
/** So many contacts of each bucket are looked for. Others come by themselves: they are as honest as the network is. */
const BUCKET_FILLED = 12;
/** Beside GET /closest: POST /contact, and the GET /status by which the other sees that the card is true. */
const INTRODUCTION_CALLS = 2;

/** Exchanges cards with one that `pickVia` knows, or with the next where that is lost, and looks around from there. */
export async function join(world: World, node: SimNode, pickVia: () => Contact): Promise<void> {
  const { joining, clock } = world;
  for (;;) {
    introduce(world, node, pickVia(), joining);
    if (node.table.size > 0) break;
    await clock.sleep(PATIENCE_MS);
  }
  await new Round(world, node, joining).run();
  node.isReady = true;
  world.joins += 1;
}

/** Drops whoever is gone, and looks for others. */
export async function lookAfterTable(world: World, node: SimNode): Promise<void> {
  for (const contact of node.table.contacts()) {
    world.upkeep.calls += 1;
    if (!world.population.isPresent(contact.index)) node.table.remove(contact.id);
  }
  await new Round(world, node, world.upkeep).run();
}

/** A node looks around, once. */
class Round {
  readonly #world: World;
  readonly #node: SimNode;
  readonly #tally: MeetingTally;

  constructor(world: World, node: SimNode, tally: MeetingTally) {
    this.#world = world;
    this.#node = node;
    this.#tally = tally;
  }

  async run(): Promise<void> {
    const { id } = this.#node.contact;
    const closest = await this.#lookUp(id);
    for (const neighbour of closest) this.#introduce(neighbour);
    const farthest = closest[K - 1];
    // Fewer than k: these are all nodes that there are. Else they are all that share more bits than the farthest does.
    const buckets = farthest === undefined ? 0 : sharedBits(id, farthest.id) + 1;
    for (let bits = 0; bits < buckets; bits++) await this.#fillBucket(bits);
  }

  async #fillBucket(bits: number): Promise<void> {
    const { contact, table } = this.#node;
    const few = table.bucket(bits).length;
    if (few >= BUCKET_FILLED) return;
    const target = idInBucket(contact.id, bits, this.#world.draws.bytes(HASH_BYTES));
    const found = await this.#findNear(target);
    const others = found.filter(({ id }) => !table.has(id));
    for (const other of others.slice(0, BUCKET_FILLED - few)) this.#introduce(other);
  }

  #findNear(target: Hash): Promise<Contact[]> {
    const { contact, table } = this.#node;
    if (this.#world.scene.buckets === "looked up") return this.#lookUp(target);
    return sampleBucket(target, table.closest(target), contact, (asked) => this.#ask(asked, target));
  }

  async #lookUp(target: Hash): Promise<Contact[]> {
    const { contact: self, table } = this.#node;
    const { closest } = await lookup<Contact, never>(target, table.closest(target), {
      self: self.id,
      ask: async (contact) => ({ value: null, contacts: await this.#ask(contact, target) }),
    });
    return closest;
  }

  /** Whom a node names as closest; one that does not answer is no contact any more. */
  async #ask(contact: Contact, target: Hash): Promise<readonly Contact[]> {
    const { network } = this.#world;
    try {
      const { closer } = await network.call(contact, this.#tally, () =>
        answerOf(network, this.#world.node(contact), target),
      );
      return closer;
    } catch (error) {
      this.#node.table.remove(contact.id);
      throw error;
    }
  }

  #introduce(other: Contact): void {
    introduce(this.#world, this.#node, other, this.#tally);
  }
}

/** Two nodes exchange cards, and each sees that the other is where it says. */
function introduce(world: World, node: SimNode, other: Contact, tally: MeetingTally): void {
  tally.calls += INTRODUCTION_CALLS - 1;
  if (!world.network.reach(other, tally)) return;
  if (meet(world, world.node(other), node.contact)) tally.taken += 1;
  meet(world, node, other);
}

/** Takes a contact in, where a full bucket's oldest are gone in their place. False where there is no room. */
function meet({ population, upkeep }: World, { table }: SimNode, contact: Contact): boolean {
  const oldest = table.add(contact);
  upkeep.calls += oldest.length;
  const gone = oldest.filter((other) => !population.isPresent(other.index));
  for (const { id } of gone) table.remove(id);
  return oldest.length === 0 || (gone.length > 0 && table.add(contact).length === 0);
}

/** An id that has exactly so many bits in common with `self`; the others are those of `id`. */
function idInBucket(self: NodeId, bits: number, id: Uint8Array): Hash {
  const own = decodeHash(self);
  const whole = bits >> 3;
  id.set(own.subarray(0, whole));
  const flipped = 0x80 >> (bits & 7);
  const shared = ~(2 * flipped - 1) & 0xff;
  const [mine = 0, drawn = 0] = [own[whole], id[whole]];
  id[whole] = (mine & shared) | (~mine & flipped) | (drawn & (flipped - 1));
  return encodeHash(id);
}
