// Reads chunks from home nodes, verified: at a node's own URL, or through its tunnel. A holder that fails, stalls or
// lies costs the reader nothing but time: the next one is asked, and nothing leaves here before its hash has matched.

import type { Member } from "../durable-objects/members-table.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";
import { readBytes } from "./body.ts";
import { hotChunk, keepInCache, noteRead } from "./chunk-cache.ts";
import { denylist } from "./denylist.ts";
import { digest } from "./digest.ts";
import type { IndexClient } from "./index-client.ts";

/** A holder gets this long for a whole chunk: 2 MiB at 1 Mbit/s. */
export const CHUNK_TIMEOUT_MS = 16_000;
/** Holders that are asked for one chunk before the read fails. */
export const HOLDERS_TRIED_MAX = 8;
/** A holder that failed is asked last for this long. */
export const FAILURE_MEMORY_MS = 30_000;
const FAILURES_REMEMBERED_MAX = 1000;
/** How far behind a node with a URL of its own a relayed one ranks, of 0.5 that chance gives: relayed bytes cost the edge. */
const RELAY_HANDICAP = 0.25;

export interface WantedChunk {
  hash: Hash;
  /** Bytes, where the reader knows; a chunk of another size is refused. */
  size?: number;
}

const failedAt = new Map<NodeId, number>();

/** Who holds these chunks, best first: one look-up for all of them. */
export async function findHolders(index: IndexClient, chunks: Hash[]): Promise<Map<Hash, Member[]>> {
  const holdings = await index.locate(chunks);
  const members = await index.members([...holdings.values()].flat());
  return new Map(
    [...holdings].map(([chunk, ids]) => [chunk, rankHolders(ids.flatMap((id) => members.get(id) ?? []))]),
  );
}

/** The chunk's verified bytes: from the cache where it is hot, else from the first holder that gives them. Throws `no-holder`, or that it is blocked. */
export async function readChunk(
  index: IndexClient,
  chunk: WantedChunk,
  holders: Member[],
): Promise<Uint8Array<ArrayBuffer>> {
  denylist().check(chunk.hash);
  const hot = await hotChunk(chunk.hash);
  if (hot !== null) return hot;
  const isAgain = noteRead(chunk.hash);
  const bytes = await readFromHolders(index, chunk, holders);
  if (isAgain) keepInCache(chunk.hash, bytes);
  return bytes;
}

async function readFromHolders(
  index: IndexClient,
  chunk: WantedChunk,
  holders: Member[],
): Promise<Uint8Array<ArrayBuffer>> {
  for (const holder of holders) {
    const bytes = await readFrom(routeTo(index, holder), holder, chunk);
    if (bytes !== null) return bytes;
    noteFailure(holder.id);
    await index.checkLinks([holder.id]);
  }
  // What cannot be dialled from here may still hold its socket open.
  for (const holder of holders.filter(({ url }) => url !== null)) {
    const bytes = await readFrom(tunnelTo(index, holder), holder, chunk);
    if (bytes !== null) return bytes;
  }
  throw new HoldfastError("no-holder", `no home node could give chunk ${chunk.hash}: try again later`);
}

/** Sends a request to a node by one way. */
type Route = (path: string, signal: AbortSignal) => Promise<Response>;

function routeTo(index: IndexClient, holder: Member): Route {
  const { url } = holder;
  if (url === null) return tunnelTo(index, holder);
  return (path, signal) => fetch(`${url}${path}`, { redirect: "manual", signal });
}

function tunnelTo(index: IndexClient, { id }: Member): Route {
  return (path, signal) => index.link(id).fetch(`http://link.invalid${path}`, { redirect: "manual", signal });
}

/** The chunk from one holder, or null where it did not give the right bytes in time. */
async function readFrom(
  route: Route,
  holder: Member,
  chunk: WantedChunk,
): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const response = await route(`/chunk/${chunk.hash}`, AbortSignal.timeout(CHUNK_TIMEOUT_MS));
    if (response.status !== 200) {
      await response.body?.cancel();
      return null;
    }
    const bytes = await readBytes(response, chunk.size ?? CHUNK_BYTES_MAX);
    return (await digest(bytes)) === chunk.hash ? bytes : null;
  } catch (error) {
    console.warn(`holder ${holder.id} failed for chunk ${chunk.hash}: ${error}`);
    return null;
  }
}

/**
 * Online before offline, those that failed lately last. Holders come oldest first, and only the oldest are tried, in
 * random order to spread the load: nodes that claim a chunk after it was published cannot push its holders out.
 */
function rankHolders(holders: Member[]): Member[] {
  const byState = holders
    .map((member) => ({ member, state: stateRank(member) }))
    .sort((a, b) => a.state - b.state);
  return byState
    .slice(0, HOLDERS_TRIED_MAX)
    .map(({ member, state }) => ({ member, rank: state + Math.random() / 2 + handicapOf(member) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ member }) => member);
}

function handicapOf(member: Member): number {
  return member.url === null ? RELAY_HANDICAP : 0;
}

function stateRank(member: Member): number {
  return (member.online ? 0 : 2) + (hasFailedLately(member.id) ? 1 : 0);
}

function hasFailedLately(id: NodeId): boolean {
  return (failedAt.get(id) ?? 0) > Date.now() - FAILURE_MEMORY_MS;
}

function noteFailure(id: NodeId): void {
  if (failedAt.size >= FAILURES_REMEMBERED_MAX) failedAt.clear();
  failedAt.set(id, Date.now());
}
