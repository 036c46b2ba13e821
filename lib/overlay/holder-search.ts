// The search for whoever gives what a hash names. What nodes say of holders is believed nowhere: a search offers few at a time,
// those first of whom most nodes told, and goes on where these do not give it. Whoever told of them is believed last then. No
// I/O of its own, as look-ups have none.

import type { Hash, NodeId } from "../hash.ts";
import { hashesElsewhere } from "./distance.ts";
import { type LookupOptions, lookup, type NodeAnswer } from "./lookup.ts";

/** Nodes that have to tell of a holder while others may still be heard: a liar alone is not listened to. */
export const TELLERS_ENOUGH = 2;
/** The look-up pauses when there are holders of whom so many nodes told, each counted for each holder. */
export const TELLINGS_ENOUGH = 6;
/** Holders offered at once. */
export const OFFERED_AT_ONCE = 4;
/** Holders offered in one search: bounds what false ones can cost. */
export const OFFERED_MAX = 64;
/** Who told of so many that did not give it is listened to only when the look-up has ended. */
export const FAILED_TOLD_MAX = 3;

export interface HolderSearchOptions<C, H> {
  /** The contacts to begin with, of all that one knows those nearest to a hash. */
  start: (hash: Hash) => readonly C[] | Promise<readonly C[]>;
  /** Asks one node who has the target, and who is closer to it. */
  ask: (contact: C) => Promise<NodeAnswer<C, readonly H[]>>;
  /** Asks one node whom it knows near another hash. */
  closest: (contact: C, hash: Hash) => Promise<readonly C[]>;
  /** What two nodes told of one holder, as one. The first is taken if left out. */
  merge?: (known: H, told: H) => H;
  /** Of the look-ups. */
  paths?: LookupOptions<C, never>["paths"];
}

export interface FoundHolder<H> {
  holder: H;
  /** Nodes that told of each other, up to the one that named the holder: a first contact is 1. */
  hops: number;
}

/** A node that named holders. */
interface Teller {
  /** How many of these were offered, and did not give it. */
  failedTold: number;
}

interface Told<H> extends FoundHolder<H> {
  tellers: Set<Teller>;
  state: "waiting" | "offered" | "failed";
}

/** One look-up that is under way. */
interface Round {
  ended: Promise<void>;
}

export class HolderSearch<C extends { id: NodeId }, H extends { id: NodeId }> {
  readonly #target: Hash;
  readonly #options: HolderSearchOptions<C, H>;
  readonly #told = new Map<NodeId, Told<H>>();
  readonly #offered: Told<H>[] = [];
  /** Whom nodes named that have answered: the second look-up passes by them, and does not ask them again. */
  readonly #answered = new Map<NodeId, readonly C[]>();
  /** What is still to be tried: around the target, and by way of other parts of the space. */
  readonly #rounds = [() => this.#lookUpHere(), () => this.#lookUpElsewhere()];
  #round: Round | null = null;
  /** Nodes are asked; else those that are next wait for `#goOn`. */
  #isGoing = false;
  #goOn = Promise.withResolvers<void>();
  #paused = Promise.withResolvers<void>();

  constructor(target: Hash, options: HolderSearchOptions<C, H>) {
    this.#target = target;
    this.#options = options;
  }

