import { describe, expect, test } from "vitest";
import { hashBytes, type NodeId, parseHash } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import {
  type Candidate,
  NEWCOMER_MS,
  type PlacementRequest,
  placeReplicas,
} from "../../lib/overlay/placement.ts";
import { rankFor, wordsOf } from "../../lib/overlay/rank.ts";
import ranks from "../vectors/ranks.json" with { type: "json" };
import { allBad, attack, closestFirst, ranked, THREATS_10 } from "./sybils.ts";

const NOW_MS = Date.parse("2026-11-02T12:00:00.000Z");
const domain = parseDomain("example.org");
const idOf = (i: number) => hashBytes(Uint8Array.of(i, i >> 8)) as NodeId;
const chunkOf = (i: number) => hashBytes(Uint8Array.of(i, i >> 8, 7));

const node = (i: number, changes: Partial<Candidate> = {}): Candidate => ({
  ...{ id: idOf(i), failureDomain: `10.0.${i}.0/24`, online: true, leaving: false, freeBytes: 1000 },
  ...{ domains: "all", firstSeenMs: 0, standing: 1, hours: null },
  ...changes,
});
const nodesOf = (first: number, count: number, changes: Partial<Candidate> = {}) =>
  Array.from({ length: count }, (_, i) => node(first + i, changes));
const request = (changes: Partial<PlacementRequest> = {}): PlacementRequest => ({
  ...{ chunk: chunkOf(9), sizeBytes: 100, domain, count: 3, taken: new Set(), avoid: new Set() },
  ...{ holders: [], hoursYield: false, nowMs: NOW_MS },
  ...changes,
});
/** How many of the chosen are among `those`, for each of many chunks. */
const counts = (those: Candidate[], nodes: Candidate[], changes: Partial<PlacementRequest> = {}) => {
  const ids = new Set(those.map(({ id }) => id));
  return Array.from({ length: 300 }, (_, i) => {
    const chosen = placeReplicas(request({ chunk: chunkOf(i), ...changes }), nodes);
    return chosen.filter((id) => ids.has(id)).length;
  });
};
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

describe("placement", () => {
  const nodes = nodesOf(0, 12);

  test("chooses distinct failure domains, the same for the same chunk", () => {
    const crowded = [...nodes, ...nodesOf(100, 50, { failureDomain: "10.9.9.0/24" })];
    const chosen = placeReplicas(request({ count: 13 }), crowded);
    const domains = chosen.map((id) => crowded.find((one) => one.id === id)?.failureDomain);
    expect(new Set(domains).size).toBe(13);
    expect(placeReplicas(request({ count: 13 }), crowded.toReversed())).toEqual(chosen);
  });

  test("gives fewer where there are not enough, and none where none are asked", () => {
    expect(placeReplicas(request({ count: 20 }), nodes)).toHaveLength(12);
    expect(placeReplicas(request({ count: 0 }), nodes)).toEqual([]);
  });

  test("passes over nodes that cannot take the chunk, or stand beside a holder", () => {
    const unfit: Candidate[] = [
      node(20, { online: false }),
      node(21, { freeBytes: 99 }),
      node(22),
      node(23, { domains: [parseDomain("example.net")] }),
      node(24, { failureDomain: "10.1.1.0/24" }),
      node(26, { leaving: true }),
      node(27, { hours: { from: "13:00", to: "11:00" } }),
    ];
    const fit = node(25, { domains: [domain] });
    const asked = request({ avoid: new Set([idOf(22)]), taken: new Set(["10.1.1.0/24"]), hoursYield: true });
    expect(placeReplicas(asked, [...unfit, fit])).toEqual([fit.id]);
  });

  test("spreads chunks evenly over failure domains, however many ids one of them has", () => {
    const all = [...nodes, ...nodesOf(100, 88, { failureDomain: "10.9.9.0/24" })];
    const shares = new Map<string, number>();
    for (let i = 0; i < 1300; i++) {
      const [id] = placeReplicas(request({ chunk: chunkOf(i), count: 1 }), all);
      const name = all.find((one) => one.id === id)?.failureDomain ?? "";
      shares.set(name, (shares.get(name) ?? 0) + 1);
    }
    // 13 failure domains, 100 chunks expected for each; four standard deviations are 38.
    expect(shares.size).toBe(13);
    for (const share of shares.values()) expect(Math.abs(share - 100)).toBeLessThan(38);
  });

  test("spreads what one failure domain gets evenly over its nodes", () => {
    const crowd = nodesOf(100, 10, { failureDomain: "10.9.9.0/24" });
    const shares = crowd.map((one) => sum(counts([one], crowd, { count: 1 })));
    // 300 chunks: 30 each are expected.
    for (const share of shares) expect(Math.abs(share - 30)).toBeLessThan(22);
  });
});

