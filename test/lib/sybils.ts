// One operator with many nodes in few networks, among honest nodes in networks of their own: how much of what is placed
// ends up with him. The placement is the real one; beside it stands the choice of the closest ids, which shows the attack.

import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { closestTo } from "../../lib/overlay/distance.ts";
import { type Candidate, NEWCOMER_MS, placeReplicas } from "../../lib/overlay/placement.ts";

export interface Attack {
  honest: number;
  sybils: number;
  /** Networks of the Sybils; each honest node has its own. */
  sybilNetworks: number;
  /** True: the honest nodes have been there for long, and the Sybils have not. */
  sybilsAreNew: boolean;
}

export const THREATS_10: Attack = { honest: 100, sybils: 200, sybilNetworks: 3, sybilsAreNew: false };

export type Choice = (chunk: Hash, replicas: number, nodes: readonly Candidate[]) => NodeId[];

export interface Captured {
  chunks: number;
  /** Chunks that only Sybils hold. */
  whole: number;
  /** Replicas on Sybils, of all. */
  replicas: number;
  sybilReplicas: number;
}

const NOW_MS = 100 * NEWCOMER_MS;
const domain = parseDomain("example.org");
const SYBIL_NETWORK = "203.0.";

export const ranked: Choice = (chunk, count, nodes) =>
  placeReplicas(
    {
      ...{ chunk, count, domain, sizeBytes: 1, nowMs: NOW_MS },
      ...{ taken: new Set(), avoid: new Set(), holders: [], hoursYield: false },
    },
    nodes,
  );

export const closestFirst: Choice = (chunk, count, nodes) =>
  closestTo(chunk, nodes, ({ id }) => id, count).map(({ id }) => id);

/** Places `chunks` chunks; ids and chunks follow from the seed. */
export function attack(
  scene: Attack,
  { seed, chunks, replicas, choose }: { seed: string; chunks: number; replicas: number; choose: Choice },
): Captured {
  const nodes = nodesOf(scene, seed);
  const sybils = new Set(
    nodes.filter(({ failureDomain }) => failureDomain.startsWith(SYBIL_NETWORK)).map(({ id }) => id),
  );
  const captured = { chunks, whole: 0, replicas: 0, sybilReplicas: 0 };
  for (let i = 0; i < chunks; i++) {
    const holders = choose(hashOf(`${seed} chunk ${i}`), replicas, nodes);
    const caught = holders.filter((id) => sybils.has(id)).length;
    captured.replicas += holders.length;
    captured.sybilReplicas += caught;
    if (caught === holders.length) captured.whole++;
  }
  return captured;
}

/** The chance that all of `drawn` things, drawn from `all` of which `bad` are bad, are bad. */
export function allBad(bad: number, all: number, drawn: number): number {
  return Array.from({ length: drawn }, (_, i) => Math.max(0, bad - i) / (all - i)).reduce((p, q) => p * q, 1);
}

function nodesOf({ honest, sybils, sybilNetworks, sybilsAreNew }: Attack, seed: string): Candidate[] {
  const good = Array.from({ length: honest }, (_, i) => nodeOf(`${seed} good ${i}`, `198.51.${i}.0/24`, 0));
  const seenMs = sybilsAreNew ? NOW_MS : 0;
  const bad = Array.from({ length: sybils }, (_, i) =>
    nodeOf(`${seed} bad ${i}`, `${SYBIL_NETWORK}${i % sybilNetworks}.0/24`, seenMs),
  );
  return [...good, ...bad];
}

function nodeOf(label: string, failureDomain: string, firstSeenMs: number): Candidate {
  return {
    ...{ id: hashOf(label) as NodeId, failureDomain, firstSeenMs, domains: "all" },
    ...{ online: true, leaving: false, freeBytes: 1e9, standing: 1, hours: null },
  };
}

function hashOf(text: string): Hash {
  return hashBytes(new TextEncoder().encode(text));
}
