// Tells the nodes closest to each hash that this node keeps what has it: what is new within a second or so, and all of it
// once a day, because they forget it after two. What a chunk costs is a place in a list; the rest is done in large
// batches, one after the other, with rest in between.

import pLimit from "p-limit";
import type { Logger } from "pino";
import { isHoldfastError } from "../../lib/error.ts";
import { HASH_BYTES, type Hash, type NodeId } from "../../lib/hash.ts";
import { joinHashes, PROVIDED_PER_POST_MAX } from "../../lib/wire/overlay.ts";
import type { Clock } from "../clock.ts";
import { backoffDelay } from "../link/backoff.ts";
import { Due } from "./due.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { Reachable } from "./reachable.ts";
import type { Regions } from "./regions.ts";
import type { RoutingTable } from "./routing-table.ts";

/** From something new to its announcement. */
export const ANNOUNCE_DELAY_MS = 1_000;
/** While so many wait and more come, a publish is under way that has better uses for the processor; but no longer than that. */
export const FLOOD_HASHES = 256;
export const FLOOD_WAIT_MAX_MS = 30_000;
/** New hashes that wait. More than that are left to a round over everything. */
export const NEW_HASHES_MAX = 100_000;
/** Hashes that are sorted by destination at a time. */
export const BATCH_HASHES = 2 * 1024;
/** From one round over everything to the next; and after one that reached nobody, at first and at most. */
export const ROUND_PERIOD_MS = 24 * 3600 * 1000;
export const ROUND_RETRY_MS = 5 * 60_000;
export const ROUND_RETRY_MAX_MS = 3600 * 1000;
/** Between two batches. */
export const BATCH_PAUSE_MS = 1_000;
export const POSTS_AT_ONCE_MAX = 4;
/** Tries of one POST; those that wait for their next. */
export const POST_TRIES_MAX = 3;
export const POSTS_WAITING_MAX = 256;
/** So that nodes that were started together do not announce together. */
const ROUND_JITTER = 0.1;

export interface AnnouncerDeps {
  contacts: RoutingTable;
  peers: PeerRequests;
  regions: Regions;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Everything that the node keeps, each kind of it in the order of the hashes. */
  everything: () => AsyncIterable<Hash>;
  /** Whether somebody who is told of this node can reach it. */
  isReached: () => boolean;
  signal: AbortSignal;
}

/** What a node is told of: places in a batch of hashes, and the bytes of these hashes. */
interface Post {
  node: Reachable;
  places: number[];
  hashes: Uint8Array<ArrayBuffer>;
}

