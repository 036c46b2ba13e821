// The node's standing with one edge, or with one home node that relays for it: a WebSocket session, and after it ends the
// next one, until it is stopped. What happens inside a session is link-session.ts.

import type { LookupFunction } from "node:net";
import type { Logger } from "pino";
import type { Hash } from "../../lib/hash.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import type { EdgeReport } from "../../lib/node-status.ts";
import { adviceFor, parseReachCode } from "../../lib/reach.ts";
import { LOST_PER_FRAME_MAX, type NodeFrame } from "../../lib/registration.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { backoffDelay } from "./backoff.ts";
import { type Offer, runSession, type Say } from "./link-session.ts";
import type { AnswerRequest, MayPass } from "./tunnel.ts";

/** A registration that lasted this long starts the backoff anew. */
export const STABLE_MS = 60_000;
/** What an edge that is away would be told of at most: audits find the rest. */
export const LOST_REMEMBERED_MAX = 10_000;
const INTERNAL = 500;

export interface EdgeLinkDeps {
  identity: Identity;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** What the node offers now. */
  offer: () => Promise<Offer>;
  /** The id that whoever answers there must have; null: any. */
  expects: Hash | null;
  /** Resolves the URL's host, where that is a stranger's word. */
  lookup?: LookupFunction | undefined;
  /** Answers a request that came through the edge, of those that may pass. */
  answer: AnswerRequest;
  mayPass: MayPass;
  learnContacts: (contacts: Contact[]) => void;
  onRegistered: () => void;
  /** A session ended, and not by `stop`, that was registered for so many milliseconds; 0: never. */
  onEnd: (lastedMs: number) => void;
}

type LinkState = Omit<EdgeReport, "standing" | "record">;

/** While the node is not linked, and where the edge did not say. */
const UNKNOWN = { direct: false, code: null, advice: null };

export class EdgeLink {
  readonly #url: string;
  readonly #deps: EdgeLinkDeps;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  readonly #standing = { registrations: 0, losses: 0, requests: 0, failures: 0 };
  #record: NodeRecord | null = null;
  #state: LinkState;
  /** While the node is linked. */
  #say: Say | null = null;
  #reached: boolean | null = null;
  /** Chunks that the edge has to be told of. */
  readonly #lost = new Set<Hash>();

  constructor(url: string, deps: EdgeLinkDeps) {
    this.#url = url;
    this.#deps = deps;
    this.#log = deps.log.child({ link: url });
    this.#state = { url, edge: null, state: "stopped", ...UNKNOWN, reason: "", since: this.#time() };
  }

  status(): EdgeReport {
    return {
      ...this.#state,
      standing: { audits: auditsOf(this.#record), ...this.#standing },
      record: this.#record,
    };
  }

  /** The edge that the node is linked with now, or null. */
  registeredWith(): { url: string; edge: Hash } | null {
    const { state, edge } = this.#state;
    return state === "registered" && edge !== null ? { url: this.#url, edge } : null;
  }

  /** Whether the edge reached the node at its URL when it last registered it; null before it first did. */
  get reached(): boolean | null {
    return this.#reached;
  }

  /** Tells the edge, where the node is linked with it; else the next registration says all of it. */
  say(frame: NodeFrame): void {
    this.#say?.(frame);
  }

  /** Tells the edge, now or as soon as it is there, that the node has a chunk no more. */
  reportLost(chunk: Hash): void {
    if (this.#lost.size < LOST_REMEMBERED_MAX) this.#lost.add(chunk);
    this.#flushLost();
  }

  start(): void {
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Says goodbye to the edge and returns when the connection is closed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #flushLost(): void {
    if (this.#say === null) return;
    const chunks = [...this.#lost];
    this.#lost.clear();
    for (let at = 0; at < chunks.length; at += LOST_PER_FRAME_MAX)
      this.#say({ type: "lost", chunks: chunks.slice(at, at + LOST_PER_FRAME_MAX) });
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const lastedMs = await this.#connect(signal);
      if (signal.aborted) break;
      if (lastedMs >= STABLE_MS) attempt = 0;
      const delayMs = backoffDelay(attempt, this.#deps.random);
      this.#turn({ state: "waiting", ...UNKNOWN });
      this.#deps.onEnd(lastedMs);
      this.#log.info({ delayMs: Math.round(delayMs) }, "will connect again");
      await this.#deps.clock.sleep(delayMs, signal);
    }
    this.#turn({ state: "stopped", ...UNKNOWN });
  }

  /** One session; returns how long the node was registered, in milliseconds. */
  async #connect(signal: AbortSignal): Promise<number> {
    const { identity, clock, offer, expects, lookup, mayPass, learnContacts } = this.#deps;
    let registeredAtMs: number | null = null;
    this.#turn({ state: "connecting", ...UNKNOWN, reason: "" });
    const end = await runSession({
      url: registrationUrl(this.#url, identity.id),
      origin: new URL(this.#url).origin,
      identity,
      clock,
      offer,
      expects,
      lookup,
      mayPass,
      answer: (request) => this.#answer(request),
      log: this.#log,
      onChallenge: (edge) => this.#turn({ edge }),
      onRegistered: ({ direct, code: codeText = "", reason, contacts }, say) => {
        registeredAtMs = clock.now();
        this.#reached = direct;
        this.#standing.registrations += 1;
        const code = parseReachCode(codeText);
        const advice = code === null || direct ? null : adviceFor(code);
        this.#turn({ state: "registered", direct, code, reason, advice });
        learnContacts(contacts);
        this.#say = say;
        this.#deps.onRegistered();
        this.#flushLost();
      },
      onRecord: (record) => {
        this.#record = record;
      },
      signal,
    });
    this.#say = null;
    this.#turn({ reason: end });
    if (registeredAtMs === null) return 0;
    if (!signal.aborted) this.#standing.losses += 1;
    return clock.now() - registeredAtMs;
  }

  /** Counts what came through this edge, and what of it the node failed at: a refusal is no failure. */
  async #answer(request: Request): Promise<Response> {
    this.#standing.requests += 1;
    const response = await this.#deps.answer(request);
    if (response.status === INTERNAL) this.#standing.failures += 1;
    return response;
  }

  #turn(change: Partial<LinkState>): void {
    const since = change.state === undefined ? this.#state.since : this.#time();
    this.#state = { ...this.#state, ...change, since };
  }

  #time(): string {
    return new Date(this.#deps.clock.now()).toISOString();
  }
}

function auditsOf(record: NodeRecord | null): EdgeReport["standing"]["audits"] {
  if (record === null || record.passed + record.failed === 0) return null;
  return { passed: record.passed, failed: record.failed };
}

/** `<edge>/node?id=<id>` as a WebSocket URL. */
export function registrationUrl(edge: string, id: string): string {
  const url = new URL(edge);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `${url.pathname.replace(/\/$/, "")}/node`;
  url.search = `id=${id}`;
  return url.href;
}
