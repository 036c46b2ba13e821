// Reads chunks from home nodes, verified: at a node's own URL, or through its tunnel. A holder that fails, stalls or
// lies costs the reader nothing but time: the next one is asked, and nothing leaves here before its hash has matched.

import { CLAIMED } from "../durable-objects/chunks-table.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import type { Member } from "../durable-objects/members-table.ts";
import type { ReadOutcome, WantedChunk } from "../durable-objects/node-reader.ts";
import { isDelisted } from "../lib/durability/standing.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { isServingAt } from "../lib/pledge.ts";
import { hotChunk, keepInCache, noteRead } from "./chunk-cache.ts";
import { denylist } from "./denylist.ts";
import { findPeerHolders, forgetPeerHolders } from "./peer-holders.ts";
import { noteGiven, noteLoss } from "./read-notes.ts";

/** Holders that are asked first, and holders whose answer a read waits for in vain before it fails. */
export const HOLDERS_TRIED_MAX = 8;
/** A holder that failed is asked last for this long. */
export const FAILURE_MEMORY_MS = 30_000;
const FAILURES_REMEMBERED_MAX = 1000;
/** How far behind a node with a URL of its own a relayed one ranks, of 0.5 that chance gives: relayed bytes cost the edge. */
const RELAY_HANDICAP = 0.25;

/** Nodes by their ids, and edges by their origins. */
const failedAt = new Map<string, number>();

/** A holder of a chunk. */
export interface Holder extends Pick<Member, "id" | "key" | "url" | "online" | "hours" | "standing"> {
  /** When it last gave the chunk to whoever checked it; 0: never, it is its claim. */
  checkedMs: number;
  /** Edges under whose /via/<id> it is reached, where it is no node of this edge's own. */
  relays: string[];
}

/** Who holds these chunks, best first. Of what no node of this edge holds, peers are asked. */
export async function findHolders(index: IndexClient, chunks: Hash[]): Promise<Map<Hash, Holder[]>> {
  const found = await findOwnHolders(index, chunks);
  const unknown = chunks.filter((chunk) => (found.get(chunk) ?? []).length === 0);
  for (const [chunk, holders] of await findPeerHolders(index.settings, unknown)) found.set(chunk, holders);
  return found;
}

/** As findHolders, without asking anybody: one look-up for all of them. */
export async function findOwnHolders(index: IndexClient, chunks: Hash[]): Promise<Map<Hash, Holder[]>> {
  const holdings = [...(await index.holdings(chunks)).values()];
  const members = await index.members(holdings.flatMap(({ holders }) => holders));
  return new Map(
    holdings.map(({ chunk, holders, checkedMs }) => {
      const known = holders.flatMap((id, i) => {
        const member = members.get(id);
        return member === undefined ? [] : [{ ...member, checkedMs: checkedMs[i] ?? 0, relays: [] }];
      });
      return [chunk, rankHolders(known)];
    }),
  );
}

/** The chunk's verified bytes: from the cache where it is hot, else from the first holder that gives them. Throws `no-holder`, or that it is blocked. */
export async function readChunk(
  index: IndexClient,
  chunk: WantedChunk,
  holders: Holder[],
): Promise<Uint8Array<ArrayBuffer>> {
  denylist().check(chunk.hash);
  const hot = await hotChunk(chunk.hash);
  if (hot !== null) return hot;
  const isAgain = noteRead(chunk.hash);
  const bytes = await readFromHolders(index, chunk, holders);
  if (isAgain) keepInCache(chunk.hash, bytes);
  return bytes;
}

/**
 * A holder that says that it does not have the chunk costs little and is no holder any more, so that any number of them
 * may be passed by; what costs time is bounded.
 */
async function readFromHolders(
  index: IndexClient,
  chunk: WantedChunk,
  holders: Holder[],
): Promise<Uint8Array<ArrayBuffer>> {
  const own = holders.filter((holder) => !isForeign(holder));
  const slow: Holder[] = [];
  for (const holder of own) {
    const bytes = await readFrom(index, chunk, holder, slow);
    if (bytes !== null) return bytes;
    if (slow.length === HOLDERS_TRIED_MAX) break;
  }
  // What cannot be dialled from here may still hold its socket open.
  for (const holder of slow.filter(({ url }) => url !== null)) {
    const bytes = await readFrom(index, chunk, { ...holder, url: null }, []);
    if (bytes !== null) return bytes;
  }
  const bytes = await readFromPeers(index, chunk, holders.filter(isForeign));
  if (bytes !== null) return bytes;
  throw new HoldfastError("no-holder", `no home node could give chunk ${chunk.hash}: try again later`);
}

