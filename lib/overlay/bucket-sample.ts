// How a node finds others for a bucket of its table far from itself, where it does not matter who they are, only that most are
// honest: walks go towards a random id, each from another contact, and what the nodes on them name is taken, few from each.
// The nearer to the id, the harder it is to name more friends than there are: nobody chooses an id freely. A look-up of the
// closest takes four times as many calls. No I/O of its own.

import type { Hash, NodeId } from "../hash.ts";
import { K, sharedBits } from "./distance.ts";

/** Walks, and nodes asked on each. */
export const SAMPLE_WALKS = 3;
export const SAMPLE_STEPS = 4;
/** Nodes taken of those that one node was the first to name: a liar's friends do not fill a bucket. */
export const SAMPLE_PER_ANSWER_MAX = 4;

export interface SampleOptions<C> {
  self: NodeId;
  /** Whom a node names as closest to the target, nearest first. Rejects where it does not answer. */
  ask: (contact: C) => Promise<readonly C[]>;
}

/**
 * Nodes that share as many bits with oneself as `target` does; those first who were named last, which are nearest to it. `start`
 * are the contacts that one knows closest to the target, nearest first.
 */
export async function sampleBucket<C extends { id: NodeId }>(
  target: Hash,
  start: readonly C[],
  { self, ask }: SampleOptions<C>,
): Promise<C[]> {
  const bits = sharedBits(self, target);
  const asked = new Set([self]);
  const named = new Set<NodeId>();
  const found: C[] = [];
  const take = (answer: readonly C[]) => {
    let left = SAMPLE_PER_ANSWER_MAX;
    for (const contact of answer.slice(0, K)) {
      if (named.has(contact.id)) continue;
      named.add(contact.id);
      if (left === 0 || sharedBits(self, contact.id) !== bits) continue;
      left -= 1;
      found.push(contact);
    }
  };
  const walk = async (from: readonly C[]) => {
    let ahead = from;
    for (let step = 0; step < SAMPLE_STEPS; step++) {
      const next = ahead.find(({ id }) => !asked.has(id));
      if (next === undefined) return;
      asked.add(next.id);
      const answer = await ask(next).catch(() => null);
      if (answer === null) continue;
      take(answer);
      ahead = answer;
    }
  };
  const walks = Array.from({ length: SAMPLE_WALKS }, (_, i) =>
    walk(start.filter((_, at) => at % SAMPLE_WALKS === i)),
  );
  await Promise.all(walks);
  return found.reverse();
}
