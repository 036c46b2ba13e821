// How many chunks have to be read until a node that lost some is found out: the real drawing, with seeds.

import { describe, expect, test } from "vitest";
import {
  type Audited,
  auditShare,
  chunkHoursOf,
  pickOrdinals,
  roundAtRandom,
  shardsWithSome,
} from "../../lib/durability/audit-draw.ts";
import { STANDING_UNKNOWN } from "../../lib/durability/standing.ts";
import { SeededRandom } from "../random.ts";

const HOUR_MS = 3_600_000;
const RATE = { auditsPerDay: 48, shards: 16 };
const trusted = (chunks: number, knownShards = RATE.shards): Audited => ({
  chunks,
  knownShards,
  standing: 1,
});

/** Audits made until one met a chunk that is lost; `lost` says of each of the shards' chunks whether it is. */
function auditsUntilFound(lost: boolean[][], random: () => number): number {
  let audits = 0;
  for (let round = 0; round < 100_000; round++) {
    for (const chunks of lost) {
      const share = auditShare(trusted(chunks.length), RATE, HOUR_MS);
      for (const at of pickOrdinals(chunks.length, roundAtRandom(share, random), random)) {
        audits += 1;
        if (chunks[at] === true) return audits;
      }
    }
  }
  return Number.POSITIVE_INFINITY;
}

function lossOf(share: number, count: number, random: () => number): boolean[][] {
  const lost: boolean[][] = Array.from({ length: RATE.shards }, () => []);
  const gone = pickOrdinals(count, Math.round(count * share), random);
  for (let i = 0; i < count; i++) lost[Math.floor(random() * RATE.shards)]?.push(gone.has(i));
  return lost;
}

describe("a node that lost a tenth of its chunks", () => {
  test("is found in 29, 44 and 66 audits as often as the arithmetic says", () => {
    const runs = 2000;
    const audits = Array.from({ length: runs }, (_, seed) => {
      const next = new SeededRandom(seed, "a tenth lost");
      return auditsUntilFound(
        lossOf(0.1, 1000, () => next.next()),
        () => next.next(),
      );
    });
    for (const [most, expected] of [
      [29, 0.95],
      [44, 0.99],
      [66, 0.999],
    ] as const) {
      expect(1 - 0.9 ** most).toBeGreaterThan(expected);
      expect(1 - 0.9 ** (most - 1)).toBeLessThan(expected);
      const share = audits.filter((count) => count <= most).length / runs;
      // Three standard deviations of so many runs.
      expect(Math.abs(share - (1 - 0.9 ** most))).toBeLessThan(
        3 * Math.sqrt((expected * (1 - expected)) / runs),
      );
    }
  });

  test("control: one that lost nothing is never found", () => {
    const next = new SeededRandom(1, "nothing lost");
    const lost = lossOf(0, 100, () => next.next());
    expect(
      auditsUntilFound(
        lost.map((chunks) => chunks.slice(0, 1)),
        () => next.next(),
      ),
    ).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the draw", () => {
  test("reads each node as often a day, in however many shards its chunks lie", () => {
    for (const shards of [1, 3, 16]) {
      const one = auditShare(trusted(1, shards), RATE, 24 * HOUR_MS);
      expect(one * shards).toBeCloseTo(RATE.auditsPerDay, 6);
    }
    expect(shardsWithSome(trusted(1, 0), 1024)).toBe(1);
    // Some that meet in one shard must be of many; and there are not more shards than there are.
    expect(shardsWithSome(trusted(5, 0), 1024)).toBeGreaterThan(1000);
    expect(shardsWithSome(trusted(100, 40), 16)).toBe(16);
  });

  test("reads one on probation eight times as often", () => {
    const share = (standing: number) => auditShare({ ...trusted(50), standing }, RATE, HOUR_MS);
    expect(share(STANDING_UNKNOWN) / share(1)).toBe(8);
  });

  test("takes each chunk equally often, none twice, and never more than there are", () => {
    const random = new SeededRandom(3, "ordinals");
    const times = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const picked = pickOrdinals(10, 3, () => random.next());
      expect(picked.size).toBe(3);
      for (const at of picked) times[at] = (times[at] ?? 0) + 1;
    }
    for (const count of times) expect(Math.abs(count - 3000)).toBeLessThan(250);
    expect([...pickOrdinals(2, 5, () => 0.5)].toSorted()).toEqual([0, 1]);
    expect(pickOrdinals(0, 5, () => 0.5).size).toBe(0);
  });

  test("rounds so that the average is the share", () => {
    const random = new SeededRandom(4, "rounding");
    let sum = 0;
    for (let i = 0; i < 10_000; i++) sum += roundAtRandom(0.3, () => random.next());
    expect(Math.abs(sum - 3000)).toBeLessThan(200);
    expect(roundAtRandom(2, () => 0)).toBe(2);
  });

  test("speaks for all chunk-hours together: a day's audits of a node that keeps everything are its chunks times 24", () => {
    const node = trusted(100);
    const perAudit = chunkHoursOf(node, RATE);
    expect(perAudit * auditShare(node, RATE, 24 * HOUR_MS)).toBeCloseTo(2400, 6);
  });
});
