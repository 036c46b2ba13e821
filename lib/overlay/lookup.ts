// Iterative look-ups in the overlay (Kademlia, Maymounkov and Mazieres 2002): nodes are asked for nodes closer to a hash until
// nobody knows any, along disjoint paths (S/Kademlia, Baumgart and Mies 2007), so that a path which liars have taken over
// leaves the others alone. No I/O of its own: whoever looks up says how a node is asked.

import type { Hash, NodeId } from "../hash.ts";
import { closestTo, compareDistance, K } from "./distance.ts";

/** Nodes asked at once on each path. */
export const PARALLEL = 3;
/** Paths that share no node. */
export const PATHS = 3;
/** Nodes asked in one look-up, those that do not answer among them; each path has its part of it. */
export const ASKED_MAX = 256;
/** Whoever told of so many nodes that did not answer is believed last: it may have invented them. */
export const SILENT_TOLD_MAX = 3;
/** Nodes asked on each path to see whether its k nearest are all that there is. */
export const SECOND_OPINIONS_MAX = 6;
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
  readonly #ended = Promise.withResolvers<void>();
  /** Asked by one of the paths, and never again. */
  readonly #taken = new Set<NodeId>();
  readonly #answered: Candidate<C>[] = [];
  readonly #answeredIds = new Set<NodeId>();
  readonly #values: FoundValue<C, T>[] = [];
  /** How many that a node told of did not answer. */
  readonly #silentTold = new Map<NodeId, number>();
  #failed = 0;

  constructor(target: Hash, options: LookupOptions<C, T>) {
    this.#target = target;
    this.#options = options;
    this.#over.signal.addEventListener("abort", () => this.#ended.resolve(), { once: true });
    if (options.self !== undefined) this.#taken.add(options.self);
  }

  async run(start: readonly C[]): Promise<void> {
    const { signal, paths = PATHS } = this.#options;
    const stop = () => this.#over.abort();
    if (signal?.aborted === true) return;
    signal?.addEventListener("abort", stop, { once: true });
    try {
      // Dealt out like cards, nearest first: each path begins as near as the others.
      const first = start.map((contact) => ({ contact, hops: 1, tellers: [] }));
      const dealt = await this.#widen(this.#nearest(first), paths);
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

  /** Whoever knows fewer nodes than there are to be paths asks these for more first; twice, for they may be all that it has. */
  async #widen(known: Candidate<C>[], paths: number): Promise<Candidate<C>[]> {
    if (known.length >= paths) return known;
    for (const { contact } of known) this.#taken.add(contact.id);
    const answers = known.map(async (one) => (await this.#ask(one)) ?? (await this.#askAgain(one)));
    const wider = new Known<C>(this.#target, []);
    for (const told of await Promise.all(answers)) if (told !== null) wider.learn(told);
    return wider.nearest.filter(({ contact }) => !this.#taken.has(contact.id));
  }

  #askAgain(candidate: Candidate<C>): Promise<Told<C> | null> {
    this.#failed -= 1;
    return this.#ask(candidate);
  }

  /**
   * One path: ends when its k nearest have been asked, by whichever path, or have not answered, and when those whom
   * others told of know nobody nearer.
   */
  async #follow(hand: Candidate<C>[]): Promise<void> {
    const { parallel = PARALLEL, paths = PATHS, askedMax = ASKED_MAX } = this.#options;
    let left = Math.ceil(askedMax / paths);
    const path: Path<C> = {
      known: new Known(this.#target, hand),
      asking: new Set(),
      opinionsLeft: SECOND_OPINIONS_MAX,
    };
    const running = new Set<Promise<void>>();
    for (;;) {
      const next = left > 0 && running.size < parallel ? this.#next(path) : null;
      if (next !== null) {
        left -= 1;
        const { id } = next.contact;
        this.#taken.add(id);
        path.asking.add(id);
        const asked = this.#ask(next).then((told) => {
          running.delete(asked);
          path.asking.delete(id);
          if (told !== null) path.known.learn(told);
        });
        running.add(asked);
      } else if (running.size > 0 && !this.#over.signal.aborted)
        await Promise.race([...running, this.#ended.promise]);
      else return;
    }
  }

  /** The nearest that may be asked, as long as fewer than k nearer ones have answered or are being asked. */
  #next(path: Path<C>): Candidate<C> | null {
    if (this.#over.signal.aborted) return null;
    let doubted: Candidate<C> | null = null;
    const nearer: Candidate<C>[] = [];
    for (const candidate of path.known.nearest) {
      const { id } = candidate.contact;
      if (!this.#taken.has(id)) {
        if (!this.#isDoubted(candidate)) return candidate;
        doubted ??= candidate;
      } else if (this.#answeredIds.has(id) || path.asking.has(id)) {
        nearer.push(candidate);
        if (nearer.length >= K) break;
      }
    }
    return doubted ?? this.#secondOpinion(path, nearer);
  }

  /**
   * The k nearest may be friends who tell of each other only. So before a path ends it asks the nearest of those whom
   * somebody told of that did not tell of most of these, and of the first contacts.
   */
  #secondOpinion(path: Path<C>, heard: readonly Candidate<C>[]): Candidate<C> | null {
    if (path.opinionsLeft === 0) return null;
    const told = new Map<NodeId, number>();
    for (const teller of heard.flatMap(({ tellers }) => tellers))
      told.set(teller, (told.get(teller) ?? 0) + 1);
    const isFriend = (teller: NodeId) => (told.get(teller) ?? 0) > K / 2;
    const isOther = ({ contact, tellers }: Candidate<C>) =>
      !this.#taken.has(contact.id) && (tellers.length === 0 || !tellers.every(isFriend));
    const other = path.known.nearest.find(isOther) ?? null;
    if (other !== null) path.opinionsLeft -= 1;
    return other;
  }

  #isDoubted({ tellers }: Candidate<C>): boolean {
    const isBad = (teller: NodeId) => (this.#silentTold.get(teller) ?? 0) >= SILENT_TOLD_MAX;
    return tellers.length > 0 && tellers.every(isBad);
  }

  /** Whom the node told of; null where it did not answer. */
  async #ask(candidate: Candidate<C>): Promise<Told<C> | null> {
    const { ask, isEnough, hopsMax = HOPS_MAX } = this.#options;
    const { contact: from, hops } = candidate;
    try {
      const { value, contacts } = await ask(from, this.#over.signal);
      this.#answered.push(candidate);
      this.#answeredIds.add(from.id);
      if (value !== null) this.#values.push({ from, value, hops });
      if (isEnough?.(this.#values) === true) this.#over.abort();
      const told = hops >= hopsMax ? [] : contacts;
      const isLong = told.length > CONTACTS_PER_ANSWER_MAX;
      return {
        by: from.id,
        hops: hops + 1,
        contacts: isLong ? closestTo(this.#target, told, ({ id }) => id, CONTACTS_PER_ANSWER_MAX) : told,
      };
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

/** Whom a node told of. */
interface Told<C> {
  by: NodeId;
  hops: number;
  contacts: readonly C[];
}

interface Path<C extends { id: NodeId }> {
  known: Known<C>;
  /** Asked by this path, and not heard of yet. */
  asking: Set<NodeId>;
  opinionsLeft: number;
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

  learn({ by, hops, contacts }: Told<C>): void {
    for (const contact of contacts) {
      const known = this.#byId.get(contact.id);
      if (known !== undefined) {
        known.tellers.push(by);
        known.hops = Math.min(known.hops, hops);
        continue;
      }
      const one = { contact, hops, tellers: [by] };
      this.#byId.set(contact.id, one);
      this.nearest.splice(this.#placeOf(contact.id), 0, one);
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
