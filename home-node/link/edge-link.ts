// The node's standing with one edge: a WebSocket session, and after it ends the next one, for as long as the node
// runs. What happens inside a session is link-session.ts.

import type { Logger } from "pino";
import type { Hash } from "../../lib/hash.ts";
import { adviceFor, parseReachCode, type ReachCode } from "../../lib/reach.ts";
import type { Contact } from "../../lib/wire.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { backoffDelay } from "./backoff.ts";
import { type Offer, runSession } from "./link-session.ts";
import type { AnswerRequest } from "./tunnel.ts";

/** A registration that lasted this long starts the backoff anew. */
export const STABLE_MS = 60_000;

export interface EdgeLinkDeps {
  identity: Identity;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** What the node offers now. */
  offer: () => Promise<Offer>;
  /** Answers a request that came through the edge. */
  answer: AnswerRequest;
  learnContacts: (contacts: Contact[]) => void;
}

export interface LinkStatus {
  url: string;
  /** The edge's id, as it last said it; null before the first challenge. */
  edge: Hash | null;
  state: "connecting" | "registered" | "waiting" | "stopped";
  /** Whether the edge reached the node at its URL when it registered. */
  direct: boolean;
  /** Why it is direct or relayed; null where the edge did not say, or is not linked. */
  code: ReachCode | null;
  /** The same in the edge's words; while it is not linked, why not. */
  reason: string;
  /** What to do to become direct; null where there is nothing to be done. */
  advice: string | null;
  /** When this state began, ISO 8601. */
  since: string;
}

/** While the node is not linked, and where the edge did not say. */
const UNKNOWN = { direct: false, code: null, advice: null };

export class EdgeLink {
  readonly #url: string;
  readonly #deps: EdgeLinkDeps;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #status: LinkStatus;

  constructor(url: string, deps: EdgeLinkDeps) {
    this.#url = url;
    this.#deps = deps;
    this.#log = deps.log.child({ link: url });
    this.#status = { url, edge: null, state: "stopped", ...UNKNOWN, reason: "", since: this.#time() };
  }

  status(): LinkStatus {
    return this.#status;
  }

  start(): void {
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Says goodbye to the edge and returns when the connection is closed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const lastedMs = await this.#connect(signal);
      if (signal.aborted) break;
      if (lastedMs >= STABLE_MS) attempt = 0;
      const delayMs = backoffDelay(attempt, this.#deps.random);
      this.#turn({ state: "waiting", ...UNKNOWN });
      this.#log.info({ delayMs: Math.round(delayMs) }, "will connect again");
      await this.#deps.clock.sleep(delayMs, signal);
    }
    this.#turn({ state: "stopped", ...UNKNOWN });
  }

  /** One session; returns how long the node was registered, in milliseconds. */
  async #connect(signal: AbortSignal): Promise<number> {
    const { identity, clock, offer, answer, learnContacts } = this.#deps;
    let registeredAtMs: number | null = null;
    this.#turn({ state: "connecting", ...UNKNOWN, reason: "" });
    const end = await runSession({
      url: registrationUrl(this.#url, identity.id),
      origin: new URL(this.#url).origin,
      identity,
      clock,
      offer,
      answer,
      log: this.#log,
      onChallenge: (edge) => this.#turn({ edge }),
      onRegistered: ({ direct, code: codeText = "", reason, contacts }) => {
        registeredAtMs = clock.now();
        const code = parseReachCode(codeText);
        const advice = code === null || direct ? null : adviceFor(code);
        this.#turn({ state: "registered", direct, code, reason, advice });
        learnContacts(contacts);
      },
      signal,
    });
    this.#turn({ reason: end });
    return registeredAtMs === null ? 0 : clock.now() - registeredAtMs;
  }

  #turn(change: Partial<LinkStatus>): void {
    const since = change.state === undefined ? this.#status.since : this.#time();
    this.#status = { ...this.#status, ...change, since };
  }

  #time(): string {
    return new Date(this.#deps.clock.now()).toISOString();
  }
}

/** `<edge>/node?id=<id>` as a WebSocket URL. */
export function registrationUrl(edge: string, id: string): string {
  const url = new URL(edge);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `${url.pathname.replace(/\/$/, "")}/node`;
  url.search = `id=${id}`;
  return url.href;
}
