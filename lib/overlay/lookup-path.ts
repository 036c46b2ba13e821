// One path of a look-up: whom it has heard of, nearest first, and who is to be asked next. The paths of a look-up share what is
// known of each node: that it was asked, that it answered, and how many that it told of did not.

import type { Hash, NodeId } from "../hash.ts";
import { compareDistance, headOf, K, roughDistance } from "./distance.ts";

/** Whoever told of so many nodes that did not answer is believed last: it may have invented them. */
export const SILENT_TOLD_MAX = 3;
/** Nodes asked on each path to see whether its k nearest are all that there is. */
export const SECOND_OPINIONS_MAX = 6;

/** A node as all paths see it. */
export interface Peer {
  readonly id: NodeId;
  /** See roughDistance: from what is looked up. */
  readonly rough: number;
  /** Asked by one of the paths, and never again. */
  isTaken: boolean;
  hasAnswered: boolean;
  /** How many that it told of did not answer. */
  silentTold: number;
  /** Where it stands among the nodes of the look-up. */
  readonly index: number;
}

/** A node as one path knows it. */
export interface Candidate<C> {
  readonly contact: C;
  readonly peer: Peer;
  /** Nodes that told of each other up to this one, the shortest such chain. */
  hops: number;
  /** Who told of it; nobody of a first contact. */
  readonly tellers: Peer[];
  /** Asked by this path, and not found silent. */
  isAsked: boolean;
}

/** Whom a node told of. */
export interface Told<C> {
  by: Peer;
  hops: number;
  contacts: readonly C[];
}

/** The nodes of a look-up, each known once. */
export class Peers {
  readonly #target: Hash;
  readonly #head: number;
  readonly #known = new Map<NodeId, Peer>();

  constructor(target: Hash) {
    this.#target = target;
    this.#head = headOf(target);
  }

  of(id: NodeId): Peer {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const rough = roughDistance(this.#head, headOf(id));
    const index = this.#known.size;
    const peer = { id, rough, isTaken: false, hasAnswered: false, silentTold: 0, index };
    this.#known.set(id, peer);
    return peer;
  }

  get size(): number {
    return this.#known.size;
  }

  isNearer(a: Peer, b: Peer): boolean {
    return a.rough === b.rough ? compareDistance(this.#target, a.id, b.id) < 0 : a.rough < b.rough;
  }
}

export class Path<C extends { id: NodeId }> {
  readonly #peers: Peers;
  readonly #nearest: Candidate<C>[];
  /** The same by the number of their peer. */
  readonly #byPeer: (Candidate<C> | undefined)[] = [];
  #opinionsLeft = SECOND_OPINIONS_MAX;

  /** `hand` is what it begins with, nearest first. */
  constructor(peers: Peers, hand: readonly Candidate<C>[] = []) {
    this.#peers = peers;
    this.#nearest = [...hand];
    for (const one of hand) this.#byPeer[one.peer.index] = one;
  }

  /** All that it has heard of, nearest first. */
  get nearest(): readonly Candidate<C>[] {
    return this.#nearest;
  }

  learn({ by, hops, contacts }: Told<C>): void {
    for (const contact of contacts) {
      const { tellers } = this.add(contact, hops);
      tellers.push(by);
    }
  }

  add(contact: C, hops: number): Candidate<C> {
    const peer = this.#peers.of(contact.id);
    const known = this.#byPeer[peer.index];
    if (known !== undefined) {
      known.hops = Math.min(known.hops, hops);
      return known;
    }
    const one = { contact, peer, hops, tellers: [], isAsked: false };
    this.#byPeer[peer.index] = one;
    this.#nearest.splice(this.#placeOf(peer), 0, one);
    return one;
  }

  /**
   * The nearest that may be asked, as long as fewer than k nearer ones have answered or are being asked. Null where the path
   * ends: its k nearest have been asked, by whichever path, or have not answered, and those whom others told of know nobody
   * nearer; or where it has to wait for that.
   */
  next(): Candidate<C> | null {
    let doubted: Candidate<C> | null = null;
    let nearer = 0;
    for (const candidate of this.#nearest) {
      if (!candidate.peer.isTaken) {
        if (!isDoubted(candidate)) return candidate;
        doubted ??= candidate;
      } else if (isHeard(candidate)) {
        nearer += 1;
        if (nearer >= K) break;
      }
    }
    return doubted ?? this.#secondOpinion();
  }

  /**
   * The k nearest may be friends who tell of each other only. So before a path ends it asks the nearest of those whom
   * somebody told of that did not tell of most of these, and of the first contacts.
   */
  #secondOpinion(): Candidate<C> | null {
    if (this.#opinionsLeft === 0) return null;
    const told = new Uint16Array(this.#peers.size);
    for (const { tellers } of this.#nearest.filter(isHeard).slice(0, K))
      for (const { index } of tellers) told[index] = (told[index] ?? 0) + 1;
    const isFriend = ({ index }: Peer) => (told[index] ?? 0) > K / 2;
    const isOther = ({ peer, tellers }: Candidate<C>) =>
      !peer.isTaken && (tellers.length === 0 || !tellers.every(isFriend));
    const other = this.#nearest.find(isOther) ?? null;
    if (other !== null) this.#opinionsLeft -= 1;
    return other;
  }

  #placeOf(peer: Peer): number {
    let [low, high] = [0, this.#nearest.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = this.#nearest[middle];
      if (there !== undefined && this.#peers.isNearer(there.peer, peer)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isHeard<C>({ peer, isAsked }: Candidate<C>): boolean {
  return peer.hasAnswered || isAsked;
}

function isDoubted<C>({ tellers }: Candidate<C>): boolean {
  return tellers.length > 0 && tellers.every(({ silentTold }) => silentTold >= SILENT_TOLD_MAX);
}
