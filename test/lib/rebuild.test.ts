// What is said of an index that fills: whole or not, and what of it is missing.

import { describe, expect, test } from "vitest";
import { completenessOf } from "../../lib/rebuild.ts";
import { type EdgeStatus, parseEdgeStatus } from "../../lib/wire/status.ts";

const SINCE = "2026-01-01T00:00:00.000Z";
const UNTIL = "2026-01-01T00:00:12.500Z";

function status(changes: Partial<EdgeStatus> = {}): EdgeStatus {
  const counts = { names: 1, versions: 1, chunks: 2, replicas: 6, chunkBytes: 10 };
  return parseEdgeStatus({
    ...{ kind: "edge", id: "ab".repeat(32), key: KEY, software: "holdfast/0.1.0", shardDepth: 4 },
    ...{ failureDomain: "node", nodes: { known: 3, online: 3, pledgedBytes: 1, freeBytes: 1 } },
    ...{ index: counts, partitions: { chunks: [], holders: [] }, recent: [], members: [], reportedAt: SINCE },
    repairs: { short: 0, unreadable: 0, copiesToday: 0, bytesToday: 0 },
    needed: { chunks: 2, unheld: 0, unseen: 0, few: 0 },
    inventories: inventories(),
    ...changes,
  });
}

function inventories(changes: Partial<NonNullable<EdgeStatus["inventories"]>> = {}) {
  return {
    ...{ online: 3, told: 3, since: SINCE, until: UNTIL, chunks: { listed: 6, taken: 6 } },
    statements: { listed: 3, taken: 1, waiting: 0, refused: { "bad-answer": 2 } },
    ...changes,
  };
}

const SHARDS = { count: 16, depthMin: 4, depthMax: 4, splitting: [], largest: null };
const KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIBVcMBZwK1dRfGYL3aJ0Y1HCIR2bmoErNcSXh4uJFKg8";

describe("an index", () => {
  test("is whole where all nodes have told and each chunk was seen often enough, whatever was refused", () => {
    expect(completenessOf(status())).toMatchObject({
      ...{ isComplete: true, missing: [], tookMs: 12_500 },
      chunks: { needed: 2, seen: 2 },
    });
  });

  const waiting = { ...inventories().statements, waiting: 1 };
  test.each<[Partial<EdgeStatus>, string]>([
    [{ inventories: inventories({ told: 1 }) }, "2 home nodes online still to tell what they keep"],
    [{ inventories: inventories({ online: 0, told: 0 }) }, "no home node is online"],
    [
      { inventories: inventories({ statements: waiting }) },
      "1 statement whose Manifest nobody has given yet",
    ],
    [{ shards: { ...SHARDS, behind: 2 } }, "2 shards still to count what home nodes have brought"],
    [{ needed: { chunks: 2, unheld: 1, unseen: 0, few: 0 } }, "1 chunk that nobody is known to hold"],
    [
      { needed: { chunks: 9, unheld: 0, unseen: 2, few: 0 } },
      "2 chunks still to be read from who claims them",
    ],
    [{ needed: { chunks: 9, unheld: 0, unseen: 0, few: 2 } }, "2 chunks below target"],
    [{ repairs: { short: 1, unreadable: 0, copiesToday: 0, bytesToday: 0 } }, "1 chunk below target"],
  ])("is not where %j", (changes, missing) => {
    expect(completenessOf(status(changes))).toMatchObject({ isComplete: false, missing: [missing] });
  });

  test("takes until the last node has told; before that nobody knows how long", () => {
    expect(completenessOf(status({ inventories: inventories({ told: 2 }) })).tookMs).toBeNull();
  });

  test("of an edge that does not say is refused, not guessed", () => {
    const { inventories: _, ...earlier } = status();
    expect(() => completenessOf(earlier)).toThrow("earlier release");
  });
});
