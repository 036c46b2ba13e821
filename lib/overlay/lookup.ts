// Iterative look-ups in the overlay (Kademlia, Maymounkov and Mazieres 2002): nodes are asked for nodes closer to a hash until
// nobody knows any, along disjoint paths (S/Kademlia, Baumgart and Mies 2007), so that a path which liars have taken over
// leaves the others alone. No I/O of its own: whoever looks up says how a node is asked.

import type { Hash, NodeId } from "../hash.ts";
import { compareDistance, K } from "./distance.ts";

/** Nodes asked at once on each path. */
export const PARALLEL = 3;
/** Paths that share no node. */
export const PATHS = 3;
/** Nodes asked in one look-up, those that do not answer among them; each path has its part of it. */
export const ASKED_MAX = 256;
/** Whoever told of so many nodes that did not answer is believed last: it may have invented them. */
export const SILENT_TOLD_MAX = 3;
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
  /** True: nothing more is needed. Left out: all that the closest nodes have is gathered. */
  isEnough?: (values: readonly FoundValue<C, T>[]) => boolean;
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

interface Candidate<C> {
  contact: C;
  hops: number;
  /** Who told of it; nobody of a first contact. */
  tellers: NodeId[];
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
  /** Asked by one of the paths, and never again. */
  readonly #taken = new Set<NodeId>();
  readonly #answered: Candidate<C>[] = [];
  readonly #values: FoundValue<C, T>[] = [];
  /** How many that a node told of did not answer. */
  readonly #silentTold = new Map<NodeId, number>();
  #failed = 0;

  constructor(target: Hash, options: LookupOptions<C, T>) {
    this.#target = target;
    this.#options = options;
    if (options.self !== undefined) this.#taken.add(options.self);
  }

  async run(start: readonly C[]): Promise<void> {
    const { signal, paths = PATHS } = this.#options;
    const stop = () => this.#over.abort();
    if (signal?.aborted === true) return;
    signal?.addEventListener("abort", stop, { once: true });
    try {
      // Dealt out like cards, nearest first: each path begins as near as the others.
      const dealt = await this.#widen(
        this.#nearest(start.map((contact) => ({ contact, hops: 1, tellers: [] }))),
        paths,
      );
      const hands = Array.from({ length: Math.min(paths, dealt.length) }, (_, path) =>
        dealt.filter((_, i) => i % paths === path),
      );
      await Promise.all(hands.map((hand) => this.#follow(hand)));
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  result(): LookupResult<C, T> {
    const nearest = this.#nearest(this.#answered);
    return {
      values: this.#values,
      closest: nearest.slice(0, K).map(({ contact }) => contact),
      asked: this.#asked,
      failed: this.#failed,
      hops: Math.max(0, ...this.#answered.map(({ hops }) => hops)),
    };
  }

  get #asked(): number {
    return this.#taken.size - (this.#options.self === undefined ? 0 : 1);
  }

  /** Whoever knows fewer nodes than there are to be paths asks these for more first. */
  async #widen(known: Candidate<C>[], paths: number): Promise<Candidate<C>[]> {
    if (known.length >= paths) return known;
    for (const { contact } of known) this.#taken.add(contact.id);
    const told = await Promise.all(known.map((candidate) => this.#ask(candidate)));
    const byId = new Map(told.flatMap((one) => (one ?? []).map((each) => [each.contact.id, each])));
    return this.#nearest([...byId.values()].filter(({ contact }) => !this.#taken.has(contact.id)));
  }

  /** One path: ends when its k nearest have been asked, by whichever path, or have not answered. */
  async #follow(hand: Candidate<C>[]): Promise<void> {
    const { parallel = PARALLEL, paths = PATHS, askedMax = ASKED_MAX } = this.#options;
    let left = Math.ceil(askedMax / paths);
    const known = new Known(this.#target, hand);
    /** Of the known, those of this path that answered or are being asked: the others were taken, or are no use. */
    const heard = new Set<NodeId>();
    const asking = new Set<Promise<void>>();
    for (;;) {
      const next = left > 0 ? this.#next(known.nearest, heard) : null;
      if (next !== null && asking.size < parallel) {
        left -= 1;
        this.#taken.add(next.contact.id);
        heard.add(next.contact.id);
        const asked = this.#ask(next).then((told) => {
          asking.delete(asked);
          if (told === null) heard.delete(next.contact.id);
          else known.learn(told);
        });
        asking.add(asked);
      } else if (asking.size > 0) await Promise.race(asking);
      else return;
    }
  }

  /** The nearest that may be asked, as long as fewer than k nearer ones have been heard of on this path. */
  #next(known: readonly Candidate<C>[], heard: ReadonlySet<NodeId>): Candidate<C> | null {
    if (this.#over.signal.aborted) return null;
    let doubted: Candidate<C> | null = null;
    let nearer = 0;
    for (const candidate of known) {
      const { id } = candidate.contact;
      if (!this.#taken.has(id)) {
        if (!this.#isDoubted(candidate)) return candidate;
        doubted ??= candidate;
      } else if (heard.has(id) && ++nearer >= K) break;
    }
    return doubted;
  }

  #isDoubted({ tellers }: Candidate<C>): boolean {
    const isBad = (teller: NodeId) => (this.#silentTold.get(teller) ?? 0) >= SILENT_TOLD_MAX;
    return tellers.length > 0 && tellers.every(isBad);
  }

  /** Whom the node told of; null where it did not answer. */
  async #ask(candidate: Candidate<C>): Promise<Candidate<C>[] | null> {
    const { ask, isEnough, hopsMax = HOPS_MAX } = this.#options;
    const { contact: from, hops } = candidate;
    try {
      const { value, contacts } = await ask(from, this.#over.signal);
      this.#answered.push(candidate);
      if (value !== null) this.#values.push({ from, value, hops });
      if (isEnough?.(this.#values) === true) this.#over.abort();
      if (hops >= hopsMax) return [];
      const told = contacts.map((contact) => ({ contact, hops: hops + 1, tellers: [from.id] }));
      return this.#nearest(told).slice(0, CONTACTS_PER_ANSWER_MAX);
    } catch {
      this.#failed += 1;
      for (const teller of candidate.tellers)
        this.#silentTold.set(teller, (this.#silentTold.get(teller) ?? 0) + 1);
      return null;
    }
  }

  #nearest(candidates: readonly Candidate<C>[]): Candidate<C>[] {
    return candidates.toSorted((a, b) => compareDistance(this.#target, a.contact.id, b.contact.id));
  }
}

/** What a path knows of, nearest first. */
class Known<C extends { id: NodeId }> {
  readonly nearest: Candidate<C>[];
  readonly #target: Hash;
  readonly #byId: Map<NodeId, Candidate<C>>;

  constructor(target: Hash, sorted: readonly Candidate<C>[]) {
    this.#target = target;
    this.nearest = [...sorted];
    this.#byId = new Map(sorted.map((one) => [one.contact.id, one]));
  }

  learn(told: readonly Candidate<C>[]): void {
    for (const one of told) {
      const { id } = one.contact;
      const known = this.#byId.get(id);
      if (known !== undefined) {
        known.tellers.push(...one.tellers);
        continue;
      }
      this.#byId.set(id, one);
      this.nearest.splice(this.#placeOf(id), 0, one);
    }
  }

  #placeOf(id: NodeId): number {
    let [low, high] = [0, this.nearest.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.nearest[middle];
      if (there !== undefined && compareDistance(this.#target, there.contact.id, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
