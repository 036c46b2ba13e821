// How a home node stands with an edge: what it showed when it was checked, of late. Counts fade, so that it recovers; a
// failure also takes most of what was passed before it, so that a long good past covers no bad present.

import type { Hash } from "../hash.ts";

const HOUR_MS = 3600 * 1000;
/** After this long a check weighs half. */
export const STANDING_HALF_LIFE_MS = 7 * 24 * HOUR_MS;
/** Checks passed that are remembered: more would only take longer to lose. */
export const PASSED_MAX = 64;
/** A failure weighs as much as so many checks passed, */
export const FAILURE_WEIGHT = 2;
/** and leaves so much of those before it: one chunk in ten lost is no small thing. One alone gives nobody up, not even a newcomer. */
const PASSED_LEFT = 0.25;
/** Checks in a row that show, at 95 %, that a node has not lost a tenth of its chunks: 0.9^29 = 0.047. */
export const AUDITS_TO_CLEAR = 29;
/** Below this a node is given nothing more, and is asked last. */
export const STANDING_MIN = 0.25;
/** Between good and bad: of one that nothing is known of. */
export const STANDING_UNKNOWN = 0.5;
/** The last events that are kept with their reasons. */
export const EVENTS_KEPT_MAX = 16;

/** Faded counts of checks, as they were at `atMs`. */
export interface Checks {
  passed: number;
  failed: number;
  unreachable: number;
  atMs: number;
}

/** What came of a check: of `unreachable` nothing follows but that. */
export type CheckCode = "passed" | "missing" | "corrupt" | "unreachable";

/** Something that did not go well. */
export interface CheckEvent {
  atMs: number;
  chunk: Hash;
  code: Exclude<CheckCode, "passed">;
}

export function noChecks(nowMs: number): Checks {
  return { passed: 0, failed: 0, unreachable: 0, atMs: nowMs };
}

/** The counts with one check more. */
export function withCheck(checks: Checks, code: CheckCode, nowMs: number): Checks {
  const { passed, failed, unreachable, atMs } = fade(checks, nowMs);
  if (code === "passed") return { passed: Math.min(PASSED_MAX, passed + 1), failed, unreachable, atMs };
  if (code === "unreachable") return { passed, failed, unreachable: unreachable + 1, atMs };
  return { passed: passed * PASSED_LEFT, failed: failed + 1, unreachable, atMs };
}

/** 0 to 1. Being unreachable is not held against a node: offline is not lost. */
export function standingOf({ passed, failed }: Pick<Checks, "passed" | "failed">): number {
  return (passed + 1) / (passed + 2 + FAILURE_WEIGHT * failed);
}

/** Where a node stands that failed once in full standing and has passed AUDITS_TO_CLEAR checks since. */
export const STANDING_CLEAR = standingOf({ passed: PASSED_MAX * PASSED_LEFT + AUDITS_TO_CLEAR, failed: 1 });

/** True for one that is looked at more closely: a newcomer, or one that failed and has not been cleared since. */
export function isOnProbation(standing: number): boolean {
  return standing < STANDING_CLEAR;
}

/** True for one that is given nothing more. */
export function isDelisted(standing: number): boolean {
  return standing < STANDING_MIN;
}

/** The share of checks that found the node there, or null where there were none. */
export function reachability({ passed, failed, unreachable }: Omit<Checks, "atMs">): number | null {
  const all = passed + failed + unreachable;
  return all === 0 ? null : (passed + failed) / all;
}

export function fade({ passed, failed, unreachable, atMs }: Checks, nowMs: number): Checks {
  const left = 0.5 ** (Math.max(0, nowMs - atMs) / STANDING_HALF_LIFE_MS);
  return {
    passed: passed * left,
    failed: failed * left,
    unreachable: unreachable * left,
    atMs: Math.max(atMs, nowMs),
  };
}
