// The network between the nodes: each call takes a while, some are lost, and whoever is gone does not answer.

import type { Hash } from "../lib/hash.ts";
import { K } from "../lib/overlay/distance.ts";
import type { SeededRandom } from "../test/random.ts";
import type { Clock } from "./clock.ts";
import type { Contact, Population } from "./population.ts";
import { PrefixIndex } from "./prefix-index.ts";

/** The shortest way there and back, and what comes on top of it on average. */
const ROUND_TRIP_MIN_MS = 20;
const ROUND_TRIP_MORE_MS = 80;
/** Whoever calls waits so long for an answer. */
export const PATIENCE_MS = 2000;
/** Hostile nodes learn so fast who of them has come and gone. */
const FRIENDS_KNOWN_MS = 10_000;
const FRIENDS_KNOWN_MAX = 4096;

/** One for all: where it was thrown says nothing, and to find that out takes longer than the call. */
const noAnswer = new Error("no answer");

/** Calls made for one purpose. */
export interface Tally {
  calls: number;
}

export class Network {
  readonly clock: Clock;
  readonly population: Population;
  /** Everybody who is there, and the hostile among them who answer. */
  readonly present: PrefixIndex<Contact>;
  readonly colluders: PrefixIndex<Contact>;
  readonly #random: SeededRandom;
  readonly #loss: number;
  readonly #friends = new Map<Hash, { contacts: readonly Contact[]; untilMs: number }>();

  constructor(
    clock: Clock,
    population: Population,
    { nodes, hostile, loss }: { nodes: number; hostile: number; loss: number },
    random: SeededRandom,
  ) {
    this.clock = clock;
    this.population = population;
    this.present = new PrefixIndex(nodes);
    this.colluders = new PrefixIndex(nodes * hostile + 1);
    this.#loss = loss;
    this.#random = random;
  }

  arrive(contact: Contact): void {
    this.population.arrive(contact.index);
    this.present.add(contact);
    if (this.#colludes(contact)) this.colluders.add(contact);
  }

  leave(contact: Contact): void {
    this.population.leave(contact.index);
    this.present.remove(contact);
    this.colluders.remove(contact);
  }

  /** Rejects after a caller's patience where nothing comes back; null from `answer` is silence. */
  call<T>(to: Contact, tally: Tally, answer: () => T | null): Promise<T> {
    tally.calls += 1;
    const roundTripMs = ROUND_TRIP_MIN_MS - ROUND_TRIP_MORE_MS * Math.log(1 - this.#random.next());
    const isLost = this.#random.next() < this.#loss || roundTripMs > PATIENCE_MS;
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(noAnswer);
      if (isLost) this.clock.after(PATIENCE_MS, giveUp);
      else
        this.clock.after(roundTripMs, () => {
          const said = this.population.isPresent(to.index) ? answer() : null;
          if (said !== null) resolve(said);
          else this.clock.after(PATIENCE_MS - roundTripMs, giveUp);
        });
    });
  }

  /** A call of which nobody waits for the answer: true where it got there. It takes no time. */
  reach(to: Contact, tally: Tally): boolean {
    tally.calls += 1;
    return this.#random.next() >= this.#loss && this.population.isPresent(to.index);
  }

  /** The k hostile nodes closest to a hash that answer: what they themselves tell whoever asks. */
  friendsNear(hash: Hash): readonly Contact[] {
    const known = this.#friends.get(hash);
    if (known !== undefined && known.untilMs > this.clock.nowMs) return known.contacts;
    if (this.#friends.size >= FRIENDS_KNOWN_MAX) this.#friends.clear();
    const contacts = this.colluders.closest(hash, K);
    this.#friends.set(hash, { contacts, untilMs: this.clock.nowMs + FRIENDS_KNOWN_MS });
    return contacts;
  }

  #colludes({ index }: Contact): boolean {
    const behaviour = this.population.behaviourOf(index);
    return behaviour === "misleads" || behaviour === "invents holders";
  }
}
