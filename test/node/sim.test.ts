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
    expect(await run()).toEqual(figures);
    expect(await run({ seed: "2" })).not.toEqual(figures);
  });

  test("is shown in tables and in a picture", () => {
    expect(nodeTable([figures])).toContain("| 200 | joined |");
    expect(edgeTable([figures])).toContain("| 200 |");
    const picture = drawChart([figures, { ...figures, nodes: 1000 }]);
    expect(picture).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(picture).not.toContain("NaN");
  });
});

test("with six of ten nodes hostile, or one path, fewer look-ups find their chunk", {
  timeout: 120_000,
}, async () => {
  const hostile = { nodes: 2000, lookups: 200, hostile: 0.6, tables: "drawn" as const };
  const { reads } = await run(hostile);
  expect(reads.found).toBeLessThan(0.999);
  const { reads: onOnePath } = await run({ ...hostile, paths: 1 });
  expect(onOnePath.found).toBeLessThan(reads.found);
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