  /**
   * The holders offered beyond the first `known`, of which none has given what is wanted. Looks for some where there are none
   * yet; empty when no more are found, or OFFERED_MAX were offered. What was offered stays as it is: a search can be shared.
   */
  async more(known: number): Promise<FoundHolder<H>[]> {
    while (this.#offered.length <= known) {
      this.#noteFailures();
      if (this.#offered.length >= OFFERED_MAX) return [];
      if (this.#offer()) continue;
      if (!(await this.#lookOn())) return [];
    }
    return this.#offered.slice(known).map(({ holder, hops }) => ({ holder, hops }));
  }

  /** Whoever asks for more has had nothing from those that were offered. */
  #noteFailures(): void {
    for (const one of this.#offered) {
      if (one.state === "failed") continue;
      one.state = "failed";
      for (const teller of one.tellers) teller.failedTold += 1;
    }
  }

  /** False where there is nobody to offer: while a look-up is under way, only those are of whom enough nodes told. */
  #offer(): boolean {
    const candidates = this.#round === null ? this.#waiting() : this.#trusted();
    if (this.#round !== null && countTellings(candidates) < TELLINGS_ENOUGH) return false;
    const best = candidates
      .toSorted((a, b) => doubtOf(a) - doubtOf(b) || b.tellers.size - a.tellers.size)
      .slice(0, Math.min(OFFERED_AT_ONCE, OFFERED_MAX - this.#offered.length));
    for (const one of best) one.state = "offered";
    this.#offered.push(...best);
    return best.length > 0;
  }

  #waiting(): Told<H>[] {
    return [...this.#told.values()].filter(({ state }) => state === "waiting");
  }

  #trusted(): Told<H>[] {
    return this.#waiting().filter(
      (one) => one.tellers.size >= TELLERS_ENOUGH && doubtOf(one) < FAILED_TOLD_MAX,
    );
  }

  /** Until there is more to offer, or the look-up has ended; false where all have. */
  async #lookOn(): Promise<boolean> {
    this.#round ??= this.#begin();
    if (this.#round === null) return false;
    this.#isGoing = true;
    this.#goOn.resolve();
    await Promise.race([this.#round.ended, this.#paused.promise]);
    return true;
  }

  #begin(): Round | null {
    const lookUp = this.#rounds.shift();
    if (lookUp === undefined) return null;
    const ended = lookUp().finally(() => {
      this.#round = null;
    });
    return { ended };
  }

  async #lookUpHere(): Promise<void> {
    await this.#lookUp(await this.#options.start(this.#target), 1);
  }

  /** Of the nodes around the target, those that one begins with may know liars only: it goes on from nodes elsewhere. */
  async #lookUpElsewhere(): Promise<void> {
    const { start, closest } = this.#options;
    const found = await Promise.all(
      hashesElsewhere(this.#target).map(async (hash) => {
        const [first, ...others] = await start(hash);
        const told = first === undefined ? [] : await closest(first, hash).catch(() => []);
        return [...told, ...others];
      }),
    );
    await this.#lookUp(found.flat(), 2);
  }

  /** The first contacts are at `startHops`. */
  async #lookUp(start: readonly C[], startHops: number): Promise<void> {
    const { ask, paths } = this.#options;
    await lookup<C, readonly H[]>(this.#target, start, {
      ...(paths === undefined ? {} : { paths }),
      ask: async (contact) => {
        const before = this.#answered.get(contact.id);
        if (before !== undefined) return { value: null, contacts: before };
        await this.#goOn.promise;
        const answer = await ask(contact);
        this.#answered.set(contact.id, answer.contacts);
        return answer;
      },
      onValue: ({ value, hops }) => this.#hear(value, hops + startHops - 1),
    });
  }

  #hear(holders: readonly H[], hops: number): void {
    const teller: Teller = { failedTold: 0 };
    for (const holder of holders) this.#add(holder, teller, hops);
    if (countTellings(this.#trusted()) >= TELLINGS_ENOUGH) this.#pause();
  }

  #add(holder: H, teller: Teller, hops: number): void {
    const known = this.#told.get(holder.id);
    if (known === undefined) {
      this.#told.set(holder.id, { holder, hops, tellers: new Set([teller]), state: "waiting" });
      return;
    }
    known.holder = this.#options.merge?.(known.holder, holder) ?? known.holder;
    known.hops = Math.min(known.hops, hops);
    known.tellers.add(teller);
    if (known.state === "failed") teller.failedTold += 1;
  }

  /** Nobody else is asked until somebody asks for more. */
  #pause(): void {
    if (!this.#isGoing) return;
    this.#isGoing = false;
    this.#goOn = Promise.withResolvers();
    this.#paused.resolve();
    this.#paused = Promise.withResolvers();
  }
}

/** The least that any of its tellers was wrong: an honest one tells of liars too, who said to it that they are holders. */
function doubtOf({ tellers }: Told<unknown>): number {
  return Math.min(...[...tellers].map(({ failedTold }) => failedTold));
}

function countTellings(told: readonly Told<unknown>[]): number {
  return told.reduce((sum, { tellers }) => sum + tellers.size, 0);
}