describe("a rank", () => {
  test.each(ranks.cases)("of $name for $chunk is what another program works out", ({ name, chunk, rank }) => {
    expect(rankFor(name, wordsOf(parseHash(chunk)))).toBe(rank);
  });

  test("is another for each name and chunk", () => {
    const found = Array.from({ length: 2000 }, (_, i) => rankFor(`10.0.${i % 50}.0/24`, wordsOf(chunkOf(i))));
    expect(new Set(found).size).toBe(2000);
    expect(found.every((rank) => Number.isSafeInteger(rank) && rank >= 0)).toBe(true);
  });

  test("of a name says nothing of another's: of two, each is first for half of the chunks", () => {
    const pairs = [
      ["192.0.2.0/24", "192.0.3.0/24"],
      ["10.0.0.0/24", "2001:db8:1::/48"],
      [idOf(1), idOf(2)],
    ] as const;
    for (const [a, b] of pairs) {
      const words = Array.from({ length: 2000 }, (_, i) => wordsOf(chunkOf(i)));
      const first = words.filter((chunk) => rankFor(a, chunk) < rankFor(b, chunk)).length;
      // Four standard deviations are 90.
      expect(Math.abs(first - 1000)).toBeLessThan(90);
    }
  });
});

describe("newcomers", () => {
  const justNow = { firstSeenMs: NOW_MS - NEWCOMER_MS + 1 };
  const old = nodesOf(0, 8);
  const newcomers = nodesOf(100, 40, justNow);

  test("get chunks at once, one copy of each at most while others have room", () => {
    const got = counts(newcomers, [...old, ...newcomers]);
    expect(Math.max(...got)).toBe(1);
    expect(sum(got)).toBeGreaterThan(250);
    // The control: as old as the others, they get most of it.
    const aged = newcomers.map((one) => ({ ...one, firstSeenMs: NOW_MS - NEWCOMER_MS }));
    expect(Math.max(...counts(aged, [...old, ...aged]))).toBe(3);
  });

  test("that hold it already count, so that a repair adds no second one", () => {
    const holders = [newcomers[0], old[0]].flatMap((one) => one ?? []);
    const changes = { count: 2, holders, taken: new Set(holders.map((one) => one.failureDomain)) };
    expect(sum(counts(newcomers, [...old, ...newcomers], changes))).toBe(0);
    const established = [old[0], old[1]].flatMap((one) => one ?? []);
    expect(
      sum(counts(newcomers, [...old, ...newcomers], { ...changes, holders: established })),
    ).toBeGreaterThan(100);
  });

  test("are not given the only copy, while others have room", () => {
    expect(sum(counts(newcomers, [...old, ...newcomers], { count: 1 }))).toBe(0);
  });

  test("fill up where there are not enough others, as in a young network", () => {
    expect(placeReplicas(request(), newcomers)).toHaveLength(3);
    const few = old.slice(0, 1);
    const chosen = counts(few, [...few, ...newcomers]);
    // The one established node has a copy of everything.
    expect(chosen.every((count) => count === 1)).toBe(true);
    const full = old.map((one) => ({ ...one, freeBytes: 0 }));
    expect(placeReplicas(request(), [...full, ...newcomers])).toHaveLength(3);
  });

  test("that share a network with an established node leave it its turn", () => {
    const shared = { failureDomain: "10.9.9.0/24" };
    const seniors = nodesOf(50, 3, shared);
    const juniors = nodesOf(200, 60, { ...shared, ...justNow });
    const chosen = placeReplicas(request({ count: 2, holders: newcomers.slice(0, 1) }), [
      ...seniors,
      ...juniors,
      ...old.slice(0, 1),
    ]);
    expect(chosen).toHaveLength(2);
    expect(chosen.some((id) => seniors.some((one) => one.id === id))).toBe(true);
  });
});

