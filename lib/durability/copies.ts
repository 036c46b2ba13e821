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
 * not come. `leaving`: may be read from, counts as no copy. `doubted`: the same, because it did not give this chunk or too
 * much else, or because nobody has seen it there. `gone`: counts for nothing.
 */
export type KeeperState = "here" | "expected" | "away" | "leaving" | "doubted" | "gone";

/** What is said of a node and a chunk. */
export interface Held {
  /** When the node was first said to hold it, milliseconds. */
  sinceMs: number;
  /** It did not give the chunk when it was last asked, or only says that it holds it. */
  isDoubted?: boolean;
}

/** `keeper` is null where the node is not known. */
export function keeperState(
  keeper: Keeper | null,
  { sinceMs, isDoubted = false }: Held,
  nowMs: number,
  graceMs: number,
): KeeperState {
  if (keeper === null || sinceMs < keeper.lostMs) return "gone";
  const isExpected = keeper.online || nowMs - keeper.sinceMs <= graceMs;
  if (keeper.leaving) return isExpected ? "leaving" : "gone";
  if (isDoubted || isDelisted(keeper.standing ?? STANDING_UNKNOWN)) return isExpected ? "doubted" : "gone";
  if (keeper.online) return "here";
  if (isExpected) return "expected";
  return keeper.awayUntilMs !== null && keeper.awayUntilMs > nowMs ? "away" : "gone";
}

/** Whether the chunk is one copy safer for it. */
export function countsAsCopy(state: KeeperState): boolean {
  return state === "here" || state === "expected" || state === "away";
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
  const counting = accepting.filter(({ state }) => countsAsCopy(state));
  const distinct = (keepers: readonly JudgedKeeper[]) =>
    new Set(keepers.map(({ keeper }) => keeper.failureDomain)).size;
  const present = distinct(counting.filter(({ state }) => state !== "away"));
  const kept = distinct(counting);
  return Math.max(0, target - kept, Math.ceil(target / 2) - present);
}
