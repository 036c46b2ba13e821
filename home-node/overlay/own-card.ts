// The node's own card: signed when it is first asked for, and again each day and whenever the node is reached otherwise.

import { contactCardKind } from "../../lib/contact-card.ts";
import { isLoopbackHost, judgeNodeUrl } from "../../lib/node-url.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { ELSEWHERE } from "./reachable.ts";

export const CARD_RENEWED_MS = 24 * 3600 * 1000;

export interface OwnCardDeps {
  identity: Identity;
  clock: Clock;
  /** Where others reach this node; null: nowhere of its own. */
  url: () => string | null;
  /** Nodes under whose /via/<id> it is reached. */
  relays: () => readonly string[];
}

export class OwnCard {
  readonly #deps: OwnCardDeps;
  #signed: { card: Promise<SignedStatement>; says: string; atMs: number } | null = null;

  constructor(deps: OwnCardDeps) {
    this.#deps = deps;
  }

  /** The node's origin, where it has one that anybody may be sent to; else null. */
  get url(): string | null {
    const url = this.#deps.url();
    const judged = url === null ? null : judgeNodeUrl(url, true);
    return judged?.ok === true ? judged.origin : null;
  }

  /** In whose name strangers tell of nodes: only a node on this machine is sent to others on it. */
  get standpoint(): string {
    return this.url !== null && isLoopbackHost(new URL(this.url).hostname) ? this.url : ELSEWHERE;
  }

  /** Whether anybody can reach the node by what its card says. */
  get isReached(): boolean {
    return this.url !== null || this.#deps.relays().length > 0;
  }

  /** The card as it is now. */
  current(): Promise<SignedStatement> {
    const nowMs = this.#deps.clock.now();
    const place = { url: this.url, relays: [...this.#deps.relays()] };
    const says = JSON.stringify(place);
    if (this.#signed?.says !== says || nowMs >= this.#signed.atMs + CARD_RENEWED_MS)
      this.#signed = { card: this.#sign(place, nowMs), says, atMs: nowMs };
    return this.#signed.card;
  }

  #sign(place: { url: string | null; relays: string[] }, nowMs: number): Promise<SignedStatement> {
    const { identity } = this.#deps;
    const body = {
      type: contactCardKind.type,
      node: identity.id,
      ...place,
      time: new Date(nowMs).toISOString(),
    };
    return signStatement(contactCardKind, body, identity.signer);
  }
}
