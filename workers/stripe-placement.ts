// Where the chunks of stripes go: each position on a failure domain of its own. Positions that holders stand for already are
// matched first; what is left over is placed beside them.

import type { Member } from "../durable-objects/members-table.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { placeReplicas } from "../lib/overlay/placement.ts";
import { matchPositions } from "../lib/redundancy/matching.ts";

/** A chunk that can be sent, and what placement may choose among for it. */
export interface Placeable {
  sizeBytes: number;
  candidates: Member[];
}

/** The holders that stand for a chunk's positions, and the nodes to send it to for the others. */
export interface Placed {
  held: Member[];
  send: Member[];
}

export interface StripeRequest {
  domain: Domain;
  /** By position; a chunk may stand at several. */
  stripe: readonly Hash[];
  /** Who keeps each of the stripe's chunks for the domain. */
  keeping: ReadonlyMap<Hash, readonly Member[]>;
  /** The chunks that can be sent now. */
  placeable: ReadonlyMap<Hash, Placeable>;
  avoid: ReadonlySet<NodeId>;
}

/** For each chunk that can be sent. Where there are too few failure domains, positions are left without a node. */
export function placeStripe(request: StripeRequest): Map<Hash, Placed> {
  const { stripe, keeping, placeable } = request;
  const places = new Map<Hash, Placed>([...placeable.keys()].map((hash) => [hash, { held: [], send: [] }]));
  const holders = (hash: Hash) => keeping.get(hash) ?? [];
  const matched = matchPositions(
    stripe.map((hash) => holders(hash).map(({ failureDomain }) => failureDomain)),
  );
  const taken = new Set(matched.filter((domain) => domain !== null));
  for (const [position, hash] of stripe.entries()) {
    const domain = matched[position] ?? null;
    const place = places.get(hash);
    if (domain !== null) {
      place?.held.push(...holders(hash).filter((member) => member.failureDomain === domain));
      continue;
    }
    const node = choose(hash, taken, request);
    if (node === null) continue;
    taken.add(node.failureDomain);
    place?.send.push(node);
  }
  return places;
}

function choose(chunk: Hash, taken: ReadonlySet<string>, request: StripeRequest): Member | null {
  const { domain, placeable, avoid } = request;
  const known = placeable.get(chunk);
  if (known === undefined) return null;
  const { sizeBytes, candidates } = known;
  const [id] = placeReplicas({ chunk, sizeBytes, domain, count: 1, taken, avoid }, candidates);
  return candidates.find((member) => member.id === id) ?? null;
}
