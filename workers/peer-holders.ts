// Who holds chunks of which this edge knows no holder: asked of its peers, many chunks at once, and remembered for a while,
// also that nobody knows one. Their nodes are reached at their own URLs, or through the edge that told of them.

import type { EdgeSettings } from "../durable-objects/env.ts";
import { STANDING_UNKNOWN } from "../lib/durability/standing.ts";
import { ExpiringCache } from "../lib/expiring-cache.ts";
import type { Hash } from "../lib/hash.ts";
import { judgeNodeUrl } from "../lib/node-url.ts";
import { CHUNKS_PER_PLAN_MAX, type LocateAnswer } from "../lib/wire/chunks.ts";
import type { Contact } from "../lib/wire/nodes.ts";
import type { Holder } from "./chunk-reader.ts";
import { askForHolders, type PeerAnswer } from "./peers.ts";

/** So long a peer's holders are believed to hold what they did, */
export const PEER_HOLDERS_MS = 60_000;
/** and a chunk that no peer knew is not asked for again. */
export const PEER_NONE_MS = 5_000;
/** Of one chunk, from one peer. */
export const PEER_HOLDERS_MAX = 6;
const CHUNKS_REMEMBERED_MAX = 10_000;

const remembered = new ExpiringCache<Holder[]>(CHUNKS_REMEMBERED_MAX);

/** Holders at peers, of every chunk that any peer knows. */
export async function findPeerHolders(
  { peerEdges, allowLocalNodes }: EdgeSettings,
  chunks: readonly Hash[],
): Promise<Map<Hash, Holder[]>> {
  const found = new Map<Hash, Holder[]>();
  if (peerEdges.length === 0) return found;
  const unknown = [...new Set(chunks)].filter((chunk) => {
    const holders = remembered.get(chunk, Date.now());
    if (holders !== null && holders.length > 0) found.set(chunk, holders);
    return holders === null;
  });
  for (let at = 0; at < unknown.length; at += CHUNKS_PER_PLAN_MAX) {
    const asked = unknown.slice(at, at + CHUNKS_PER_PLAN_MAX);
    const answers = await askForHolders(peerEdges, asked);
    for (const chunk of asked) {
      const holders = interleave(answers.map((answer) => holdersIn(answer, chunk, allowLocalNodes)));
      remembered.set(chunk, holders, Date.now() + (holders.length > 0 ? PEER_HOLDERS_MS : PEER_NONE_MS));
      if (holders.length > 0) found.set(chunk, holders);
    }
  }
  return found;
}

/** They did not give the chunk: peers may know others by now. */
export function forgetPeerHolders(chunk: Hash): void {
  remembered.set(chunk, [], Date.now() + PEER_NONE_MS);
}

function holdersIn(
  { peer, answer }: PeerAnswer<LocateAnswer>,
  chunk: Hash,
  allowLocalNodes: boolean,
): Holder[] {
  const listed = answer.chunks.find(({ hash }) => hash === chunk)?.holders ?? [];
  const contacts = new Map(answer.nodes.map((contact) => [contact.id, contact]));
  const there = new Set(answer.online?.filter((id) => answer.resting?.includes(id) !== true));
  return listed
    .flatMap((id) => contacts.get(id) ?? [])
    .sort((a, b) => Number(there.has(b.id)) - Number(there.has(a.id)))
    .slice(0, PEER_HOLDERS_MAX)
    .map((contact) => holderAt(peer, contact, there.has(contact.id), allowLocalNodes));
}

/** At a URL where nobody may be sent, it is reached through its own edge only. */
function holderAt(peer: string, { id, key, url }: Contact, online: boolean, allowLocal: boolean): Holder {
  const judged = url === null ? null : judgeNodeUrl(url, allowLocal);
  return {
    ...{ id, key, online, hours: null, standing: STANDING_UNKNOWN, checkedMs: 0 },
    url: judged?.ok === true ? judged.origin : null,
    relays: [peer],
  };
}

/** The first of each peer before the second of any: no peer can push the others' out. */
function interleave(lists: Holder[][]): Holder[] {
  const length = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length }, (_, i) => lists.flatMap((list) => list[i] ?? [])).flat();
}
