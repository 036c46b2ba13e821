// What the project expects of its overlay, whatever its size; and what of it a run has missed.

import type { Figures } from "./scenario.ts";

export const FOUND_AT_LEAST = 0.999;
export const EDGE_CALLS_AT_MOST = 3;
/** Of 999 in 1,000 look-ups, up to so many nodes: a chain of liars may stretch any one. */
export const HOPS_AT_MOST = 6;
export const HOPS_FOR_NODES = 100_000;

/** In words, for people; empty where all is as expected. */
export function missedExpectations({ nodes, reads, edge }: Figures): string[] {
  const missed: string[] = [];
  const expect = (isMet: boolean, words: string) => {
    if (!isMet) missed.push(`${nodes} nodes: ${words}`);
  };
  expect(
    reads.found >= FOUND_AT_LEAST,
    `${(100 * reads.found).toFixed(2)} % of the look-ups found the chunk, not ${100 * FOUND_AT_LEAST} %`,
  );
  expect(
    nodes > HOPS_FOR_NODES || reads.hopsOfMost <= HOPS_AT_MOST,
    `999 of 1,000 look-ups took ${reads.hopsOfMost} hops, not ${HOPS_AT_MOST} at most`,
  );
  expect(
    edge.callsMax <= EDGE_CALLS_AT_MOST,
    `a look-up at the edge took ${edge.callsMax} calls, not ${EDGE_CALLS_AT_MOST} at most`,
  );
  expect(edge.exact === 1, `${(100 * edge.exact).toFixed(2)} % of the edge's answers were exact, not all`);
  return missed;
}
