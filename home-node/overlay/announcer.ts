// Tells the nodes closest to each hash that this node keeps what has it: what is new within a second or so, and all of it
// once a day, because they forget it after two. What a chunk costs is a place in a list; the rest is done in large
// batches, one after the other, with rest in between.

import pLimit from "p-limit";
import type { Logger } from "pino";
import { isHoldfastError } from "../../lib/error.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { PROVIDED_PER_POST_MAX } from "../../lib/wire/overlay.ts";
import type { Clock } from "../clock.ts";
import { backoffDelay } from "../link/backoff.ts";
import { Due } from "./due.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { Reachable } from "./reachable.ts";
import type { Regions } from "./regions.ts";
import type { RoutingTable } from "./routing-table.ts";

/** From something new to its announcement; and where more has come while that was made. */
export const ANNOUNCE_DELAY_MS = 1_000;
export const ANNOUNCE_BUSY_DELAY_MS = 4_000;
/** New hashes that wait. More than that are left to a round over everything. */
export const NEW_HASHES_MAX = 100_000;
/** Hashes that are sorted by destination at a time. */
export const BATCH_HASHES = 8 * 1024;
/** From one round over everything to the next; and after one that reached nobody, at first and at most. */
export const ROUND_PERIOD_MS = 24 * 3600 * 1000;
export const ROUND_RETRY_MS = 5 * 60_000;
export const ROUND_RETRY_MAX_MS = 3600 * 1000;
/** Between two batches of a round. */
export const ROUND_PAUSE_MS = 500;
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

/** Hashes that a node is told of. */
interface Post {
  node: Reachable;
  hashes: Hash[];
}

export class Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #limit = pLimit(POSTS_AT_ONCE_MAX);
  readonly #newDue: Due;
  readonly #roundDue: Due;
  #new: Hash[] = [];
  #delayMs = ANNOUNCE_DELAY_MS;
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
    else if (this.#new.push(hash) === 1) this.#newDue.set(this.#deps.clock.now() + this.#delayMs);
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
    while (await this.#newDue.wait()) {
      this.#newDue.set(Number.POSITIVE_INFINITY);
      this.#delayMs = ANNOUNCE_BUSY_DELAY_MS;
      const hashes = this.#new.sort();
      this.#new = [];
      await this.#orLog(async () => {
        for (let at = 0; at < hashes.length; at += BATCH_HASHES)
          this.#hashes += await this.#announce(hashes.slice(at, at + BATCH_HASHES));
        return true;
      });
      this.#delayMs = ANNOUNCE_DELAY_MS;
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
    const { contacts, isReached, everything, clock, signal } = this.#deps;
    if (contacts.size === 0 || !isReached()) return false;
    let [kept, told] = [0, 0];
    let batch: Hash[] = [];
    for await (const hash of everything()) {
      kept += 1;
      if (batch.push(hash) < BATCH_HASHES) continue;
      told += await this.#announce(batch);
      batch = [];
      await clock.sleep(ROUND_PAUSE_MS, signal);
      if (signal.aborted) return false;
    }
    told += await this.#announce(batch);
    this.#hashes = told;
    this.#endedMs = clock.now();
    return told > 0 || kept === 0;
  }

  /** Tells the nodes closest to each of the sorted hashes; returns of how many of them somebody was told. */
  async #announce(hashes: readonly Hash[]): Promise<number> {
    if (!this.#deps.isReached()) return 0;
    const byNode = new Map<NodeId, Post>();
    for (const hash of hashes) {
      const { nodes } = await this.#deps.regions.around(hash);
      for (const node of nodes) {
        const post = byNode.get(node.id);
        if (post === undefined) byNode.set(node.id, { node, hashes: [hash] });
        else post.hashes.push(hash);
      }
    }
    const told = new Set<Hash>();
    const sending = [...byNode.values()].flatMap(inPosts).map(async (post) => {
      if (await this.#limit(() => this.#send(post, 1))) for (const hash of post.hashes) told.add(hash);
    });
    await Promise.all(sending);
    return told.size;
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

function inPosts({ node, hashes }: Post): Post[] {
  return Array.from({ length: Math.ceil(hashes.length / PROVIDED_PER_POST_MAX) }, (_, i) => ({
    node,
    hashes: hashes.slice(i * PROVIDED_PER_POST_MAX, (i + 1) * PROVIDED_PER_POST_MAX),
  }));
}
