// Where a chunk's replicas go: online nodes with room that accept the domain, one to a failure domain. Failure
// domains are ranked by a hash of their name and the chunk, so that owning ids near a chunk buys nothing.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { isDelisted, STANDING_UNKNOWN } from "../durability/standing.ts";
import { decodeHash, type Hash, type NodeId } from "../hash.ts";
import type { Domain } from "../names.ts";
import { acceptsDomain, type Pledge } from "../pledge.ts";

/** A node as placement sees it. */
export interface Candidate {
  id: NodeId;
  /** What fails together: a /24, a /48, or the node itself. */
  failureDomain: string;
  online: boolean;
  freeBytes: number;
  domains: Pledge["domains"];
  /** How it did when it was checked, 0 to 1; left out where nobody here knows. */
  standing?: number;
}

export interface PlacementRequest {
  chunk: Hash;
  sizeBytes: number;
  domain: Domain;
  /** How many nodes to choose. */
  count: number;
  /** Failure domains that hold the chunk already. */
  taken: ReadonlySet<string>;
  avoid: ReadonlySet<NodeId>;
}

/** The chosen nodes, best first; fewer than `count` where there are not enough. */
export function placeReplicas(request: PlacementRequest, candidates: Iterable<Candidate>): NodeId[] {
  if (request.count <= 0) return [];
  const usable = [...candidates].filter((node) => isUsable(node, request));
  const byDomain = Map.groupBy(usable, (node) => node.failureDomain);
  return [...byDomain]
    .map(([name, nodes]) => ({ rank: rankOf(name, request.chunk), node: firstByRank(nodes, request.chunk) }))
    .sort((a, b) => compareText(a.rank, b.rank))
    .slice(0, request.count)
    .flatMap(({ node }) => (node === undefined ? [] : [node.id]));
}

function isUsable(node: Candidate, request: PlacementRequest): boolean {
  return (
    node.online &&
    node.freeBytes >= request.sizeBytes &&
    !request.taken.has(node.failureDomain) &&
    !request.avoid.has(node.id) &&
    !isDelisted(node.standing ?? STANDING_UNKNOWN) &&
    acceptsDomain(node, request.domain)
  );
}

function firstByRank(nodes: Candidate[], chunk: Hash): Candidate | undefined {
  return nodes
    .map((node) => ({ rank: rankOf(node.id, chunk), node }))
    .sort((a, b) => compareText(a.rank, b.rank))[0]?.node;
}

/** SHA-256(name ‖ Content Hash) as text. */
function rankOf(name: string, chunk: Hash): string {
  return bytesToHex(sha256(concatBytes(new TextEncoder().encode(name), decodeHash(chunk))));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
