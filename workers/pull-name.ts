// What peers know of a name that this edge does not know, or may know less of: asked for where a reader asks, a page of each
// peer at a time, and taken in. Bounded for readers, who wait, and for peers, who would pay for strangers' guesses.

import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import { ExpiringCache } from "../lib/expiring-cache.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { removalKind } from "../lib/removal.ts";
import { parseStatement } from "../lib/statement.ts";
import { parseVersion } from "../lib/version.ts";
import type { NamesResult, PostedJson } from "../lib/wire/names.ts";
import { PEER_HEADER, type PeerNameAnswer } from "../lib/wire/peers.ts";
import { parseSigned } from "../lib/wire/signed.ts";
import { type AppContext, edgeKeyOf, indexOf, resolverOf } from "./app.ts";
import { askForName, restPeer } from "./peers.ts";
import { spendAddress, spendDomain } from "./rate-limits.ts";
import { type TakingIn, takeIn } from "./take-in.ts";

/** A name that no peer knew is not asked for again for this long. */
export const PULL_AGAIN_MS = 10_000;
/** One that is known here is looked up at peers, beside the answer, after this long at the earliest. */
export const REFRESH_MS = 5 * 60_000;
/** Names that one isolate pulls at a time: the others are answered from what is here. */
export const PULLS_AT_ONCE_MAX = 8;
/** Pages of a name that one pull takes from each peer: the next pull goes on. */
export const PULL_ROUNDS_MAX = 8;
const NAMES_REMEMBERED_MAX = 10_000;
const FALSE_CODES: readonly string[] = [
  ...["invalid-signature", "invalid-statement", "not-canonical", "wrong-namespace", "wrong-type"],
  ...["content-hash-mismatch", "invalid-manifest", "witness-mismatch"],
];

export interface Name {
  domain: Domain;
  nameHash: Hash;
}

const askedLately = new ExpiringCache<true>(NAMES_REMEMBERED_MAX);
let pullsUnderWay = 0;

/** For a reader of a name that is not here: true where peers had it, so that it is worth to look again. */
export async function pullUnknown(c: AppContext, name: Name): Promise<boolean> {
  if (!mayPull(c, name, PULL_AGAIN_MS)) return false;
  // It costs more than a read, and so it counts.
  await spendAddress(c, "lookups");
  return pullCounted(c, name);
}

/** For a reader of a name that is here: what is newer comes for the next one. */
export function refreshLater(c: AppContext, name: Name): void {
  if (!mayPull(c, name, REFRESH_MS)) return;
  const refreshing = pullCounted(c, name).catch((error: unknown) =>
    console.warn(`a name was not looked up at peers: ${error}`),
  );
  c.executionCtx.waitUntil(refreshing);
}

/** What peers ask is never passed on. */
function mayPull(c: AppContext, name: Name, againMs: number): boolean {
  const { peerEdges } = indexOf(c).settings;
  if (peerEdges.length === 0 || c.req.header(PEER_HEADER) !== undefined) return false;
  const key = `${name.domain} ${name.nameHash}`;
  if (pullsUnderWay >= PULLS_AT_ONCE_MAX || askedLately.get(key, Date.now()) !== null) return false;
  askedLately.set(key, true, Date.now() + againMs);
  return true;
}

async function pullCounted(c: AppContext, name: Name): Promise<boolean> {
  pullsUnderWay += 1;
  try {
    return await pullName(name, await takingInFor(c));
  } finally {
    pullsUnderWay -= 1;
  }
}

/** What taking in at the expense of this request's address needs. */
export async function takingInFor(c: AppContext): Promise<TakingIn> {
  return {
    index: indexOf(c),
    resolver: resolverOf(c),
    edge: await edgeKeyOf(c),
    admit: (domain) => spendDomain(c, domain),
  };
}

/** Takes in what peers know beyond what is here; true where anything of it was news. */
export async function pullName(name: Name, deps: TakingIn): Promise<boolean> {
  let isNews = false;
  for (let round = 0; round < PULL_ROUNDS_MAX; round++) {
    const { offers, hasMore } = await askRound(name, deps.index);
    if (offers.length === 0) break;
    const isAccepted = await takeOffers(offers, deps);
    isNews ||= isAccepted;
    if (!isAccepted || !hasMore) break;
  }
  return isNews;
}

/** True where any was news. What cannot be listed itself, as by a key that DNS shows no longer, does not hide what follows it. */
async function takeOffers(offers: readonly Offer[], deps: TakingIn): Promise<boolean> {
  const results = await takeIn(postedOf(offers), deps);
  for (const [i, { peer }] of offers.entries()) if (isFalse(results[i])) restPeer(peer);
  const orphans = offers.filter((_, i) => lacksPrevious(results[i]));
  const late = orphans.length === 0 ? [] : await takeIn(postedOf(orphans), { ...deps, mayLackParents: true });
  return [...results, ...late].some(({ status }) => status === "accepted");
}

function postedOf(offers: readonly Offer[]): PostedJson[] {
  return offers.map(({ posted }) => posted);
}

/** Refused because the Version that it follows is not here. */
export function lacksPrevious(result: NamesResult | undefined): boolean {
  return result?.status === "refused" && result.problem.code === "unknown-previous";
}

interface Offer {
  peer: string;
  posted: PostedJson;
  /** Of a Removal, which comes last: infinite. */
  sequence: number;
}

/** A page of each peer, as one list: each Version after the one that it follows. */
async function askRound(name: Name, index: IndexClient): Promise<{ offers: Offer[]; hasMore: boolean }> {
  const newest = await index.shardOf(name.nameHash).newestHead(name.domain, name.nameHash);
  const answers = await askForName(index.settings.peerEdges, {
    ...name,
    from: newest?.sequence ?? 1,
    known: newest?.id ?? null,
  });
  const offers = answers.flatMap(({ peer, answer }) => offersOf(peer, answer, name));
  return {
    offers: offers.sort((a, b) => a.sequence - b.sequence),
    hasMore: answers.some(({ answer }) => answer.hasMore),
  };
}

/** None of a peer that answers with anything else than what it was asked for. */
function offersOf(peer: string, { versions, removals }: PeerNameAnswer, name: Name): Offer[] {
  try {
    return [
      ...versions.map((posted) => {
        const body = parseVersion(parseSigned(posted.version).bytes);
        checkSubject(body, name);
        return { peer, posted, sequence: body.sequence };
      }),
      ...removals.map((posted) => {
        checkSubject(parseStatement(removalKind, parseSigned(posted.removal).bytes), name);
        return { peer, posted, sequence: Number.POSITIVE_INFINITY };
      }),
    ];
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    console.warn(`the peer ${peer} answered with what it was not asked for: ${error.message}`);
    restPeer(peer);
    return [];
  }
}

function checkSubject(body: Name, { domain, nameHash }: Name): void {
  if (body.domain === domain && body.nameHash === nameHash) return;
  throw new HoldfastError("name-hash-mismatch", "the statement is about another name");
}

/** Nobody who keeps statements that were checked has one such as this. */
function isFalse(result: NamesResult | undefined): boolean {
  return result?.status === "refused" && FALSE_CODES.includes(result.problem.code);
}
