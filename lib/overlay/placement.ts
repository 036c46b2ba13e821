// Where a chunk's replicas go: online nodes with room that accept the domain, one to a failure domain. Failure
// domains are ranked by their names and the chunk, so that owning ids near a chunk buys nothing; and no chunk is left to
// nodes that appeared just now, that are there for half of the day, or that did not keep what they had.

import { isDelisted } from "../durability/standing.ts";
import type { Hash, NodeId } from "../hash.ts";
import type { Domain } from "../names.ts";
import { acceptsDomain, isServingAt, type Pledge, type PledgeHours } from "../pledge.ts";
import { rankFor, wordsOf } from "./rank.ts";

/** First seen less long ago, a node is a newcomer. */
export const NEWCOMER_MS = 7 * 24 * 60 * 60 * 1000;
/** Newcomers among the holders of one chunk, while there are others. */
export const NEWCOMERS_PER_CHUNK_MAX = 1;
/** A node that stands lower is given a chunk only where nobody else can take it; one that is delisted, never. */
export const PLACED_STANDING_MIN = 0.5;

/** What placement knows of a holder, or of a node that may become one. */
export interface Holder {
  /** What fails together: a /24, a /48, or the node itself. */
  failureDomain: string;
  firstSeenMs: number;
  /** When it serves; null: always. */
  hours: PledgeHours | null;
}

/** A node as placement sees it. */
export interface Candidate extends Holder {
  id: NodeId;
  online: boolean;
  leaving: boolean;
  freeBytes: number;
  domains: Pledge["domains"];
  /** How it did when it was checked: 0 to 1. */
  standing: number;
}

export interface PlacementRequest {
  chunk: Hash;
  sizeBytes: number;
  domain: Domain;
  /** How many nodes to choose. */
  count: number;
  /** Failure domains that hold the chunk already, or that it must not be in. */
  taken: ReadonlySet<string>;
  avoid: ReadonlySet<NodeId>;
  /** Who keeps it already; of a chunk in a stripe, who keeps the stripe's others. */
  holders: readonly Holder[];
  /** True: more than half on nodes that serve for some hours only, before fewer copies. For repairs: a publisher can wait. */
  hoursYield: boolean;
  nowMs: number;
}

/** The chosen nodes, best first; fewer than `count` where there are not enough. */
export function placeReplicas(request: PlacementRequest, candidates: Iterable<Candidate>): NodeId[] {
  if (request.count <= 0) return [];
  const places = new Places(request);
  const queue = rankedDomains(request, candidates);
  for (const rule of rulesOf(request)) {
    for (const { name, nodes } of queue) {
      if (places.left === 0) return places.chosen;
      if (places.isTaken(name)) continue;
      const node = nodes.find((one) => places.admits(one, rule));
      if (node !== undefined) places.take(node);
    }
  }
  return places.chosen;
}

/** What a walk through the failure domains may do that the one before it might not. */
interface Rule {
  newcomersFill: boolean;
  fallenFill: boolean;
  hoursYield: boolean;
}

function rulesOf({ hoursYield }: PlacementRequest): Rule[] {
  const rules = [
    { newcomersFill: false, fallenFill: false, hoursYield: false },
    { newcomersFill: true, fallenFill: false, hoursYield: false },
    { newcomersFill: true, fallenFill: true, hoursYield: false },
  ];
  return hoursYield ? [...rules, { newcomersFill: true, fallenFill: true, hoursYield: true }] : rules;
}

/** The places that a chunk has, and who may still have one. */
class Places {
  readonly chosen: NodeId[] = [];
  readonly #nowMs: number;
  readonly #count: number;
  readonly #domains = new Set<string>();
  #newcomersLeft: number;
  #partTimersLeft: number;

  constructor({ count, holders, nowMs }: PlacementRequest) {
    this.#nowMs = nowMs;
    this.#count = count;
    const copies = [...Map.groupBy(holders, ({ failureDomain }) => failureDomain).values()];
    const all = copies.length + count;
    const newcomers = copies.filter((those) => those.every((one) => isNewcomer(one, nowMs))).length;
    const partTimers = copies.filter((those) => those.every(({ hours }) => hours !== null)).length;
    // Of one copy, none: it would be the only one.
    this.#newcomersLeft = Math.min(NEWCOMERS_PER_CHUNK_MAX, all - 1) - newcomers;
    this.#partTimersLeft = Math.floor(all / 2) - partTimers;
  }

  get left(): number {
    return this.#count - this.chosen.length;
  }

  isTaken(failureDomain: string): boolean {
    return this.#domains.has(failureDomain);
  }

  admits(node: Candidate, rule: Rule): boolean {
    return (
      (rule.fallenFill || node.standing >= PLACED_STANDING_MIN) &&
      (rule.newcomersFill || this.#newcomersLeft > 0 || !isNewcomer(node, this.#nowMs)) &&
      (rule.hoursYield || this.#partTimersLeft > 0 || node.hours === null)
    );
  }

  take(node: Candidate): void {
    this.chosen.push(node.id);
    this.#domains.add(node.failureDomain);
    if (isNewcomer(node, this.#nowMs)) this.#newcomersLeft--;
    if (node.hours !== null) this.#partTimersLeft--;
  }
}

function isNewcomer({ firstSeenMs }: Holder, nowMs: number): boolean {
  return nowMs - firstSeenMs < NEWCOMER_MS;
}

interface RankedDomain {
  name: string;
  rank: number;
  nodes: Candidate[];
}

/** Those that can take the chunk now, by failure domain, both in the order of their ranks. */
function rankedDomains(request: PlacementRequest, candidates: Iterable<Candidate>): RankedDomain[] {
  const chunk = wordsOf(request.chunk);
  const domains = new Map<string, RankedDomain>();
  for (const node of candidates) {
    if (!isUsable(node, request)) continue;
    const domain = domains.get(node.failureDomain);
    if (domain !== undefined) domain.nodes.push(node);
    else {
      const name = node.failureDomain;
      domains.set(name, { name, rank: rankFor(name, chunk), nodes: [node] });
    }
  }
  for (const domain of domains.values()) {
    if (domain.nodes.length > 1) domain.nodes = byRank(domain.nodes, chunk);
  }
  return [...domains.values()].sort((a, b) => a.rank - b.rank);
}

function byRank(nodes: Candidate[], chunk: Uint32Array): Candidate[] {
  return nodes
    .map((node) => ({ node, rank: rankFor(node.id, chunk) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ node }) => node);
}

function isUsable(node: Candidate, request: PlacementRequest): boolean {
  return (
    node.online &&
    !node.leaving &&
    node.freeBytes >= request.sizeBytes &&
    !request.taken.has(node.failureDomain) &&
    !request.avoid.has(node.id) &&
    !isDelisted(node.standing) &&
    acceptsDomain(node, request.domain) &&
    isServingAt(node.hours, request.nowMs)
  );
}
