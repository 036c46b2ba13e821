// The simulation itself: that it can be run again, that a small network is as expected, and that its measure can fail.

import { describe, expect, test } from "vitest";
import { drawChart } from "../../sim/chart.ts";
import { missedExpectations } from "../../sim/expectations.ts";
import { edgeTable, nodeTable, replaceBetween } from "../../sim/report.ts";
import { type Figures, simulate } from "../../sim/scenario.ts";
import type { Scene } from "../../sim/world.ts";

const SCENE: Scene = {
  nodes: 200,
  seed: "1",
  hostile: 0.2,
  loss: 0.01,
  lookups: 300,
  paths: 3,
  tables: "joined",
  buckets: "sampled",
};
const run = (changes: Partial<Scene> = {}) => simulate({ ...SCENE, ...changes }, () => undefined);

describe("a network of two hundred nodes, of which a fifth is hostile", { timeout: 120_000 }, () => {
  let figures: Figures;

  test("meets the expectations while half of it leaves", async () => {
    figures = await run();
    expect(missedExpectations(figures)).toEqual([]);
    expect(figures).toMatchObject({ tables: "joined", edge: { exact: 1, joinCalls: 3 } });
    expect(figures.reads.lookups).toBeGreaterThan(200);
    expect(figures.reads.records).toBeGreaterThan(5);
    expect(figures.table.hostile).toBeGreaterThan(0.1);
    expect(figures.table.gone).toBeGreaterThan(0);
  });

  test("comes out the same from the same seed, and otherwise from another", async () => {
    const small = { nodes: 60, lookups: 60 };
    const once = await run(small);
    expect(await run(small)).toEqual(once);
    expect(await run({ ...small, seed: "2" })).not.toEqual(once);
  });

  test("has tables as full as if nodes looked up what their far buckets lack, with fewer calls", async () => {
    const lookedUp = await run({ lookups: 20, buckets: "looked up" });
    expect(figures.table.contacts / lookedUp.table.contacts).toBeGreaterThan(0.8);
    expect(figures.joinCalls).toBeLessThan(lookedUp.joinCalls ?? 0);
    expect(lookedUp.table.hostile).toBeLessThan(0.25);
  });

  test("is shown in tables and in a picture", () => {
    expect(nodeTable([figures])).toContain("| 200 | joined |");
    expect(edgeTable([figures])).toContain("| 200 |");
    const picture = drawChart([figures, { ...figures, nodes: 1000 }]);
    expect(picture).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(picture).not.toContain("NaN");
  });
});

test("on one path, with six of ten nodes hostile, fewer look-ups find their chunk than on three", {
  timeout: 120_000,
}, async () => {
  const scene = { nodes: 20_000, lookups: 200, hostile: 0.6, tables: "drawn" as const };
  const { reads: onOne, ...rest } = await run({ ...scene, paths: 1 });
  const { reads: onThree } = await run(scene);
  expect(onOne.found).toBeLessThan(0.97);
  expect(onThree.found).toBeGreaterThan(onOne.found);
  expect(missedExpectations({ ...rest, reads: onOne })).toHaveLength(1);
});

test("drawn tables are like those of nodes that joined", { timeout: 120_000 }, async () => {
  const joined = await run({ nodes: 300, lookups: 100, hostile: 0, loss: 0 });
  const drawn = await run({ nodes: 300, lookups: 100, hostile: 0, loss: 0, tables: "drawn" });
  expect(drawn.table.contacts / joined.table.contacts).toBeGreaterThan(0.7);
  expect(drawn.table.contacts / joined.table.contacts).toBeLessThan(1.6);
  expect(Math.abs(drawn.reads.hopsMean - joined.reads.hopsMean)).toBeLessThan(1);
});

test("text stands between its markers, and nowhere without", () => {
  const document = "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n";
  expect(replaceBetween(document, "a", "new")).toBe("before\n<!-- a -->\n\nnew\n<!-- /a -->\nafter\n");
  expect(() => replaceBetween(document, "b", "new")).toThrow("no markers b");
});
