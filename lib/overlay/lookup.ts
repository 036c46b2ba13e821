// Iterative look-ups in the overlay (Kademlia, Maymounkov and Mazieres 2002): nodes are asked for nodes closer to a hash until
// nobody knows any, along disjoint paths (S/Kademlia, Baumgart and Mies 2007), so that a path which liars have taken over
// leaves the others alone. No I/O of its own: whoever looks up says how a node is asked.

import type { Hash, NodeId } from "../hash.ts";
import { closestTo, K } from "./distance.ts";
import { type Candidate, Path, Peers, type Told } from "./lookup-path.ts";

/** Nodes asked at once on each path. */
export const PARALLEL = 3;
/** Paths that share no node. */
export const PATHS = 3;
/** Nodes asked in one look-up, those that do not answer among them; each path has its part of it. */
export const ASKED_MAX = 256;
/** The longest chain of nodes that told of each other. */
export const HOPS_MAX = 20;
/** Contacts taken from one answer; the closest of them. */
export const CONTACTS_PER_ANSWER_MAX = K;

/** What a node answers: what was looked for, where it has it, and who may be closer to it. */
export interface NodeAnswer<C, T> {
  value: T | null;
  contacts: readonly C[];
}

/** Asks one node. A rejection says that it did not answer, or that its answer is worth nothing. */
export type AskNode<C, T> = (contact: C, signal: AbortSignal) => Promise<NodeAnswer<C, T>>;

export interface LookupOptions<C, T> {
  ask: AskNode<C, T>;
  /** Hears each value as it comes. */
  onValue?: (found: FoundValue<C, T>) => void;
  /** Whoever looks up, where it is a node itself: it is not asked. */
  self?: NodeId;
  signal?: AbortSignal;
  paths?: number;
  parallel?: number;
  askedMax?: number;
  hopsMax?: number;
}

export interface FoundValue<C, T> {
  from: C;
  value: T;
  /** Nodes that told of each other, up to the one that had it: a first contact is 1. */
  hops: number;
}

export interface LookupResult<C, T> {
  values: FoundValue<C, T>[];
  /** The nodes closest to the hash that answered, nearest first, k at most. */
  closest: C[];
  /** Nodes asked, and those of them that did not answer. */
  asked: number;
  failed: number;
  /** The longest chain that was followed. */
  hops: number;
}

/** Never rejects: that nobody answered is a result. `start` are the contacts that one knows, in any order. */
export async function lookup<C extends { id: NodeId }, T>(
  target: Hash,
  start: readonly C[],
  options: LookupOptions<C, T>,
): Promise<LookupResult<C, T>> {
  const search = new Search<C, T>(target, options);
  await search.run(start);
  return search.result();
}

class Search<C extends { id: NodeId }, T> {
  readonly #target: Hash;
  readonly #options: LookupOptions<C, T>;
  readonly #over = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #peers: Peers;
  readonly #answered: Candidate<C>[] = [];
  readonly #values: FoundValue<C, T>[] = [];
  #asked = 0;
  #failed = 0;

  constructor(target: Hash, options: LookupOptions<C, T>) {
    this.#target = target;
    this.#options = options;
    this.#peers = new Peers(target);
    if (options.self !== undefined) this.#peers.of(options.self).isTaken = true;
  }

  async run(start: readonly C[]): Promise<void> {
    const { signal, paths = PATHS } = this.#options;
    const stop = () => {
      this.#over.abort();
      this.#ended.resolve();
    };
    if (signal?.aborted === true) return;
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const first = new Path<C>(this.#peers);
      for (const contact of start) first.add(contact, 1);
      // Dealt out like cards, nearest first: each path begins as near as the others.
      const dealt = await this.#widen(first.nearest, paths);
      const hands = Array.from({ length: Math.min(paths, dealt.length) }, (_, path) =>
        dealt.filter((_, i) => i % paths === path),
      );
      const followed = hands.map((hand) => this.#follow(new Path(this.#peers, hand)));
      await Promise.race([Promise.all(followed), this.#ended.promise]);
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  result(): LookupResult<C, T> {
    const contacts = this.#answered.map(({ contact }) => contact);
    return {
      values: this.#values,
      closest: closestTo(this.#target, contacts, ({ id }) => id),
      asked: this.#asked,
      failed: this.#failed,
      hops: Math.max(0, ...this.#answered.map(({ hops }) => hops)),
    };
  }

  /** Whoever knows fewer nodes than there are to be paths asks these for more first; twice, for they may be all that it has. */
  async #widen(known: readonly Candidate<C>[], paths: number): Promise<readonly Candidate<C>[]> {
    if (known.length >= paths) return known;
    const answers = known.map(async (one) => (await this.#take(one)) ?? (await this.#askAgain(one)));
    const wider = new Path<C>(this.#peers);
    for (const told of await Promise.all(answers)) if (told !== null) wider.learn(told);
    return wider.nearest.filter(({ peer }) => !peer.isTaken);
  }

  #askAgain(candidate: Candidate<C>): Promise<Told<C> | null> {
    this.#failed -= 1;
    return this.#ask(candidate);
  }

  /** Asks along one path; returns when it has ended and everybody asked has answered, or has not. */
  #follow(path: Path<C>): Promise<void> {
    const { parallel = PARALLEL, paths = PATHS, askedMax = ASKED_MAX } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    let [left, running] = [Math.ceil(askedMax / paths), 0];
    const goOn = () => {
      while (left > 0 && running < parallel && !this.#over.signal.aborted) {
        const next = path.next();
        if (next === null) break;
        left -= 1;
        running += 1;
        void this.#take(next).then((told) => {
          running -= 1;
          if (told !== null) path.learn(told);
          goOn();
        });
      }
      if (running === 0) resolve();
    };
    goOn();
    return promise;
  }

  /** Asks a node that no path has asked. */
  #take(candidate: Candidate<C>): Promise<Told<C> | null> {
    candidate.peer.isTaken = true;
    candidate.isAsked = true;
    this.#asked += 1;
    return this.#ask(candidate);
  }

  /** Whom the node told of; null where it did not answer. */
  async #ask(candidate: Candidate<C>): Promise<Told<C> | null> {
    const { ask, onValue, hopsMax = HOPS_MAX } = this.#options;
    const { contact: from, peer, hops } = candidate;
    try {
      const { value, contacts } = await ask(from, this.#over.signal);
      this.#answered.push(candidate);
      peer.hasAnswered = true;
      if (value !== null) {
        this.#values.push({ from, value, hops });
        onValue?.({ from, value, hops });
      }
      const told = hops >= hopsMax ? [] : contacts;
      const isLong = told.length > CONTACTS_PER_ANSWER_MAX;
      return {
        by: peer,
        hops: hops + 1,
        contacts: isLong ? closestTo(this.#target, told, ({ id }) => id, CONTACTS_PER_ANSWER_MAX) : told,
      };
    } catch {
      this.#failed += 1;
      candidate.isAsked = false;
      for (const teller of candidate.tellers) teller.silentTold += 1;
      return null;
    }
  }
}
