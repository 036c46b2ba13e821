// What is done to the network, drawn at random by a seed: in each round one harm to what nodes keep, and troubles that
// pass. Nodes are drawn by their slot, which stays when another node takes it: equal seeds harm alike, however fast
// the machine is.

import type { SeededRandom } from "../../random.ts";

/** What a harm does to a node's files: the share of them. */
const HARMED_SHARE = 0.1;
const PAUSE_MS = { min: 2000, max: 12_000 };
const EDGE_DOWN_MS = { min: 200, max: 4000 };

/** Harm to what is kept, for good. */
export type Harm =
  | { kind: "destroy"; slots: number[] }
  | { kind: "flip" | "delete"; slot: number; share: number };

/** What passes. */
export type Trouble = { kind: "pause"; slot: number; forMs: number } | { kind: "edge"; forMs: number };

export interface Round {
  harm: Harm;
  troubles: Trouble[];
}

export interface DrawOptions {
  slots: number;
  /** Nodes that are destroyed at once. */
  kill: number;
}

/** Draws a round. Half of the harms destroy nodes. */
export function drawRound(random: SeededRandom, { slots, kill }: DrawOptions): Round {
  const order = random.shuffled(Array.from({ length: slots }, (_, slot) => slot));
  const harm = drawHarm(random, order.slice(0, kill));
  const troubles: Trouble[] = [];
  if (random.next() < 0.6) {
    const slot = order[kill] ?? 0;
    troubles.push({ kind: "pause", slot, forMs: random.between(PAUSE_MS.min, PAUSE_MS.max) });
  }
  if (random.next() < 0.4) {
    troubles.push({ kind: "edge", forMs: random.between(EDGE_DOWN_MS.min, EDGE_DOWN_MS.max) });
  }
  return { harm, troubles };
}

function drawHarm(random: SeededRandom, slots: number[]): Harm {
  const drawn = random.next();
  const [slot = 0] = slots;
  if (drawn < 0.5) return { kind: "destroy", slots };
  return { kind: drawn < 0.75 ? "flip" : "delete", slot, share: HARMED_SHARE };
}

export function describeRound({ harm, troubles }: Round): string {
  const what =
    harm.kind === "destroy"
      ? `destroy ${harm.slots.length} nodes (slots ${harm.slots.join(", ")})`
      : `${harm.kind} ${100 * harm.share} % of the files of slot ${harm.slot}`;
  const passing = troubles.map((trouble) =>
    trouble.kind === "edge"
      ? `kill the edge for ${trouble.forMs} ms`
      : `pause slot ${trouble.slot} for ${trouble.forMs} ms`,
  );
  return [what, ...passing].join("; ");
}