function isForeign({ relays }: Holder): boolean {
  return relays.length > 0;
}

/** From nodes of other edges: whatever comes of it, it is not for this edge to note how they stand. */
async function readFromPeers(
  index: IndexClient,
  chunk: WantedChunk,
  known: Holder[],
): Promise<Uint8Array<ArrayBuffer> | null> {
  const holders = known.length > 0 ? known : await peerHoldersOf(index, chunk);
  const ways = holders.flatMap((holder) => waysTo(holder)).sort((a, b) => failuresOf(a) - failuresOf(b));
  for (const way of ways.slice(0, HOLDERS_TRIED_MAX)) {
    const outcome = await index.read(way, chunk);
    if (outcome.status === "read") return outcome.bytes;
    noteFailure([way.id, way.relay], chunk, outcome);
  }
  if (ways.length > 0) forgetPeerHolders(chunk.hash);
  return null;
}

async function peerHoldersOf(index: IndexClient, { hash }: WantedChunk): Promise<Holder[]> {
  return (await findPeerHolders(index.settings, [hash])).get(hash) ?? [];
}

/** A way to another edge's node, which told of it. */
interface ForeignWay {
  id: NodeId;
  url: string;
  relay: string;
}

function waysTo({ id, url, relays }: Holder): ForeignWay[] {
  return relays.flatMap((relay) => {
    const via = { id, url: viaUrl(relay, id), relay };
    return url === null ? [via] : [{ id, url, relay }, via];
  });
}

/** Under which a node's own answers are, at an edge that it is registered at. */
export function viaUrl(edge: string, node: NodeId): string {
  return `${edge}/via/${node}`;
}

/** An edge whose holders failed lately comes after one whose did not. */
function failuresOf({ id, relay }: ForeignWay): number {
  return (hasFailedLately(relay) ? 2 : 0) + (hasFailedLately(id) ? 1 : 0);
}

async function readFrom(
  index: IndexClient,
  chunk: WantedChunk,
  holder: Holder,
  slow: Holder[],
): Promise<Uint8Array<ArrayBuffer> | null> {
  const outcome = await index.read(holder, chunk);
  if (outcome.status === "read") {
    noteGiven(index, chunk.hash, holder, outcome.bytes.length);
    return outcome.bytes;
  }
  noteFailure([holder.id], chunk, outcome);
  if (outcome.status !== "missing") slow.push(holder);
  if (outcome.status === "unreachable") await index.checkLinks([holder.id]);
  else noteLoss(index, { chunk: chunk.hash, node: holder.id, code: outcome.status });
  return null;
}

/**
 * Those that only claim the chunk after all others; then online before offline and before those that do not serve at this hour,
 * those of low standing and those that failed lately last; among equals as they come: who has shown the chunk, then the oldest claims. The first ones are asked in random order, to
 * spread the load, and the others after them: nodes that claim a chunk after it was published cannot push its holders out.
 */
function rankHolders(holders: Holder[]): Holder[] {
  const byState = holders
    .map((member) => ({ member, state: stateRank(member) }))
    .sort((a, b) => a.state - b.state);
  const first = byState
    .slice(0, HOLDERS_TRIED_MAX)
    .map(({ member, state }) => ({ member, rank: state + Math.random() / 2 + handicapOf(member) }))
    .sort((a, b) => a.rank - b.rank);
  return [...first, ...byState.slice(HOLDERS_TRIED_MAX)].map(({ member }) => member);
}

function handicapOf(member: Holder): number {
  return member.url === null ? RELAY_HANDICAP : 0;
}

function stateRank(member: Holder): number {
  const isThere = member.online && isServingAt(member.hours, Date.now());
  const isClaim = member.checkedMs === CLAIMED;
  return (
    (isClaim ? 8 : 0) +
    (isThere ? 0 : 4) +
    (isDelisted(member.standing) ? 2 : 0) +
    (hasFailedLately(member.id) ? 1 : 0)
  );
}

function hasFailedLately(id: string): boolean {
  return (failedAt.get(id) ?? 0) > Date.now() - FAILURE_MEMORY_MS;
}

function noteFailure(
  ids: string[],
  { hash }: WantedChunk,
  outcome: Exclude<ReadOutcome, { status: "read" }>,
): void {
  console.warn(`holder ${ids.join(" of ")} failed for chunk ${hash}: ${outcome.status}: ${outcome.detail}`);
  if (failedAt.size >= FAILURES_REMEMBERED_MAX) failedAt.clear();
  for (const id of ids) failedAt.set(id, Date.now());
}
