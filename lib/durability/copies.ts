// Which of a chunk's holders count as copies. Offline is not lost: a node that went is expected back for a grace, and for
// as long as its volunteer said beforehand; one that is leaving is still read from, and counts no more.

import type { Domain } from "../names.ts";
import { acceptsDomain, type Pledge } from "../pledge.ts";
import { isDelisted, STANDING_UNKNOWN } from "./standing.ts";

/** What is known of a node that holds a chunk. */
export interface Keeper {
  /** What fails together: a /24, a /48, or the node itself. */
  failureDomain: string;
  domains: Pledge["domains"];
  online: boolean;
  /** When it came online or went offline, milliseconds. */
  sinceMs: number;
  /** Until when it said that it would be away, or null. */
  awayUntilMs: number | null;
  leaving: boolean;
  /** When it lost what it held until then; 0: never. */
  lostMs: number;
  /** How it did when it was checked, 0 to 1; left out where nobody here knows. */
  standing?: number;
}

/**
 * `here`: can be read from now. `expected`: went offline within the grace. `away`: offline on purpose, until a time that has
 * not come. `leaving`: may be read from, counts as no copy. `gone`: counts for nothing.
 */
export type KeeperState = "here" | "expected" | "away" | "leaving" | "gone";

/** `keeper` is null where the node is not known; `heldSinceMs` is when it was first said to hold the chunk. */
export function keeperState(
  keeper: Keeper | null,
  heldSinceMs: number,
  nowMs: number,
  graceMs: number,
): KeeperState {
  if (keeper === null || heldSinceMs < keeper.lostMs) return "gone";
  const isExpected = keeper.online || nowMs - keeper.sinceMs <= graceMs;
  // What one of low standing says that it holds is read where nobody else has it, and relied on no more.
  const isRelied = !keeper.leaving && !isDelisted(keeper.standing ?? STANDING_UNKNOWN);
  if (!isRelied) return isExpected ? "leaving" : "gone";
  if (keeper.online) return "here";
  if (isExpected) return "expected";
  return keeper.awayUntilMs !== null && keeper.awayUntilMs > nowMs ? "away" : "gone";
}

/** A holder with its state. */
export interface JudgedKeeper {
  keeper: Keeper;
  state: KeeperState;
}

/**
 * How many failure domains more a chunk of `domain` needs, to be on `target` of them. Those that are away count, but no more
 * than half: what only absent nodes keep cannot be read.
 */
export function missingCopies(holders: readonly JudgedKeeper[], domain: Domain, target: number): number {
  const accepting = holders.filter(({ keeper }) => acceptsDomain(keeper, domain));
  const distinct = (states: readonly KeeperState[]) =>
    new Set(accepting.flatMap(({ keeper, state }) => (states.includes(state) ? [keeper.failureDomain] : [])))
      .size;
  const present = distinct(["here", "expected"]);
  const kept = distinct(["here", "expected", "away"]);
  return Math.max(0, target - kept, Math.ceil(target / 2) - present);
}
