// Where the node does not have what it is asked for: who said to have it, and who may know more. A chunk that others keep is
// referred to; an edge that asks through its tunnel wants to know what this node has, and is sent nowhere.

import { type HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { msUntilServing, type PledgeHours } from "../../lib/pledge.ts";
import { problemOf } from "../../lib/problem.ts";
import {
  CHUNKS_PER_PLAN_MAX,
  type LocateAnswer,
  parseLocateRequest,
  REFERRAL_TYPE,
  type Referral,
} from "../../lib/wire/chunks.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import type { Referred } from "../../lib/wire/overlay.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters/counters.ts";
import type { DenyList } from "../deny-list.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { StatementStore } from "../store/statement-store.ts";
import { receiveJson } from "./contacts.ts";
import { type NodeContext, sendWhole } from "./node-context.ts";
import { problemResponse } from "./problem-response.ts";
import type { Pace } from "./rate.ts";

export const LOCATE_BODY_MAX = 128 * CHUNKS_PER_PLAN_MAX;
const NO_STORE = { "Cache-Control": "no-store", Vary: "Accept" };

export interface ReferralDeps {
  overlay: Overlay;
  chunks: ChunkStore;
  statements: StatementStore;
  denied: DenyList;
  hours: PledgeHours | null;
  clock: Clock;
  counters: Counters;
  receiving: Pace;
}

/** What `answer` gives; where it does not find the chunk, a word on who has it. */
export async function orReferral(
  c: NodeContext,
  deps: ReferralDeps,
  answer: () => Promise<Response>,
): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (!isHoldfastError(error, "not-found")) throw error;
    const hash = parseHash(c.req.param("hash"));
    const holders = deps.overlay.records.holders(hash);
    const isSent = c.env.way === "direct" && holders.length > 0;
    return (isSent ? send(c, hash, holders, deps) : null) ?? notFound(error, hash, deps);
  }
}

/** What `answer` gives; where it does not find the name, its problem with who may know it. */
export async function orCloser(
  hash: Hash,
  deps: ReferralDeps,
  answer: () => Promise<Response>,
): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (!isHoldfastError(error, "not-found")) throw error;
    return notFound(error, hash, deps);
  }
}

/** POST /chunk/locate, of Content Hashes and Name Hashes: this node among the holders of what it keeps, first. */
export async function locateChunks(c: NodeContext, deps: ReferralDeps): Promise<Response> {
  const { overlay, denied, hours, clock } = deps;
  const request = parseLocateRequest(await receiveJson(c, LOCATE_BODY_MAX, deps));
  const self = overlay.self();
  const nodes = new Map<string, Contact>();
  const chunks = await Promise.all(
    request.chunks.map(async (hash) => {
      const isOwn = deps.statements.names.has(hash) || (await deps.chunks.size(hash)) !== null;
      const own = isOwn ? [self] : [];
      const holders = denied.has(hash) ? [] : [...own, ...overlay.records.holders(hash)];
      for (const holder of holders) nodes.set(holder.id, holder);
      return { hash, holders: holders.map(({ id }) => id) };
    }),
  );
  const isResting = nodes.has(self.id) && msUntilServing(hours, clock.now()) > 0;
  const answer: LocateAnswer = {
    chunks,
    nodes: [...nodes.values()],
    ...(isResting ? { resting: [self.id] } : {}),
  };
  const headers = { "Cache-Control": "no-store", "Content-Type": "application/json" };
  return sendWhole(c, JSON.stringify(answer), headers, deps);
}

/** To the holders, or to one of them; null where none of them has a place that a redirect can name. */
function send(c: NodeContext, hash: Hash, holders: Contact[], deps: ReferralDeps): Response | null {
  if (c.req.header("Accept")?.includes(REFERRAL_TYPE) === true) {
    const referral: Referral = { hash, holders };
    return sendWhole(c, JSON.stringify(referral), { ...NO_STORE, "Content-Type": REFERRAL_TYPE }, deps);
  }
  const [base] = holders.flatMap(placeOf);
  if (base === undefined) return null;
  return c.body(null, 307, { ...NO_STORE, Location: `${base}/chunk/${hash}` });
}

function placeOf({ id, url, relays = [] }: Contact): string[] {
  if (url !== null) return [url];
  return relays.slice(0, 1).map((relay) => `${relay.replace(/\/$/, "")}/via/${id}`);
}

function notFound(error: HoldfastError, hash: Hash, { overlay }: ReferralDeps): Response {
  const referred: Referred = {
    closer: overlay.contacts.closest(hash),
    holders: overlay.records.holders(hash),
  };
  return problemResponse({ ...problemOf(error), ...referred });
}
