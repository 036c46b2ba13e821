// A short run of `npm run chaos`, and its control: with the same faults and nothing that repairs, objects are lost.

import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../random.ts";
import { type ChaosFigures, ChaosSite, isUnharmed } from "./chaos-site.ts";
import type { Round } from "./faults.ts";
import { AUDITS_OFTEN } from "./settings.ts";

const TIMEOUT_MS = 900_000;
const NODES = 8;

/** Of eight nodes, all but two are destroyed in turn; of the rest, files are turned over or deleted, and the edge is killed. */
const ROUNDS: Round[] = [
  { harm: { kind: "destroy", slots: [0, 1] }, troubles: [{ kind: "edge", forMs: 300 }] },
  { harm: { kind: "destroy", slots: [2, 3] }, troubles: [{ kind: "pause", slot: 7, forMs: 3000 }] },
  { harm: { kind: "destroy", slots: [4, 5] }, troubles: [] },
];
const FILES: Round[] = [
  { harm: { kind: "flip", slot: 6, share: 0.1 }, troubles: [] },
  { harm: { kind: "delete", slot: 7, share: 0.1 }, troubles: [] },
];

async function runRounds(rounds: readonly Round[], repairs: boolean): Promise<ChaosFigures> {
  const site = await ChaosSite.start({
    ...{
      seed: "short",
      nodes: NODES,
      redundancy: { replicas: 3 },
      kill: 2,
      repairs,
      auditsPerDay: AUDITS_OFTEN,
    },
    ...{ publishers: 1, readers: 1, pauseMs: 1500, roundTimeoutMs: 90_000 },
    tell: (line) => console.error(line),
  });
  try {
    for (const [i, round] of rounds.entries()) await site.do(round, new SeededRandom("short", i));
    return await site.finish({ gets: 3 });
  } finally {
    await site.stop();
  }
}

describe("a network that is harmed all the time", () => {
  test(
    "loses nothing that it acknowledged, and ends with every chunk on its target",
    async () => {
      const figures = await runRounds([...ROUNDS, ...FILES], true);
      expect(figures).toMatchObject({ destroyed: 6, edgeKills: 1, pauses: 1, wrong: [], shortChunks: 0 });
      expect(figures.flippedFiles).toBeGreaterThan(0);
      expect(figures.deletedFiles).toBeGreaterThan(0);
      expect(figures.rounds.filter(({ backAfterMs }) => backAfterMs === null)).toEqual([]);
      expect(figures.readBack).toMatchObject({
        ...{ byCurl: figures.acknowledged, byGet: figures.acknowledged, lost: [] },
      });
      expect(figures.readBack.byCommand).toBeGreaterThanOrEqual(3);
      expect(isUnharmed(figures)).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    "loses objects where nothing is repaired, and is seen to",
    async () => {
      const figures = await runRounds(ROUNDS, false);
      expect(figures.readBack.lost.length).toBeGreaterThan(0);
      expect(figures.lostChunks).toBeGreaterThan(0);
      expect(isUnharmed(figures)).toBe(false);
    },
    TIMEOUT_MS,
  );
});