describe("nodes that did not keep what they had", () => {
  test("are given something only where nobody else can take it", () => {
    const fallen = nodesOf(100, 40, { standing: 0.4 });
    expect(sum(counts(fallen, [...nodesOf(0, 3), ...fallen]))).toBe(0);
    expect(placeReplicas(request(), [...nodesOf(0, 2), ...fallen])).toHaveLength(3);
    // The control: they stand well enough again.
    const risen = fallen.map((one) => ({ ...one, standing: 0.5 }));
    expect(sum(counts(risen, [...nodesOf(0, 3), ...risen]))).toBeGreaterThan(300);
  });
});

describe("nodes that serve for some hours", () => {
  const partTimers = nodesOf(100, 40, { hours: { from: "08:00", to: "20:00" } });

  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
  ])("get of %i copies %i at most, so that one is always there", (count, most) => {
    const got = counts(partTimers, [...nodesOf(0, 5), ...partTimers], { count });
    expect(Math.max(...got)).toBe(most);
  });

  test("count once for each failure domain, and not where another there serves always", () => {
    const [one, two] = [{ failureDomain: "10.8.8.0/24" }, { failureDomain: "10.8.9.0/24" }];
    const [partTimer] = partTimers;
    if (partTimer === undefined) throw new Error("expected a node");
    const asked = (holders: Candidate[]) =>
      Math.max(...counts(partTimers, [...nodesOf(0, 5), ...partTimers], { count: 2, holders }));
    const sleeping = nodesOf(60, 4, { ...one, hours: partTimer.hours });
    expect(asked(sleeping)).toBe(0);
    expect(asked([...sleeping, node(70, one)])).toBe(1);
    expect(asked([...sleeping, node(70, two)])).toBe(1);
  });

  test("do not fill up for a publisher, and do for a repair", () => {
    const few = [...nodesOf(0, 1), ...partTimers];
    expect(placeReplicas(request(), few)).toHaveLength(2);
    expect(placeReplicas(request(), partTimers)).toHaveLength(1);
    expect(placeReplicas(request({ hoursYield: true }), few)).toHaveLength(3);
  });
});

describe("200 Sybils in 3 networks among 100 honest nodes", () => {
  const SEEDS = 20;
  const shares = (replicas: number, chunks: number, choose = ranked, sybilsAreNew = false) => {
    const total = { whole: 0, sybilReplicas: 0, replicas: 0, chunks: 0 };
    for (let seed = 0; seed < SEEDS; seed++) {
      const one = attack({ ...THREATS_10, sybilsAreNew }, { seed: `${seed}`, chunks, replicas, choose });
      total.whole += one.whole;
      total.sybilReplicas += one.sybilReplicas;
      total.replicas += one.replicas;
      total.chunks += one.chunks;
    }
    return { whole: total.whole / total.chunks, share: total.sybilReplicas / total.replicas };
  };

  test.each([3, 4, 6])("own no chunk at %i replicas, and their networks' share of replicas", (replicas) => {
    const { whole, share } = shares(replicas, 60);
    expect(whole).toBeLessThanOrEqual(1 / (SEEDS * 60));
    // 3 of 103 networks: 2.9 %.
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.039);
  });

  test("as newcomers own nothing whole, by construction", () => {
    expect(shares(3, 60, ranked, true).whole).toBe(0);
  });

  test("own what the arithmetic says where the closest ids are chosen (the control)", () => {
    const { whole, share } = shares(3, 20, closestFirst);
    expect(Math.abs(whole - allBad(200, 300, 3))).toBeLessThan(0.1);
    expect(share).toBeGreaterThan(0.6);
  });
});
