// The requests that a home node sends to others, each bounded in time and bytes. What strangers name is reached by the fetch
// for strangers; who may be asked at all is judged before. Every failure is a HoldfastError.

import { type JsonExchange, requestJson } from "../../lib/client/request.ts";
import { verifyContactCard } from "../../lib/contact-card.ts";
import type { DeadlineLimits } from "../../lib/deadline.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Fetch } from "../../lib/fetch.ts";
import type { Hash } from "../../lib/hash.ts";
import { providedKind } from "../../lib/provided.ts";
import { signStatement } from "../../lib/statement.ts";
import { type Contact, type NodeStatus, parseClosestAnswer, parseNodeStatus } from "../../lib/wire/nodes.ts";
import {
  CONTACT_BODY_MAX,
  formatProvidersRequest,
  parseContactAnswer,
  parseProvidersAnswer,
} from "../../lib/wire/overlay.ts";
import { formatSigned, parseSigned } from "../../lib/wire/signed.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { digestOf } from "../store/digest.ts";
import type { OwnCard } from "./own-card.ts";
import { type Reachable, reachableBy } from "./reachable.ts";

/** A node that is slower is no use in a look-up. */
export const PEER_LIMITS: DeadlineLimits = { idleMs: 5_000, totalMs: 10_000 };
/** Twenty contacts, each with three relays, come to half of it. */
export const PEER_ANSWER_MAX = 128 * 1024;
const JSON_TYPE = { "content-type": "application/json" };

export interface PeerRequestsDeps {
  identity: Identity;
  clock: Clock;
  card: OwnCard;
  /** Reaches strangers: at public addresses only. */
  strangerFetch: Fetch;
  /** Aborted when the node stops. */
  signal: AbortSignal;
}

export class PeerRequests {
  readonly #deps: PeerRequestsDeps;

  constructor(deps: PeerRequestsDeps) {
    this.#deps = deps;
  }

  /**
   * Exchanges cards with the node at `origin`, and returns who it is. Throws `contact-invalid` where its card is of another
   * place: somebody else's, passed on.
   */
  async exchange(origin: string): Promise<Reachable> {
    const { card, clock } = this.#deps;
    const body = JSON.stringify({ card: formatSigned(await card.current()) });
    const answer = await this.#ask(`${origin}/contact`, {
      method: "POST",
      headers: JSON_TYPE,
      body,
      maxBytes: CONTACT_BODY_MAX,
      parse: parseContactAnswer,
    });
    const contact = await verifyContactCard(parseSigned(answer.card), clock.now());
    const reachable = reachableBy(origin, contact);
    if (reachable?.url === origin) return reachable;
    throw new HoldfastError("contact-invalid", `the card that ${origin} gave is of another place`);
  }

  /** Whoever answers at `origin`. */
  status(origin: string): Promise<NodeStatus> {
    return this.#ask(`${origin}/status`, { maxBytes: PEER_ANSWER_MAX, parse: parseNodeStatus });
  }

  /** Nodes that the one there, or an edge, knows closest to `target`, of those that it may send us to. */
  async closest({ url }: Pick<Reachable, "url">, target: Hash): Promise<Reachable[]> {
    const { nodes } = await this.#ask(`${url}/closest/${target}`, {
      maxBytes: PEER_ANSWER_MAX,
      parse: parseClosestAnswer,
    });
    return nodes.flatMap((contact: Contact) => reachableBy(url, contact) ?? []);
  }

  /** Tells a node that this one keeps these, their bytes one after the other; returns how many it keeps in mind. */
  async provide({ id, url }: Reachable, hashes: Uint8Array<ArrayBuffer>): Promise<number> {
    const { identity, clock, card } = this.#deps;
    const time = new Date(clock.now()).toISOString();
    const said = { type: providedKind.type, node: identity.id, to: id, hashes: digestOf(hashes), time };
    const provided = formatSigned(await signStatement(providedKind, said, identity.signer));
    const body = formatProvidersRequest({ card: formatSigned(await card.current()), provided, hashes });
    const { kept } = await this.#ask(`${url}/providers`, {
      method: "POST",
      headers: JSON_TYPE,
      body,
      maxBytes: PEER_ANSWER_MAX,
      parse: parseProvidersAnswer,
    });
    return kept;
  }

  #ask<T>(url: string, exchange: Omit<JsonExchange<T>, "limits">): Promise<T> {
    const { strangerFetch, signal } = this.#deps;
    return requestJson(strangerFetch, url, { ...exchange, limits: PEER_LIMITS, waitsMax: 0, signal });
  }
}