export class Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #limit = pLimit(POSTS_AT_ONCE_MAX);
  readonly #newDue: Due;
  readonly #roundDue: Due;
  #new: Hash[] = [];
  #postsWaiting = 0;
  #hashes = 0;
  #endedMs: number | null = null;
  #running: Promise<unknown> = Promise.resolve();

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
    this.#newDue = new Due(deps.clock, deps.signal, Number.POSITIVE_INFINITY);
    this.#roundDue = new Due(deps.clock, deps.signal, Number.POSITIVE_INFINITY);
  }

  /** Hashes that others were told of, in the last whole round and since; and when that ended, null before the first. */
  get report(): { hashes: number; at: string | null } {
    const at = this.#endedMs === null ? null : new Date(this.#endedMs).toISOString();
    return { hashes: this.#hashes, at };
  }

  /** Something is kept from now on. Where there is nobody to tell, it waits for the round that comes when there is. */
  add(hash: Hash): void {
    if (this.#deps.contacts.size === 0) return;
    if (this.#new.length >= NEW_HASHES_MAX) this.#roundDue.now();
    else if (this.#new.push(hash) === 1) this.#newDue.set(this.#deps.clock.now() + ANNOUNCE_DELAY_MS);
  }

  /** Everything is to be announced now: there are other nodes than before, or another card. */
  renew(): void {
    this.#deps.regions.forgetAll();
    this.#roundDue.now();
  }

  start(): void {
    this.#running = Promise.all([this.#announceNew(), this.#announceAll()]);
  }

  /** Returns when nothing is under way any more; the signal was aborted before. */
  async stop(): Promise<void> {
    await this.#running;
  }

  async #announceNew(): Promise<void> {
    const { clock } = this.#deps;
    let [waiting, waitedMs] = [0, 0];
    while (await this.#newDue.wait()) {
      const isFlood = this.#new.length >= FLOOD_HASHES && this.#new.length > waiting;
      if (isFlood && waitedMs < FLOOD_WAIT_MAX_MS) {
        waiting = this.#new.length;
        waitedMs += ANNOUNCE_DELAY_MS;
        this.#newDue.set(clock.now() + ANNOUNCE_DELAY_MS);
        continue;
      }
      [waiting, waitedMs] = [0, 0];
      this.#newDue.set(Number.POSITIVE_INFINITY);
      const hashes = this.#new.sort();
      this.#new = [];
      await this.#orLog(async () => {
        this.#hashes += await this.#announceEach(hashes);
        return true;
      });
    }
  }

  async #announceAll(): Promise<void> {
    const { clock, random } = this.#deps;
    let failures = 0;
    while (await this.#roundDue.wait()) {
      this.#roundDue.set(clock.now() + ROUND_PERIOD_MS * (1 - ROUND_JITTER * random()));
      const isDone = await this.#orLog(() => this.#round());
      if (isDone) failures = 0;
      else this.#roundDue.by(clock.now() + Math.min(ROUND_RETRY_MAX_MS, ROUND_RETRY_MS * 2 ** failures++));
    }
  }

  /** What `work` says, or false where it failed in a way that is not the network's. */
  async #orLog(work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work();
    } catch (error) {
      this.#deps.log.error({ err: error }, "announcing what is kept here failed");
      return false;
    }
  }

  /** False where there is something to announce, and nobody was told. */
  async #round(): Promise<boolean> {
    const { contacts, isReached, everything, clock } = this.#deps;
    if (contacts.size === 0 || !isReached()) return false;
    let kept = 0;
    const counted = async function* () {
      for await (const hash of everything()) {
        kept += 1;
        yield hash;
      }
    };
    const told = await this.#announceEach(counted());
    this.#hashes = told;
    this.#endedMs = clock.now();
    return told > 0 || kept === 0;
  }

  /** As #announce, in batches with pauses between them. */
  async #announceEach(hashes: Iterable<Hash> | AsyncIterable<Hash>): Promise<number> {
    const { clock, signal } = this.#deps;
    let told = 0;
    let batch: Hash[] = [];
    for await (const hash of hashes) {
      if (batch.length === BATCH_HASHES) {
        told += await this.#announce(batch);
        batch = [];
        await clock.sleep(BATCH_PAUSE_MS, signal);
      }
      if (signal.aborted) return told;
      batch.push(hash);
    }
    return told + (await this.#announce(batch));
  }

  /** Tells the nodes closest to each of the sorted hashes; returns of how many of them somebody was told. */
  async #announce(hashes: readonly Hash[]): Promise<number> {
    const { isReached, regions } = this.#deps;
    if (!isReached()) return 0;
    const byNode = new Map<NodeId, { node: Reachable; places: number[] }>();
    for (const [place, hash] of hashes.entries()) {
      const { nodes } = regions.known(hash) ?? (await regions.look(hash));
      for (const node of nodes) {
        const known = byNode.get(node.id);
        if (known === undefined) byNode.set(node.id, { node, places: [place] });
        else known.places.push(place);
      }
    }
    const bytes = joinHashes(hashes);
    const isTold = new Uint8Array(hashes.length);
    const sending = [...byNode.values()].map(async ({ node, places }) => {
      for (const post of inPosts(node, places, bytes))
        if (await this.#limit(() => this.#send(post, 1))) for (const place of post.places) isTold[place] = 1;
    });
    await Promise.all(sending);
    return isTold.reduce((sum, one) => sum + one, 0);
  }

  /** False where the node did not take it; it is tried again later, a few times. */
  async #send(post: Post, tries: number): Promise<boolean> {
    const { peers, contacts, regions, signal } = this.#deps;
    if (signal.aborted) return false;
    try {
      await peers.provide(post.node, post.hashes);
      contacts.answered(post.node);
      return true;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      if (signal.aborted) return false;
      if (error.code !== "rate-limited") {
        contacts.failed(post.node);
        regions.forget(post.node.id);
      }
      void this.#sendLater(post, tries);
      return false;
    }
  }

  async #sendLater(post: Post, tries: number): Promise<void> {
    const { clock, random, signal } = this.#deps;
    if (tries >= POST_TRIES_MAX || this.#postsWaiting >= POSTS_WAITING_MAX) return;
    this.#postsWaiting += 1;
    await clock.sleep(backoffDelay(tries, random), signal);
    this.#postsWaiting -= 1;
    await this.#orLog(() => this.#limit(() => this.#send(post, tries + 1)));
  }
}

/** One after the other, so that a node is not sent a second list before it has taken the first. */
function* inPosts(node: Reachable, places: number[], bytes: Uint8Array): Generator<Post> {
  for (let at = 0; at < places.length; at += PROVIDED_PER_POST_MAX) {
    const some = places.slice(at, at + PROVIDED_PER_POST_MAX);
    const hashes = new Uint8Array(some.length * HASH_BYTES);
    for (const [i, place] of some.entries())
      hashes.set(bytes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES), i * HASH_BYTES);
    yield { node, places: some, hashes };
  }
}
