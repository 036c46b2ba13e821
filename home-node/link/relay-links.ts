// Home nodes through which this one is reached while it has no URL of its own that works: links like those to edges, to
// the reachable nodes nearest its id. They are strangers that relay, not edges that the volunteer chose: they learn nothing
// of the pledge, and nothing passes but what anybody may ask.

import { once } from "node:events";
import type { LookupFunction } from "node:net";
import type { Logger } from "pino";
import type { NodeId } from "../../lib/hash.ts";
import type { RelayReport } from "../../lib/node-status.ts";
import { judgeNodeUrl } from "../../lib/node-url.ts";
import { parsePassage } from "../../lib/tunnel/passage.ts";
import { type Contact, RELAYS_MAX } from "../../lib/wire/nodes.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { EdgeLink, STABLE_MS } from "./edge-link.ts";
import type { Offer } from "./link-session.ts";
import type { AnswerRequest } from "./tunnel.ts";

/** Links that a node keeps: one may end, and the node is still reached. */
export const RELAYS_WANTED = 2;
/** How often the nearest nodes are looked at again; and while there are too few links. */
export const RELAYS_CHECKED_MS = 3600 * 1000;
export const RELAYS_SOUGHT_MS = 30_000;
/** One that failed is passed over for so long where there are others. */
export const RELAY_REST_MS = 10 * 60 * 1000;
/** Of those that failed, so many are remembered. */
export const RESTING_RELAYS_MAX = 256;

/** A relay is told what it needs to know, and of the pledge that is nothing. */
const OFFER: Offer = {
  url: null,
  pledge: { bytes: 0, uploadRate: null, downloadRate: null, domains: [] },
  freeBytes: 0,
};

export interface RelayLinksDeps {
  identity: Identity;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Reachable nodes that may be dialled, nearest first. */
  candidates: () => readonly Contact[];
  /** Whether this node needs others to be reached. */
  isNeeded: () => boolean;
  lookup?: LookupFunction | undefined;
  /** Answers a request that came through a relay. */
  answer: AnswerRequest;
  /** The list of relays is another one. */
  onChange: () => void;
}

interface RelayLink {
  id: NodeId;
  url: string;
  link: EdgeLink;
}

export class RelayLinks {
  readonly #deps: RelayLinksDeps;
  readonly #links = new Map<NodeId, RelayLink>();
  /** Until when those that failed are passed over. */
  readonly #resting = new Map<NodeId, number>();
  readonly #stopping = new AbortController();
  readonly #ending = new Set<Promise<void>>();
  #running: Promise<void> = Promise.resolve();
  #wake = new AbortController();
  #told = "";

  constructor(deps: RelayLinksDeps) {
    this.#deps = deps;
  }

  /** The origins of the nodes under whose /via/<id> this one is reached now. */
  relays(): string[] {
    return this.#registered()
      .map(({ url }) => url)
      .slice(0, RELAYS_MAX);
  }

  report(): RelayReport[] {
    return [...this.#links.values()].map(({ id, url, link }) => {
      const { state, since, reason } = link.status();
      // One that is linked says that it tries no URLs, as each does.
      return { id, url, state, since, reason: state === "registered" ? "" : reason };
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Says goodbye to the relays and returns when the connections are closed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
    for (const { id } of [...this.#links.values()]) this.#end(id);
    await Promise.all(this.#ending);
  }

  /** Something is known that was not before: of other nodes, or of whether this one is reached. */
  refresh(): void {
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      this.#settle();
      await this.#pause(this.#wake.signal);
    }
  }

  /** A node that needs no relays waits until that is otherwise. */
  async #pause(signal: AbortSignal): Promise<void> {
    if (this.#deps.isNeeded())
      return this.#deps.clock.sleep(
        this.#links.size < RELAYS_WANTED ? RELAYS_SOUGHT_MS : RELAYS_CHECKED_MS,
        signal,
      );
    if (!signal.aborted) await once(signal, "abort");
  }

  /** Brings the links to what is wanted now; those that work are kept until the ones in their place do. */
  #settle(): void {
    const wanted = this.#wanted();
    for (const contact of wanted) if (!this.#links.has(contact.id)) this.#begin(contact);
    const ids = new Set(wanted.map(({ id }) => id));
    const [inPlace, spare] = partition(this.#registered(), ({ id }) => ids.has(id));
    const lacking = this.#deps.isNeeded() ? Math.max(0, RELAYS_WANTED - inPlace.length) : 0;
    for (const { id } of spare.slice(0, lacking)) ids.add(id);
    for (const id of [...this.#links.keys()]) if (!ids.has(id)) this.#end(id);
    this.#tell();
  }

  /** The nearest that have not just failed; those that have, where there are no others. */
  #wanted(): { id: NodeId; url: string }[] {
    if (!this.#deps.isNeeded()) return [];
    const nowMs = this.#deps.clock.now();
    for (const [id, untilMs] of this.#resting) if (untilMs <= nowMs) this.#resting.delete(id);
    const usable = this.#deps.candidates().flatMap(({ id, url }) => {
      const judged = url === null ? null : judgeNodeUrl(url, true);
      return judged?.ok === true && id !== this.#deps.identity.id ? [{ id, url: judged.origin }] : [];
    });
    const isResting = ({ id }: { id: NodeId }) => Number(this.#resting.has(id));
    return usable.sort((a, b) => isResting(a) - isResting(b)).slice(0, RELAYS_WANTED);
  }

  #begin({ id, url }: { id: NodeId; url: string }): void {
    const { identity, clock, random, log, lookup, answer } = this.#deps;
    const link = new EdgeLink(url, {
      identity,
      clock,
      random,
      log,
      lookup,
      answer,
      mayPass: parsePassage,
      expects: id,
      offer: async () => OFFER,
      learnContacts: () => undefined,
      onRegistered: () => this.refresh(),
      onEnd: (lastedMs) => this.#onEnd(id, lastedMs),
    });
    this.#links.set(id, { id, url, link });
    link.start();
  }

  #onEnd(id: NodeId, lastedMs: number): void {
    if (this.#stopping.signal.aborted || !this.#links.has(id)) return;
    if (lastedMs < STABLE_MS) this.#rest(id);
    this.refresh();
  }

  #rest(id: NodeId): void {
    const [oldest] = this.#resting.keys();
    if (oldest !== undefined && this.#resting.size >= RESTING_RELAYS_MAX) this.#resting.delete(oldest);
    this.#resting.set(id, this.#deps.clock.now() + RELAY_REST_MS);
  }

  #end(id: NodeId): void {
    const link = this.#links.get(id)?.link;
    this.#links.delete(id);
    if (link === undefined) return;
    const ending: Promise<void> = link.stop().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #registered(): RelayLink[] {
    return [...this.#links.values()].filter(({ link }) => link.registeredWith() !== null);
  }

  #tell(): void {
    const relays = this.relays().join(" ");
    if (relays === this.#told) return;
    this.#told = relays;
    this.#deps.onChange();
  }
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
