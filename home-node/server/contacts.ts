// POST /contact, POST /providers and GET /closest: home nodes get to know each other, tell who keeps what, and say whom they
// know. Small bodies, and only so many at once: each may cost a dial to whoever sent it.

import { parseJson } from "../../lib/canonical-json.ts";
import { parseHash } from "../../lib/hash.ts";
import { CLOSEST_NODES_MAX, type ClosestAnswer } from "../../lib/wire/nodes.ts";
import {
  CONTACT_BODY_MAX,
  type ContactExchange,
  PROVIDERS_BODY_MAX,
  type ProvidersAnswer,
  parseContactRequest,
  parseProvidersRequest,
} from "../../lib/wire/overlay.ts";
import { formatSigned, parseSigned } from "../../lib/wire/signed.ts";
import type { Counters } from "../counters/counters.ts";
import type { Overlay } from "../overlay/overlay.ts";
import { countIn, type NodeContext, sendWhole } from "./node-context.ts";
import type { Pace } from "./rate.ts";
import { receiveBody } from "./request-body.ts";

/** POST /contact and POST /providers under way: 8 MiB of bodies. */
export const CONTACTS_AT_ONCE_MAX = 64;
const NO_STORE = { "Cache-Control": "no-store", "Content-Type": "application/json" };

export interface ContactRoutesDeps {
  overlay: Overlay;
  receiving: Pace;
  counters: Counters;
}

export async function postContact(c: NodeContext, deps: ContactRoutesDeps): Promise<Response> {
  const { card } = parseContactRequest(await receiveJson(c, CONTACT_BODY_MAX, deps));
  const own = await deps.overlay.exchange(parseSigned(card));
  const answer: ContactExchange = { card: formatSigned(own) };
  return sendWhole(c, JSON.stringify(answer), NO_STORE, deps);
}

export async function postProviders(c: NodeContext, deps: ContactRoutesDeps): Promise<Response> {
  const { card, provided, hashes } = parseProvidersRequest(await receiveJson(c, PROVIDERS_BODY_MAX, deps));
  const word = { card: parseSigned(card), provided: parseSigned(provided), hashes };
  const answer: ProvidersAnswer = { kept: await deps.overlay.note(word) };
  return sendWhole(c, JSON.stringify(answer), NO_STORE, deps);
}

export function getClosest(c: NodeContext, deps: ContactRoutesDeps): Response {
  const hash = parseHash(c.req.param("hash"));
  const answer: ClosestAnswer = { nodes: deps.overlay.contacts.closest(hash, CLOSEST_NODES_MAX) };
  return sendWhole(c, JSON.stringify(answer), NO_STORE, deps);
}

/** The body of a request for which nobody needs a grant. Throws `body-too-large`, `length-mismatch` or `invalid-request`. */
export async function receiveJson(
  c: NodeContext,
  maxBytes: number,
  { counters, receiving }: Pick<ContactRoutesDeps, "counters" | "receiving">,
): Promise<unknown> {
  const pace = countIn(c, counters, receiving);
  const body = await receiveBody(c.req.raw, { maxBytes, code: "body-too-large" }, pace);
  return parseJson(body, maxBytes);
}
