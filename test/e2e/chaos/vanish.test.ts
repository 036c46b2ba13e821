// One seed of `npm run vanish`, smaller, and what a node that drops files comes to.

import { afterEach, describe, expect, test } from "vitest";
import type { Hash } from "../../../lib/hash.ts";
import { AUDITS_OFTEN, CONTROL_SETTINGS, repairSettings } from "./settings.ts";
import { shareOf, VanishNet } from "./vanish-net.ts";

const TIMEOUT_MS = 600_000;
const REPAIR_TIMEOUT_MS = 120_000;
/** So many sweeps of the repaired network would have begun. */
const CONTROL_MS = 12_000;
const SIZE = { seed: "vanish", nodes: 40, replicas: 6, objects: 120 };
const VANISHED = 12;

let net: VanishNet | null = null;

afterEach(async () => {
  await net?.stop();
  net = null;
}, TIMEOUT_MS);

async function start(settings: Readonly<Record<string, string>>): Promise<VanishNet> {
  net = await VanishNet.start({ ...SIZE, settings });
  return net;
}

test("the arithmetic: 30 of 100 nodes hold all six copies of one chunk in 2,000", () => {
  expect(shareOf(30, 100, 6)).toBeCloseTo(593_775 / 1_192_052_400, 12);
  expect(shareOf(5, 100, 6)).toBe(0);
  expect(shareOf(6, 6, 6)).toBe(1);
});

describe("nodes that vanish at once, 30 % of them", () => {
  test(
    "take with them only what they alone kept; the rest can be read and comes back to its target",
    async () => {
      const figures = await (await start(repairSettings(0))).vanish(VANISHED, REPAIR_TIMEOUT_MS);
      expect(figures).toMatchObject({ chunks: 2 * SIZE.objects, short: 0, unreadable: 0 });
      expect(figures.lost).toBe(figures.lostAtOnce);
    },
    TIMEOUT_MS,
  );

  test(
    "leave chunks below their target where nothing is repaired, and those can still be read",
    async () => {
      const figures = await (await start(CONTROL_SETTINGS)).vanish(VANISHED, CONTROL_MS);
      expect(figures.short).toBeGreaterThan(SIZE.objects);
      expect(figures.unreadable).toBe(0);
    },
    TIMEOUT_MS,
  );
});

describe("a node that dropped 10 % of its files and does not know", () => {
  /** It may be given a chunk again: what counts is that as many nodes have it as before. */
  const isWhole = (fleet: VanishNet, chunks: readonly Hash[]) => {
    const survey = fleet.survey();
    return chunks.every((hash) => survey.copiesOf(hash) >= SIZE.replicas);
  };

  test(
    "is found out by audits: it is told so, and all that it dropped is on as many nodes again",
    async () => {
      const fleet = await start(repairSettings(AUDITS_OFTEN));
      const node = fleet.node(0);
      const dropped = fleet.drop(node, 0.1);
      expect(dropped.length).toBeGreaterThan(0);
      expect(isWhole(fleet, dropped)).toBe(false);
      expect(await fleet.until(() => isWhole(fleet, dropped), REPAIR_TIMEOUT_MS)).toBe(true);
      const isTold = async () =>
        (await node.node.status()).edges[0]?.record?.events.some(({ code }) => code === "missing") === true;
      expect(await fleet.until(isTold, REPAIR_TIMEOUT_MS)).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    "stays their holder where nobody audits",
    async () => {
      const fleet = await start(repairSettings(0));
      const node = fleet.node(0);
      const dropped = fleet.drop(node, 0.1);
      expect(await fleet.until(() => isWhole(fleet, dropped), CONTROL_MS)).toBe(false);
      expect(await fleet.listedOf(node, dropped)).toEqual(dropped);
    },
    TIMEOUT_MS,
  );
});
