// How the chunks of a list are grouped: the distinct ones, in order of first appearance, `data` at a time, each group with
// `parity` parity chunks in the list's order. The last stripe may be shorter. A list's stripes are its own: a chunk that two
// lists share is in a stripe of each.

import type { Hash } from "../hash.ts";
import type { ChunkRef, StripedList } from "../manifest.ts";

/** Positions count through the data, then through the parity. */
export interface Stripe {
  data: ChunkRef[];
  parity: ChunkRef[];
}

export function stripesOf({ chunks, parity, redundancy }: StripedList): Stripe[] {
  const distinct = distinctChunks(chunks);
  return Array.from({ length: Math.ceil(distinct.length / redundancy.data) }, (_, i) => ({
    data: distinct.slice(i * redundancy.data, (i + 1) * redundancy.data),
    parity: parity.slice(i * redundancy.parity, (i + 1) * redundancy.parity),
  }));
}

/** The stripes that a chunk is in, as data or as parity: one, but for the rare parity that equals another chunk. */
export function stripesWith(list: StripedList, hash: Hash): Stripe[] {
  return stripesOf(list).filter((stripe) => membersOf(stripe).some((member) => member.hash === hash));
}

/** A stripe's chunks by position; one that stands at several positions comes as often. */
export function membersOf({ data, parity }: Stripe): ChunkRef[] {
  return [...data, ...parity];
}

function distinctChunks(chunks: readonly ChunkRef[]): ChunkRef[] {
  const byHash = new Map<Hash, ChunkRef>();
  for (const chunk of chunks) if (!byHash.has(chunk.hash)) byHash.set(chunk.hash, chunk);
  return [...byHash.values()];
}
