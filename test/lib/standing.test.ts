import { describe, expect, test } from "vitest";
import {
  AUDITS_TO_CLEAR,
  type CheckCode,
  type Checks,
  isDelisted,
  isOnProbation,
  noChecks,
  PASSED_MAX,
  reachability,
  STANDING_HALF_LIFE_MS,
  STANDING_UNKNOWN,
  standingOf,
  withCheck,
} from "../../lib/durability/standing.ts";

const HALF_HOUR_MS = 30 * 60_000;

/** Checks half an hour apart: 48 a day. */
function checked(codes: CheckCode[], from: Checks = noChecks(0)): Checks {
  return codes.reduce((checks, code) => withCheck(checks, code, checks.atMs + HALF_HOUR_MS), from);
}
const times = (count: number, code: CheckCode): CheckCode[] => new Array<CheckCode>(count).fill(code);
const full = checked(times(300, "passed"));

describe("standing", () => {
  test("of a newcomer is neither good nor bad, and a few checks passed end its probation", () => {
    expect(standingOf(noChecks(0))).toBe(STANDING_UNKNOWN);
    expect(isDelisted(STANDING_UNKNOWN)).toBe(false);
    expect(isOnProbation(STANDING_UNKNOWN)).toBe(true);
    expect(isOnProbation(standingOf(checked(times(16, "passed"))))).toBe(false);
    expect(standingOf(full)).toBeGreaterThan(0.97);
  });

  test("falls below the least by no first failure, and within three, whatever the past", () => {
    for (const past of [noChecks(0), checked(times(10, "passed")), full]) {
      expect(isDelisted(standingOf(checked(times(1, "missing"), past)))).toBe(false);
      expect(isDelisted(standingOf(checked(times(3, "missing"), past)))).toBe(true);
      expect(isDelisted(standingOf(checked(times(3, "corrupt"), past)))).toBe(true);
    }
  });

  test("survives one failure among many passed, and is cleared by as many as it takes to tell", () => {
    const once = checked(["missing"], full);
    expect(isDelisted(standingOf(once))).toBe(false);
    expect(isOnProbation(standingOf(checked(times(AUDITS_TO_CLEAR - 4, "passed"), once)))).toBe(true);
    expect(isOnProbation(standingOf(checked(times(AUDITS_TO_CLEAR + 2, "passed"), once)))).toBe(false);
  });

  test("of a node that lost a tenth and goes on is below the least; when it keeps everything again, it recovers", () => {
    const tenth: CheckCode[] = ["missing", ...times(9, "passed")];
    let checks = full;
    for (let i = 0; i < 48; i++) checks = checked(tenth, checks);
    expect(isDelisted(standingOf(checks))).toBe(true);
    const recovered = checked(times(21 * 48, "passed"), checks);
    expect(isDelisted(standingOf(recovered))).toBe(false);
  });

  test("does not fall where the node is offline, and counts no more passed than the limit", () => {
    expect(standingOf(checked(times(50, "unreachable"), full))).toBeGreaterThan(0.97);
    expect(checked(times(1000, "passed")).passed).toBeLessThanOrEqual(PASSED_MAX);
    expect(reachability({ passed: 3, failed: 0, unreachable: 1 })).toBe(0.75);
    expect(reachability(noChecks(0))).toBe(null);
  });

  test("fades: a failure weighs half after a half-life, and a clock that goes back changes nothing", () => {
    const failed = withCheck(noChecks(0), "missing", 0);
    expect(withCheck(failed, "unreachable", STANDING_HALF_LIFE_MS).failed).toBeCloseTo(0.5, 9);
    expect(withCheck(failed, "unreachable", -STANDING_HALF_LIFE_MS)).toMatchObject({ failed: 1, atMs: 0 });
  });
});
