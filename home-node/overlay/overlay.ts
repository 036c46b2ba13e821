// The node's part in the overlay: whom it knows, who says that it keeps what, and what it tells others that it keeps itself.
// Home nodes that are reached directly are its servers; one that is not looks up and announces, and nobody has it in a table.

import { lookup as lookupHost } from "node:dns/promises";
import type { Logger } from "pino";
import { HoldfastError } from "../../lib/error.ts";
import type { Fetch } from "../../lib/fetch.ts";
import type { Hash } from "../../lib/hash.ts";
import { isLoopbackHost } from "../../lib/node-url.ts";
import { type ProvidedWord, verifyProvided } from "../../lib/provided.ts";
import type { SignedStatement } from "../../lib/statement.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import { Acquaintances } from "./acquaintances.ts";
import { Announcer } from "./announcer.ts";
import { ContactFile } from "./contact-file.ts";
import { Finder } from "./finder.ts";
import type { ResolveHost } from "./networks.ts";
import { OwnCard } from "./own-card.ts";
import { PeerRequests } from "./peer-requests.ts";
import { ProviderRecords } from "./provider-records.ts";
import { ELSEWHERE, reachableBy } from "./reachable.ts";
import { RecordFile } from "./record-file.ts";
import { Regions } from "./regions.ts";
import { RoutingTable } from "./routing-table.ts";
import { Upkeep } from "./upkeep.ts";
import { WriteLater } from "./write-later.ts";

/** What a crash loses at most: contacts that others tell of again, records that are announced again. */
export const CONTACTS_WRITE_MS = 60_000;
export const RECORDS_WRITE_MS = 5 * 60_000;
/** Nodes that knew half as many when they last announced everything announce it again. */
const GROWTH = 2;

export interface OverlayDeps {
  dir: string;
  identity: Identity;
  clock: Clock;
  random: () => number;
  log: Logger;
  strangerFetch: Fetch;
  /** Left out: the system's resolver. */
  resolveHost?: ResolveHost | undefined;
  /** Where others reach this node; null: nowhere of its own. */
  url: () => string | null;
  /** Nodes under whose /via/<id> it is reached. */
  relays: () => readonly string[];
  /** URLs of nodes by which to join, and of the edges. */
  join: readonly string[];
  edges: readonly string[];
  everything: () => AsyncIterable<Hash>;
  /** The contacts are others than before. */
  onContacts: () => void;
}

export interface OverlayReport {
  contacts: number;
  announced: { hashes: number; at: string | null };
  /** What others announced here. */
  records: { records: number; nodes: number };
}

export class Overlay {
  /** Other nodes, each found at its URL. */
  readonly contacts: RoutingTable;
  /** What others keep. */
  readonly records: ProviderRecords;
  readonly #deps: OverlayDeps;
  readonly #stopping = new AbortController();
  readonly #card: OwnCard;
  readonly #peers: PeerRequests;
  readonly #acquaintances: Acquaintances;
  readonly #announcer: Announcer;
  readonly #upkeep: Upkeep;
  readonly #contactFile: ContactFile;
  readonly #contactsOnDisk: WriteLater;
  readonly #recordFile: RecordFile;
  readonly #recordsOnDisk: WriteLater;
  /** Contacts when everything was last to be announced. */
  #sizeAnnounced = 0;

