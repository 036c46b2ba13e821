// Who holds a Version's chunks now, as an edge knows it: what its weakest chunk has.

import pLimit from "p-limit";
import { isHoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import { namedHashes, parseManifest } from "../manifest.ts";
import { CHUNKS_PER_PLAN_MAX } from "../wire/chunks.ts";
import type { KnownVersion } from "./name-knowledge.ts";
import type { Server } from "./server.ts";

/** Chunks that are asked about, of all Versions together; past it, only about the Manifests. */
export const CHUNKS_ASKED_MAX = 10_000;
/** Versions, the newest first, whose chunks are asked about beside their Manifests. */
export const MANIFESTS_LOADED_MAX = 100;
const MANIFESTS_AT_ONCE = 4;

/** How well a Version is held: of its chunks, the one that fewest nodes hold. */
export interface Holding {
  /** Chunks that were asked about, the Manifest among them. */
  chunks: number;
  /** Nodes recorded for each of them at least. */
  known: number;
  /** Nodes online for each of them at least. */
  online: number;
  /** Since when each of them was last seen on a holder by the edge, at the latest; null where one never was. */
  audited: string | null;
}

export interface HoldingsOptions {
  edge: Server;
  /** Verified bytes of a Manifest. */
  load: (manifest: Hash) => Promise<Uint8Array>;
}

/**
 * For each Version; null where the edge does not say. Of a Version whose Manifest cannot be had, or past the first ones,
 * only the Manifest is asked about.
 */
export async function holdingsOf(
  versions: readonly KnownVersion[],
  manifests: ReadonlyMap<Hash, Uint8Array>,
  { edge, load }: HoldingsOptions,
): Promise<(Holding | null)[]> {
  const limit = pLimit(MANIFESTS_AT_ONCE);
  const named = await Promise.all(
    versions.map(({ version: { body } }, i) =>
      i < MANIFESTS_LOADED_MAX
        ? limit(() => namedIn(body.manifest, async (hash) => manifests.get(hash) ?? load(hash)))
        : [],
    ),
  );
  let asked = 0;
  const chunksOf = versions.map(({ version: { body } }, i) => {
    const its = named[i] ?? [];
    asked += its.length;
    return [body.manifest, ...(asked > CHUNKS_ASKED_MAX ? [] : its)];
  });
  try {
    const holders = await locateAll([...new Set(chunksOf.flat())], edge);
    return chunksOf.map((chunks) => weakest(new Set(chunks), holders));
  } catch (error) {
    if (isHoldfastError(error)) return versions.map(() => null);
    throw error;
  }
}

async function namedIn(manifest: Hash, load: HoldingsOptions["load"]): Promise<Hash[]> {
  try {
    return namedHashes(parseManifest(await load(manifest)));
  } catch (error) {
    if (isHoldfastError(error)) return [];
    throw error;
  }
}

interface Holders {
  known: number;
  online: number;
  /** When one of them was last seen to have the chunk, or null. */
  audited: string | null;
}

async function locateAll(chunks: readonly Hash[], edge: Server): Promise<Map<Hash, Holders>> {
  const found = new Map<Hash, Holders>();
  for (let at = 0; at < chunks.length; at += CHUNKS_PER_PLAN_MAX) {
    const answer = await edge.locate(chunks.slice(at, at + CHUNKS_PER_PLAN_MAX));
    const online = new Set<NodeId>(answer.online ?? []);
    for (const [i, { hash, holders }] of answer.chunks.entries()) {
      const audited = latest(answer.checked?.[i] ?? []);
      found.set(hash, {
        known: holders.length,
        online: holders.filter((id) => online.has(id)).length,
        audited,
      });
    }
  }
  return found;
}

/** Times as statements write them are in the order of their text. */
function latest(times: readonly (string | null)[]): string | null {
  return times.reduce((last, time) => (time !== null && (last === null || time > last) ? time : last), null);
}

function earliest(times: readonly (string | null)[]): string | null {
  return times.includes(null) ? null : ([...times].sort()[0] ?? null);
}

function weakest(chunks: ReadonlySet<Hash>, holders: ReadonlyMap<Hash, Holders>): Holding {
  const its = [...chunks].map((hash) => holders.get(hash) ?? { known: 0, online: 0, audited: null });
  return {
    chunks: chunks.size,
    known: Math.min(...its.map(({ known }) => known)),
    online: Math.min(...its.map(({ online }) => online)),
    audited: earliest(its.map(({ audited }) => audited)),
  };
}
