// Reads chunks from home nodes, verified: at a node's own URL, or through its tunnel. A holder that fails, stalls or
// lies costs the reader nothing but time: the next one is asked, and nothing leaves here before its hash has matched.

import type { IndexClient } from "../durable-objects/index-client.ts";
import type { Member } from "../durable-objects/members-table.ts";
import type { ReadOutcome, WantedChunk } from "../durable-objects/node-reader.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { isServingAt } from "../lib/pledge.ts";
import { hotChunk, keepInCache, noteRead } from "./chunk-cache.ts";
import { denylist } from "./denylist.ts";

/** Holders that are asked for one chunk before the read fails. */
export const HOLDERS_TRIED_MAX = 8;
/** A holder that failed is asked last for this long. */
export const FAILURE_MEMORY_MS = 30_000;
const FAILURES_REMEMBERED_MAX = 1000;
/** How far behind a node with a URL of its own a relayed one ranks, of 0.5 that chance gives: relayed bytes cost the edge. */
const RELAY_HANDICAP = 0.25;

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
    const outcome = await index.read(holder, chunk);
    if (outcome.status === "read") return outcome.bytes;
    noteFailure(holder, chunk, outcome);
    await index.checkLinks([holder.id]);
  }
  // What cannot be dialled from here may still hold its socket open.
  for (const holder of holders.filter(({ url }) => url !== null)) {
    const outcome = await index.read({ ...holder, url: null }, chunk);
    if (outcome.status === "read") return outcome.bytes;
  }
  throw new HoldfastError("no-holder", `no home node could give chunk ${chunk.hash}: try again later`);
}

/**
 * Online before offline and before those that do not serve at this hour, those that failed lately last. Holders come oldest first, and only the oldest are tried, in
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
  const isThere = member.online && isServingAt(member.hours, Date.now());
  return (isThere ? 0 : 2) + (hasFailedLately(member.id) ? 1 : 0);
}

function hasFailedLately(id: NodeId): boolean {
  return (failedAt.get(id) ?? 0) > Date.now() - FAILURE_MEMORY_MS;
}

function noteFailure(
  { id }: Member,
  { hash }: WantedChunk,
  outcome: Exclude<ReadOutcome, { status: "read" }>,
): void {
  console.warn(`holder ${id} failed for chunk ${hash}: ${outcome.status}: ${outcome.detail}`);
  if (failedAt.size >= FAILURES_REMEMBERED_MAX) failedAt.clear();
  failedAt.set(id, Date.now());
}