  constructor(deps: OverlayDeps) {
    this.#deps = deps;
    const self = deps.identity.id;
    const { signal } = this.#stopping;
    this.#card = new OwnCard(deps);
    this.#peers = new PeerRequests({ ...deps, card: this.#card, signal });
    this.contacts = new RoutingTable({
      self,
      ping: (contact) => this.#isThere(contact),
      onChange: () => this.#contactsChanged(),
    });
    this.records = new ProviderRecords(deps);
    const parts = { ...deps, self, signal, card: this.#card, contacts: this.contacts, peers: this.#peers };
    this.#acquaintances = new Acquaintances({ ...parts, resolveHost: deps.resolveHost ?? resolveBySystem });
    const finder = new Finder(parts);
    const regions = new Regions({
      clock: deps.clock,
      find: async (hash) => (await finder.find(hash)).closest,
      isGenuine: (node) => this.#acquaintances.meet(node),
    });
    this.#announcer = new Announcer({ ...parts, regions, isReached: () => this.#card.isReached });
    const onRound = () => this.#tidy();
    this.#upkeep = new Upkeep({ ...parts, acquaintances: this.#acquaintances, finder, onRound });
    this.#contactFile = new ContactFile(deps);
    this.#recordFile = new RecordFile(deps);
    this.#contactsOnDisk = new WriteLater({
      ...deps,
      what: "contacts",
      delayMs: CONTACTS_WRITE_MS,
      write: () => this.#contactFile.save(this.contacts.entries()),
    });
    this.#recordsOnDisk = new WriteLater({
      ...deps,
      what: "provider records",
      delayMs: RECORDS_WRITE_MS,
      write: () => this.#recordFile.save(this.records.snapshot()),
    });
  }

  /** Goes on from what is on disk. To be called once the node listens: others will ask it back. */
  async start(): Promise<void> {
    const local = [...this.#deps.join, ...this.#deps.edges, this.#card.url ?? ELSEWHERE].find(isLocal);
    for (const { contact, network } of await this.#contactFile.load()) {
      const reachable = reachableBy(local ?? ELSEWHERE, contact);
      if (reachable !== null) this.contacts.add(reachable, network);
    }
    const records = await this.#recordFile.load();
    if (records !== null) this.records.restore(records);
    this.#upkeep.start();
    this.#announcer.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new HoldfastError("unreachable", "the home node stops"));
    await Promise.all([this.#upkeep.stop(), this.#announcer.stop()]);
    await this.#contactsOnDisk.stop();
    await this.#recordsOnDisk.stop();
  }

  get report(): OverlayReport {
    return {
      contacts: this.contacts.size,
      announced: this.#announcer.report,
      records: this.records.totals,
    };
  }

  /** The node's own card as it is now. */
  card(): Promise<SignedStatement> {
    return this.#card.current();
  }

  /** The node as a contact. */
  self(): Contact {
    const { id, key } = this.#deps.identity;
    const relays = [...this.#deps.relays()];
    return { id, key, url: this.#card.url, ...(relays.length === 0 ? {} : { relays }) };
  }

  /** The node is reached by other relays than before: the card is signed again, and everything announced with it. */
  relaysChanged(): void {
    this.#announcer.renew();
  }

  /** Something is kept from now on. */
  kept(hash: Hash): void {
    this.#announcer.add(hash);
  }

  /** Nodes that whoever answers at `teller` told of. */
  learn(contacts: readonly Contact[], teller: string): void {
    this.#acquaintances.learn(contacts, teller);
  }

  /** A card that came, of whomever; returns the node's own. Throws what verifyContactCard throws. */
  async exchange(card: SignedStatement): Promise<SignedStatement> {
    await this.#acquaintances.greet(card);
    return this.#card.current();
  }

  /**
   * Keeps in mind what a node says that it keeps; returns of how many hashes. Throws what verifyProvided throws,
   * `contact-invalid` where nobody could reach the node by its card, and `rate-limited`.
   */
  async note(word: ProvidedWord): Promise<number> {
    const { identity, clock } = this.#deps;
    const { contact, timeMs } = await verifyProvided(word, identity.id, clock.now());
    const network = await this.#whereabouts(contact);
    const kept = this.records.keep({ contact, network, timeMs }, word.hashes);
    this.#recordsOnDisk.changed();
    return kept;
  }

  /** In which network a node is, or its first relay, that says that it keeps something. */
  async #whereabouts(contact: Contact): Promise<string> {
    const { standpoint } = this.#card;
    if (contact.url !== null) {
      const reachable = reachableBy(standpoint, contact);
      const network = reachable === null ? null : await this.#acquaintances.whereabouts(reachable);
      if (network !== null) return network;
      throw new HoldfastError("contact-invalid", `the node does not answer at ${contact.url}`);
    }
    const [relay] = contact.relays ?? [];
    const via = relay === undefined ? null : reachableBy(standpoint, { ...contact, url: relay });
    if (via !== null) return this.#acquaintances.networkOf(contact.id, via.url);
    throw new HoldfastError("contact-invalid", "the card names neither a URL nor relays that may be asked");
  }

  async #isThere({ id, url }: { id: Hash; url: string }): Promise<boolean> {
    try {
      return (await this.#peers.status(url)).id === id;
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      return false;
    }
  }

  #contactsChanged(): void {
    this.#contactsOnDisk.changed();
    this.#deps.onContacts();
    if (this.contacts.size > 0) this.#upkeep.wake();
  }

  /** After each look around: what came for the first time, or to many more nodes than before, is to be announced to them. */
  #tidy(): void {
    this.records.expire();
    if (this.contacts.size < GROWTH * this.#sizeAnnounced || this.contacts.size === 0) return;
    this.#sizeAnnounced = this.contacts.size;
    this.#announcer.renew();
  }
}

async function resolveBySystem(hostname: string): Promise<string> {
  return (await lookupHost(hostname)).address;
}

function isLocal(url: string): boolean {
  return isLoopbackHost(new URL(url).hostname);
}
