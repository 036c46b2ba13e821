import { describe, expect, test } from "vitest";
import {
  type Held,
  type Keeper,
  type KeeperState,
  keeperState,
  missingCopies,
} from "../../lib/durability/copies.ts";
import { parseDomain } from "../../lib/names.ts";

const HOUR = 3_600_000;
const NOW = 100 * HOUR;
const domain = parseDomain("example.org");

function keeper(changes: Partial<Keeper> = {}): Keeper {
  return {
    ...{ failureDomain: "10.0.0.0/24", domains: "all" as const, online: true, sinceMs: NOW - 50 * HOUR },
    ...{ awayUntilMs: null, leaving: false, lostMs: 0 },
    ...changes,
  };
}
const stateOf = (changes: Partial<Keeper>, held: Partial<Held> = {}) =>
  keeperState(keeper(changes), { sinceMs: HOUR, ...held }, NOW, HOUR);

describe("a holder", () => {
  test("is expected back for the grace, and for as long as its volunteer said", () => {
    expect(stateOf({})).toBe("here");
    expect(stateOf({ online: false, sinceMs: NOW - HOUR })).toBe("expected");
    expect(stateOf({ online: false, sinceMs: NOW - HOUR - 1 })).toBe("gone");
    expect(stateOf({ online: false, awayUntilMs: NOW + 1 })).toBe("away");
    expect(stateOf({ online: false, awayUntilMs: NOW })).toBe("gone");
  });

  test("that is leaving is read from while it is there, and counts no more", () => {
    expect(stateOf({ leaving: true })).toBe("leaving");
    expect(stateOf({ leaving: true, online: false })).toBe("gone");
  });

  test("of low standing is read from and counts no more, until it has recovered", () => {
    expect(stateOf({ standing: 0.2 })).toBe("doubted");
    expect(stateOf({ standing: 0.2, online: false })).toBe("gone");
    expect(stateOf({ standing: 0.3 })).toBe("here");
  });

  test("that did not give the chunk is asked again and counts no more, whatever its volunteer said", () => {
    expect(stateOf({}, { isDoubted: true })).toBe("doubted");
    expect(stateOf({ leaving: true }, { isDoubted: true })).toBe("leaving");
    expect(stateOf({ online: false, awayUntilMs: NOW + 1 }, { isDoubted: true })).toBe("gone");
  });

  test("that lost its disk has nothing of what it was given before, and all of what came after", () => {
    expect(stateOf({ lostMs: 2 * HOUR })).toBe("gone");
    expect(stateOf({ lostMs: 2 * HOUR }, { sinceMs: 2 * HOUR })).toBe("here");
    expect(keeperState(null, { sinceMs: HOUR }, NOW, HOUR)).toBe("gone");
  });
});

describe("the copies that are missing", () => {
  const held = (state: KeeperState, i: number, changes: Partial<Keeper> = {}) => ({
    keeper: keeper({ failureDomain: `10.0.${i}.0/24`, ...changes }),
    state,
  });

  test("are counted by failure domain", () => {
    expect(missingCopies([], domain, 3)).toBe(3);
    expect(missingCopies([held("here", 1), held("here", 1), held("here", 2)], domain, 3)).toBe(1);
    expect(missingCopies([held("here", 1), held("here", 2), held("here", 3)], domain, 3)).toBe(0);
    expect(missingCopies([held("here", 1), held("leaving", 2), held("gone", 3)], domain, 3)).toBe(2);
    expect(missingCopies([held("here", 1), held("doubted", 2), held("expected", 3)], domain, 3)).toBe(1);
  });

  test("include those on nodes that do not keep the domain", () => {
    const elsewhere = held("here", 2, { domains: [parseDomain("example.net")] });
    expect(missingCopies([held("here", 1), elsewhere], domain, 2)).toBe(1);
  });

  test("do not include those of nodes that are away, as long as half of the copies are there", () => {
    expect(missingCopies([held("here", 1), held("here", 2), held("away", 3)], domain, 3)).toBe(0);
    expect(missingCopies([held("here", 1), held("away", 2), held("away", 3)], domain, 3)).toBe(1);
    expect(missingCopies([held("away", 1)], domain, 1)).toBe(1);
  });
});
