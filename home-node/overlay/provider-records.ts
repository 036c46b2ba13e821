// What other nodes say that they keep: for each hash the nodes that announced it, for two days from their last word. Soft
// state, and a claim: a reader hashes what it gets. Whoever floods it fills its own share, and that of its network.

import { decodeHash, HASH_BYTES, type Hash, type NodeId } from "../../lib/hash.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import { PROVIDERS_TOLD_MAX } from "../../lib/wire/overlay.ts";
import type { Clock } from "../clock.ts";
import { type RecordColumns, RecordTable } from "./record-table.ts";

export const RECORD_LIFETIME_MS = 48 * 3600 * 1000;
/** Records in all, of one provider, and of all that are in one network. */
export const RECORDS_MAX = 1_000_000;
export const RECORDS_PER_PROVIDER_MAX = 250_000;
export const RECORDS_PER_NETWORK_MAX = 500_000;
export const PROVIDERS_MAX = 10_000;
/** Of one hash, the first that come; and of those, so many from one network. */
export const PROVIDERS_PER_HASH_MAX = PROVIDERS_TOLD_MAX;
export const PROVIDERS_PER_HASH_AND_NETWORK_MAX = 2;
const MINUTE_MS = 60_000;

/** A node that announced something, and where it was found. */
export interface Provider {
  contact: Contact;
  network: string;
  /** When it last said so. */
  timeMs: number;
}

/** All of it, as it lies on disk: the owner of a record is a place in the list of providers. */
export interface RecordSnapshot extends RecordColumns {
  providers: (Provider | null)[];
}

interface Entry extends Provider {
  records: number;
}

export interface RecordLimits {
  records: number;
  perProvider: number;
  perNetwork: number;
  providers: number;
}

const LIMITS: RecordLimits = {
  records: RECORDS_MAX,
  perProvider: RECORDS_PER_PROVIDER_MAX,
  perNetwork: RECORDS_PER_NETWORK_MAX,
  providers: PROVIDERS_MAX,
};

export class ProviderRecords {
  readonly #clock: Pick<Clock, "now">;
  readonly #limits: RecordLimits;
  readonly #table: RecordTable;
  readonly #providers: (Entry | null)[] = [];
  readonly #placeOf = new Map<NodeId, number>();
  readonly #perNetwork = new Map<string, number>();
  #expiredAtMs = 0;

  constructor(deps: { clock: Pick<Clock, "now">; random: () => number }, limits = LIMITS) {
    this.#clock = deps.clock;
    this.#limits = limits;
    this.#table = new RecordTable(limits.records, Math.floor(deps.random() * 2 ** 32));
  }

  get totals(): { records: number; nodes: number } {
    return { records: this.#table.size, nodes: this.#placeOf.size };
  }

  /**
   * Keeps what a node says, as far as there is room for it. Of `hashes`, bytes one after the other, returns how many are
   * kept for it now.
   */
  keep(provider: Provider, hashes: Uint8Array): number {
    if (this.#table.isFull) this.expire();
    const place = this.#placeFor(provider);
    if (place === null) return 0;
    const ends = this.#minute() + RECORD_LIFETIME_MS / MINUTE_MS;
    let kept = 0;
    for (let at = 0; at < hashes.length; at += HASH_BYTES)
      if (this.#keepOne(hashes.subarray(at, at + HASH_BYTES), place, ends)) kept += 1;
    return kept;
  }

  /** The nodes that announced this hash, those that are reached directly first. */
  holders(hash: Hash): Contact[] {
    const places = this.#table.ownersOf(decodeHash(hash), this.#minute());
    const contacts = places.flatMap((place) => this.#providers[place]?.contact ?? []);
    return contacts.sort((a, b) => Number(a.url === null) - Number(b.url === null));
  }

  /** Forgets what was not announced again, and nodes of which nothing is left. */
  expire(): void {
    const nowMs = this.#clock.now();
    // A full table that is told more and more does not look through itself each time.
    if (nowMs < this.#expiredAtMs + MINUTE_MS) return;
    this.#expiredAtMs = nowMs;
    this.#table.expire(this.#minute(), (place) => this.#count(place, -1));
    for (const [place, provider] of this.#providers.entries()) {
      if (provider === null || provider.records > 0) continue;
      this.#placeOf.delete(provider.contact.id);
      this.#providers[place] = null;
    }
  }

  snapshot(): RecordSnapshot {
    const providers = this.#providers.map((entry) => {
      if (entry === null) return null;
      const { contact, network, timeMs } = entry;
      return { contact, network, timeMs };
    });
    return { ...this.#table.columns(), providers };
  }

  /** Takes in a snapshot. Records of providers that it does not name are left out. */
  restore({ providers, hashes, owners, minutes }: RecordSnapshot): void {
    const places = providers.map((provider) => (provider === null ? null : this.#placeFor(provider)));
    for (const [i, ends] of minutes.entries()) {
      const place = places[owners[i] ?? providers.length] ?? null;
      const hash = hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES);
      if (place !== null) this.#keepOne(hash, place, ends);
    }
  }

  /** Where the provider is in the list; null where there is no room for one more. Its latest word on itself counts. */
  #placeFor(provider: Provider): number | null {
    const known = this.#placeOf.get(provider.contact.id);
    if (known !== undefined) {
      this.#update(known, provider);
      return known;
    }
    if (this.#placeOf.size >= this.#limits.providers) return null;
    const gap = this.#providers.indexOf(null);
    const place = gap === -1 ? this.#providers.length : gap;
    this.#providers[place] = { ...provider, records: 0 };
    this.#placeOf.set(provider.contact.id, place);
    return place;
  }

  #update(place: number, provider: Provider): void {
    const entry = this.#providers[place];
    if (entry === null || entry === undefined || entry.timeMs > provider.timeMs) return;
    const { records } = entry;
    this.#count(place, -records);
    this.#providers[place] = { ...provider, records: 0 };
    this.#count(place, records);
  }

  #keepOne(hash: Uint8Array, place: number, ends: number): boolean {
    if (this.#table.renew(hash, place, ends)) return true;
    if (this.#table.isFull || !this.#isRoomFor(hash, place)) return false;
    this.#table.add(hash, place, ends);
    this.#count(place, 1);
    return true;
  }

  #isRoomFor(hash: Uint8Array, place: number): boolean {
    const entry = this.#providers[place];
    if (entry === null || entry === undefined) return false;
    const { records, network } = entry;
    if (records >= this.#limits.perProvider) return false;
    if ((this.#perNetwork.get(network) ?? 0) >= this.#limits.perNetwork) return false;
    const others = this.#table.ownersOf(hash, this.#minute());
    const near = others.filter((other) => this.#providers[other]?.network === network);
    return others.length < PROVIDERS_PER_HASH_MAX && near.length < PROVIDERS_PER_HASH_AND_NETWORK_MAX;
  }

  #count(place: number, change: number): void {
    const entry = this.#providers[place];
    if (entry === null || entry === undefined) return;
    entry.records += change;
    const inNetwork = (this.#perNetwork.get(entry.network) ?? 0) + change;
    if (inNetwork === 0) this.#perNetwork.delete(entry.network);
    else this.#perNetwork.set(entry.network, inNetwork);
  }

  #minute(): number {
    return Math.floor(this.#clock.now() / MINUTE_MS);
  }
}
