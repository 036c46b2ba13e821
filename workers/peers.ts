// Other edges, as this worker asks them: who they are by their keys, what they know of a name, and who holds chunks. What a
// peer says is parsed and bounded here, and believed nowhere. One that fails is left alone for a while.

import type { BundleQuery } from "../durable-objects/bundles.ts";
import { requestJson } from "../lib/client/request.ts";
import { isHoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { type LocateAnswer, parseLocateAnswer } from "../lib/wire/chunks.ts";
import {
  PEER_HEADERS,
  PEER_NAME_ANSWER_MAX,
  type PeerNameAnswer,
  parseEdgeIdentity,
  parsePeerNameAnswer,
} from "../lib/wire/peers.ts";

/** How long a peer's answer may take: a reader waits for it. */
export const PEER_LIMITS = { idleMs: 2_000, totalMs: 3_000 };
/** One that did not answer is not asked again for this long. */
export const PEER_REST_MS = 15_000;
/** A peer's key is asked for anew after this long. */
export const PEER_KEY_MS = 10 * 60_000;
const LOCATE_ANSWER_MAX = 4 * 1024 * 1024;

const restsUntil = new Map<string, number>();
const identities = new Map<string, { id: Hash; untilMs: number }>();

export interface PeerAnswer<T> {
  peer: string;
  answer: T;
}

/** The peers by their ids, and whether that is all of them. */
export async function identifyPeers(
  peers: readonly string[],
): Promise<{ byId: Map<Hash, string>; isComplete: boolean }> {
  const isKnown = (peer: string) => (identities.get(peer)?.untilMs ?? 0) > Date.now();
  await askEach(
    peers.filter((peer) => !isKnown(peer)),
    identify,
  );
  const byId = new Map<Hash, string>();
  for (const peer of peers) {
    const identity = identities.get(peer);
    if (identity !== undefined && isKnown(peer)) byId.set(identity.id, peer);
  }
  return { byId, isComplete: peers.every(isKnown) };
}

/** A page of what each peer knows of a name; whoever does not answer in time, or not as it should, is left out. */
export function askForName(
  peers: readonly string[],
  { domain, nameHash, from, known }: BundleQuery,
): Promise<PeerAnswer<PeerNameAnswer>[]> {
  const query = `domain=${domain}&from=${from}${known === null ? "" : `&known=${known}`}`;
  return askEach(peers, (peer) =>
    ask(`${peer}/peer/name/${nameHash}?${query}`, parsePeerNameAnswer, { maxBytes: PEER_NAME_ANSWER_MAX }),
  );
}

/** Who holds chunks, as each peer has it. */
export function askForHolders(
  peers: readonly string[],
  chunks: readonly Hash[],
): Promise<PeerAnswer<LocateAnswer>[]> {
  const body = JSON.stringify({ chunks });
  return askEach(peers, (peer) =>
    ask(`${peer}/chunk/locate`, parseLocateAnswer, { method: "POST", body, maxBytes: LOCATE_ANSWER_MAX }),
  );
}

/** Asks all that are not left alone, at once. */
async function askEach<T>(
  peers: readonly string[],
  put: (peer: string) => Promise<T>,
): Promise<PeerAnswer<T>[]> {
  const awake = peers.filter((peer) => (restsUntil.get(peer) ?? 0) <= Date.now());
  const answers = await Promise.all(
    awake.map(async (peer) => {
      try {
        return [{ peer, answer: await put(peer) }];
      } catch (error) {
        if (!isHoldfastError(error)) throw error;
        console.warn(`the peer ${peer} is left alone for a while: ${error.code}: ${error.message}`);
        restPeer(peer);
        return [];
      }
    }),
  );
  return answers.flat();
}

/** It failed, or what it said was wrong. */
export function restPeer(peer: string): void {
  restsUntil.set(peer, Date.now() + PEER_REST_MS);
}

async function identify(peer: string): Promise<void> {
  const id = await ask(`${peer}/status`, parseEdgeIdentity);
  identities.set(peer, { id, untilMs: Date.now() + PEER_KEY_MS });
}

function ask<T>(
  url: string,
  parse: (value: unknown) => T,
  how: { method?: string; body?: string; maxBytes?: number } = {},
): Promise<T> {
  return requestJson((to, init) => fetch(to, init), url, {
    ...how,
    headers: PEER_HEADERS,
    limits: PEER_LIMITS,
    waitsMax: 0,
    parse,
  });
}
