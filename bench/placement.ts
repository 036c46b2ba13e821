// npm run sim:placement: the share of what is placed that an operator of 200 nodes in 3 networks gets, among 100 honest
// nodes, for docs/threat-model.md; and what placing a chunk costs.

import { hashBytes, type NodeId } from "../lib/hash.ts";
import type { Candidate } from "../lib/overlay/placement.ts";
import {
  allBad,
  attack,
  type Captured,
  type Choice,
  closestFirst,
  ranked,
  THREATS_10,
} from "../test/lib/sybils.ts";

const SEEDS = 20;
const CHUNKS = 10_000;
/** Sorting all ids for each chunk takes longer, and its share is large enough to be seen in fewer. */
const CHUNKS_CLOSEST = 1000;
const REPLICAS = [3, 4, 6];
const CANDIDATES = 512;

const NETWORKS = THREATS_10.honest + THREATS_10.sybilNetworks;
const NODES = THREATS_10.honest + THREATS_10.sybils;

interface Row {
  name: string;
  choose: Choice;
  sybilsAreNew: boolean;
  chunks: number;
  /** The arithmetic: the chance of a chunk that only Sybils hold, and the share of replicas on them. */
  expected: (replicas: number) => { whole: number; share: number };
}

const rows: Row[] = [
  {
    ...{ name: "closest ids (control)", choose: closestFirst, sybilsAreNew: false, chunks: CHUNKS_CLOSEST },
    expected: (n) => ({ whole: allBad(THREATS_10.sybils, NODES, n), share: THREATS_10.sybils / NODES }),
  },
  {
    ...{ name: "ranked networks", choose: ranked, sybilsAreNew: false, chunks: CHUNKS },
    expected: (n) => ({
      whole: allBad(THREATS_10.sybilNetworks, NETWORKS, n),
      share: THREATS_10.sybilNetworks / NETWORKS,
    }),
  },
  {
    ...{ name: "the same, Sybils newcomers", choose: ranked, sybilsAreNew: true, chunks: CHUNKS },
    expected: (n) => ({ whole: 0, share: oneAtMost(n) / n }),
  },
];

/** The chance that one of the Sybils' networks is among the first `n`. */
function oneAtMost(n: number): number {
  return 1 - allBad(THREATS_10.honest, NETWORKS, n);
}

function sumOf({ choose, sybilsAreNew, chunks }: Row, replicas: number): Captured {
  const sum = { chunks: 0, whole: 0, replicas: 0, sybilReplicas: 0 };
  for (let seed = 0; seed < SEEDS; seed++) {
    const one = attack({ ...THREATS_10, sybilsAreNew }, { seed: `${seed}`, chunks, replicas, choose });
    for (const key of ["chunks", "whole", "replicas", "sybilReplicas"] as const) sum[key] += one[key];
  }
  return sum;
}

const percent = (part: number) => (part === 0 ? "0" : `${(100 * part).toPrecision(3)} %`);

console.log(`${SEEDS} seeds; ${NODES} nodes in ${NETWORKS} networks`);
console.log("| placed by | replicas | chunks | all on Sybils | expected | replicas on Sybils | expected |");
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const row of rows) {
  for (const replicas of REPLICAS) {
    const { chunks, whole, replicas: all, sybilReplicas } = sumOf(row, replicas);
    const expected = row.expected(replicas);
    const cells = [row.name, replicas, chunks.toLocaleString("en"), percent(whole / chunks)];
    const more = [percent(expected.whole), percent(sybilReplicas / all), percent(expected.share)];
    console.log(`| ${[...cells, ...more].join(" | ")} |`);
  }
}

const nodes = Array.from(
  { length: CANDIDATES },
  (_, i): Candidate => ({
    ...{ id: hash(`node ${i}`) as NodeId, failureDomain: `10.${i >> 8}.${i & 255}.0/24`, domains: "all" },
    ...{ online: true, leaving: false, freeBytes: 1e9, standing: 1, hours: null, firstSeenMs: 0 },
  }),
);
const placed = Array.from({ length: 2000 }, (_, i) => hash(`chunk ${i}`));
for (const chunk of placed) ranked(chunk, 3, nodes);
const startedMs = performance.now();
for (const chunk of placed) ranked(chunk, 3, nodes);
const eachMs = (performance.now() - startedMs) / placed.length;
console.log(`\nplacing a chunk among ${CANDIDATES} candidates: ${eachMs.toFixed(3)} ms`);

function hash(text: string) {
  return hashBytes(new TextEncoder().encode(text));
}
