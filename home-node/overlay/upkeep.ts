// Keeps the table right: at the start and every hour the node looks itself up, and something in each bucket that nothing was
// looked up in since, and exchanges cards with those that it finds. So neighbours know each other, and those that come later
// are found.

import type { Logger } from "pino";
import { isHoldfastError } from "../../lib/error.ts";
import { decodeHash, encodeHash, HASH_BYTES, type Hash, type NodeId } from "../../lib/hash.ts";
import { K } from "../../lib/overlay/distance.ts";
import type { Clock } from "../clock.ts";
import { backoffDelay } from "../link/backoff.ts";
import type { Acquaintances } from "./acquaintances.ts";
import { Due } from "./due.ts";
import type { Finder } from "./finder.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { RoutingTable } from "./routing-table.ts";

export const UPKEEP_PERIOD_MS = 3600 * 1000;
/** After the first look, which those that started at the same time may have missed. */
export const SECOND_LOOK_MS = 2 * 60_000;
/** Buckets refreshed in one round; there are log2 of the number of nodes, unless somebody makes up deep ones. */
export const BUCKETS_REFRESHED_MAX = 32;

export interface UpkeepDeps {
  self: NodeId;
  contacts: RoutingTable;
  acquaintances: Acquaintances;
  finder: Finder;
  clock: Clock;
  random: () => number;
  log: Logger;
  peers: Pick<PeerRequests, "closest">;
  /** URLs of nodes by which to join, and of the edges, which know some. */
  join: readonly string[];
  edges: readonly string[];
  /** After each round. */
  onRound: () => void;
  signal: AbortSignal;
}

export class Upkeep {
  readonly #deps: UpkeepDeps;
  readonly #due: Due;
  #running: Promise<void> = Promise.resolve();
  /** The last round found nobody to ask. */
  #isAlone = false;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
    this.#due = new Due(deps.clock, deps.signal, deps.clock.now());
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Returns when nothing is under way any more; the signal was aborted before. */
  async stop(): Promise<void> {
    await this.#running;
  }

  /** Somebody is known: whoever was alone looks around now. */
  wake(): void {
    if (this.#isAlone) this.#due.now();
    this.#isAlone = false;
  }

  async #run(): Promise<void> {
    const { contacts, clock, onRound } = this.#deps;
    let [rounds, failures] = [0, 0];
    while (await this.#due.wait()) {
      await this.#round();
      this.#isAlone = contacts.size === 0;
      const pauseMs = rounds === 0 ? SECOND_LOOK_MS : UPKEEP_PERIOD_MS;
      this.#due.set(clock.now() + (this.#isAlone ? this.#aloneMs(failures++) : pauseMs));
      if (!this.#isAlone) rounds += 1;
      onRound();
    }
  }

  /** Until a node that knows nobody tries again; where it has nobody to try, it waits until somebody comes. */
  #aloneMs(failures: number): number {
    const { join, edges, random } = this.#deps;
    return join.length + edges.length === 0 ? Number.POSITIVE_INFINITY : backoffDelay(failures, random);
  }

  async #round(): Promise<void> {
    const { self, contacts, log, signal } = this.#deps;
    try {
      if (contacts.size === 0) await this.#join();
      const around = await this.#explore(self);
      // Fewer than k: these are all nodes that there are.
      if (around < K) return;
      for (const bucket of this.#staleBuckets()) {
        if (signal.aborted) return;
        await this.#explore(randomIn(bucket, self, this.#deps.random));
      }
    } catch (error) {
      log.error({ err: error }, "looking around in the overlay failed");
    }
  }

  /** By the nodes that the volunteer named, and by those that the edges know: one that registered first was told of nobody. */
  async #join(): Promise<void> {
    const { self, acquaintances, peers, join, edges } = this.#deps;
    await Promise.all([
      ...join.map((url) => this.#try(url, () => acquaintances.join(url))),
      ...edges.map((url) =>
        this.#try(url, async () => acquaintances.learn(await peers.closest({ url }, self), url)),
      ),
    ]);
  }

  async #try(url: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#deps.log.warn({ url, reason: error.message }, "could not join by this server");
    }
  }

  /** Looks `target` up and exchanges cards with those nearest to it; returns how many are who they are said to be. */
  async #explore(target: Hash): Promise<number> {
    const { closest } = await this.#deps.finder.find(target);
    const met = await Promise.all(closest.map((contact) => this.#deps.acquaintances.visit(contact)));
    return met.filter(Boolean).length;
  }

  #staleBuckets(): number[] {
    const { contacts, finder, clock } = this.#deps;
    const oldMs = clock.now() - UPKEEP_PERIOD_MS;
    return Array.from(
      { length: Math.min(contacts.depth, BUCKETS_REFRESHED_MAX) },
      (_, bucket) => bucket,
    ).filter((bucket) => finder.lookedUpMs(bucket) <= oldMs);
  }
}

/** A random id that begins with exactly `bucket` bits of `self`. */
export function randomIn(bucket: number, self: NodeId, random: () => number): Hash {
  const bytes = decodeHash(self);
  for (let bit = bucket; bit < 8 * HASH_BYTES; bit++) {
    const isFlipped = bit === bucket || random() < 0.5;
    if (isFlipped) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  }
  return encodeHash(bytes);
}
