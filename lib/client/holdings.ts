// Who holds a Version's chunks now, as an edge knows it: what its weakest chunk has.

import { isHoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import { namedHashes, parseManifest } from "../manifest.ts";
import { CHUNKS_PER_PLAN_MAX } from "../wire.ts";
import type { KnownVersion } from "./name-knowledge.ts";
import type { Server } from "./server.ts";

/** Chunks that are asked about, of all Versions together; past it, only about the Manifests. */
export const CHUNKS_ASKED_MAX = 10_000;

/** How well a Version is held: of its chunks, the one that fewest nodes hold. */
export interface Holding {
  /** Chunks that were asked about, the Manifest among them. */
  chunks: number;
  /** Nodes recorded for each of them at least. */
  known: number;
  /** Nodes online for each of them at least. */
  online: number;
}

/** For each Version; null where the edge does not say. Chunks are asked about where the Manifest is at hand. */
export async function holdingsOf(
  versions: readonly KnownVersion[],
  manifests: ReadonlyMap<Hash, Uint8Array>,
  edge: Server,
): Promise<(Holding | null)[]> {
  let asked = 0;
  const chunksOf = versions.map(({ version: { body } }) => {
    const bytes = manifests.get(body.manifest);
    const named = bytes === undefined ? [] : namedHashes(parseManifest(bytes));
    const chunks = asked + named.length > CHUNKS_ASKED_MAX ? [] : named;
    asked += chunks.length;
    return [body.manifest, ...chunks];
  });
  try {
    const holders = await locateAll([...new Set(chunksOf.flat())], edge);
    return chunksOf.map((chunks) => weakest(new Set(chunks), holders));
  } catch (error) {
    if (isHoldfastError(error)) return versions.map(() => null);
    throw error;
  }
}

interface Holders {
  known: number;
  online: number;
}

async function locateAll(chunks: readonly Hash[], edge: Server): Promise<Map<Hash, Holders>> {
  const found = new Map<Hash, Holders>();
  for (let at = 0; at < chunks.length; at += CHUNKS_PER_PLAN_MAX) {
    const answer = await edge.locate(chunks.slice(at, at + CHUNKS_PER_PLAN_MAX));
    const online = new Set<NodeId>(answer.online ?? []);
    for (const { hash, holders } of answer.chunks)
      found.set(hash, { known: holders.length, online: holders.filter((id) => online.has(id)).length });
  }
  return found;
}

function weakest(chunks: ReadonlySet<Hash>, holders: ReadonlyMap<Hash, Holders>): Holding {
  const its = [...chunks].map((hash) => holders.get(hash) ?? { known: 0, online: 0 });
  return {
    chunks: chunks.size,
    known: Math.min(...its.map(({ known }) => known)),
    online: Math.min(...its.map(({ online }) => online)),
  };
}
