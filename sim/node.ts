// A home node as others see it: its routing table, the provider records that it was given, and what it answers.

import type { Hash } from "../lib/hash.ts";
import { Buckets } from "../lib/overlay/buckets.ts";
import { K } from "../lib/overlay/distance.ts";
import { PROVIDERS_TOLD_MAX } from "../lib/wire/overlay.ts";
import type { Contact } from "./population.ts";

/** What GET /chunk/<hash> of a node that does not have the chunk says. */
export interface Referral {
  holders: readonly Contact[];
  closer: readonly Contact[];
}

export class SimNode {
  readonly contact: Contact;
  readonly table: Buckets<Contact>;
  /** It has joined: others can begin with it. */
  isReady = false;
  /** Who says that it keeps what; made when there is the first. */
  #records: Map<Hash, Contact[]> | null = null;

  constructor(contact: Contact) {
    this.contact = contact;
    this.table = new Buckets(contact.id);
  }

  keepRecord(hash: Hash, holder: Contact): void {
    this.#records ??= new Map();
    const holders = this.#records.get(hash) ?? [];
    if (!holders.includes(holder)) holders.unshift(holder);
    this.#records.set(hash, holders.slice(0, PROVIDERS_TOLD_MAX));
  }

  holdersOf(hash: Hash): readonly Contact[] {
    return this.#records?.get(hash) ?? [];
  }

  refer(hash: Hash): Referral {
    return { holders: this.holdersOf(hash), closer: this.table.closest(hash, K) };
  }
}
