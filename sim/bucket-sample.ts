// How a simulated node finds others for a bucket of its table far from itself. The home node looks up the closest to a random id
// there, which takes some 45 calls. Here short walks go towards the id, each from another contact, and what the nodes on them
// name is taken, few from each: a liar's friends, whom he names all, do not fill the bucket.

import type { Hash } from "../lib/hash.ts";
import { sharedBits } from "../lib/overlay/distance.ts";
import type { Contact } from "./population.ts";

/** Walks, and nodes asked on each. */
export const SAMPLE_WALKS = 4;
export const SAMPLE_STEPS = 2;
/** Nodes taken of those that one node was the first to name. */
export const SAMPLE_PER_ANSWER_MAX = 4;

/**
 * Nodes that share as many bits with `self` as `target` does; those first who were named last, which are nearest to it. `start`
 * are the contacts that it knows closest to the target, nearest first; `ask` rejects where a node does not answer.
 */
export async function sampleBucket(
  target: Hash,
  start: readonly Contact[],
  self: Contact,
  ask: (contact: Contact) => Promise<readonly Contact[]>,
): Promise<Contact[]> {
  const bits = sharedBits(self.id, target);
  const asked = new Set([self.index]);
  const named = new Set<number>();
  const found: Contact[] = [];
  const take = (answer: readonly Contact[]) => {
    let left = SAMPLE_PER_ANSWER_MAX;
    for (const contact of answer) {
      if (named.has(contact.index)) continue;
      named.add(contact.index);
      if (left === 0 || sharedBits(self.id, contact.id) !== bits) continue;
      left -= 1;
      found.push(contact);
    }
  };
  const walk = async (from: readonly Contact[]) => {
    let ahead = from;
    for (let step = 0; step < SAMPLE_STEPS; step++) {
      const next = ahead.find(({ index }) => !asked.has(index));
      if (next === undefined) return;
      asked.add(next.index);
      try {
        ahead = await ask(next);
      } catch {
        continue;
      }
      take(ahead);
    }
  };
  const walks = Array.from({ length: SAMPLE_WALKS }, (_, i) =>
    walk(start.filter((_, at) => at % SAMPLE_WALKS === i)),
  );
  await Promise.all(walks);
  return found.reverse();
}
