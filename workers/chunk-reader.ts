// Reads chunks from home nodes, verified. A holder that fails, stalls or lies costs the reader nothing but time:
// the next one is asked, and nothing leaves here before its hash has matched.

import type { Member } from "../durable-objects/members-table.ts";
import { HoldfastError } from "../lib/error.ts";
import { readBody } from "../lib/fetch.ts";
import { encodeHash, type Hash, type NodeId } from "../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";
import type { IndexClient } from "./index-client.ts";

/** A holder gets this long for a whole chunk: 2 MiB at 1 Mbit/s. */
export const CHUNK_TIMEOUT_MS = 16_000;
/** Holders that are asked for one chunk before the read fails. */
export const HOLDERS_TRIED_MAX = 8;
/** A holder that failed is asked last for this long. */
export const FAILURE_MEMORY_MS = 30_000;
const FAILURES_REMEMBERED_MAX = 1000;

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

/** The chunk's verified bytes from the first holder that gives them. Throws `no-holder`. */
export async function readChunk(
  index: IndexClient,
  chunk: WantedChunk,
  holders: Member[],
): Promise<Uint8Array<ArrayBuffer>> {
  for (const holder of holders) {
    const bytes = await readFrom(holder, chunk);
    if (bytes !== null) return bytes;
    noteFailure(holder.id);
    await index.checkLinks([holder.id]);
  }
  throw new HoldfastError("no-holder", `no home node could give chunk ${chunk.hash}: try again later`);
}

/** The chunk from one holder, or null where it did not give the right bytes in time. */
async function readFrom(holder: Member, chunk: WantedChunk): Promise<Uint8Array<ArrayBuffer> | null> {
  if (holder.url === null) return null;
  const signal = AbortSignal.timeout(CHUNK_TIMEOUT_MS);
  try {
    const response = await fetch(`${holder.url}/chunk/${chunk.hash}`, { redirect: "manual", signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      return null;
    }
    const bytes = await readBody(response, chunk.size ?? CHUNK_BYTES_MAX);
    return (await digest(bytes)) === chunk.hash ? bytes : null;
  } catch (error) {
    console.warn(`holder ${holder.id} failed for chunk ${chunk.hash}: ${error}`);
    return null;
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Hash> {
  return encodeHash(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
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
    .map(({ member, state }) => ({ member, rank: state + Math.random() / 2 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ member }) => member);
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
