// How a node comes to know others, and believes nobody: whoever enters the table was asked at its own URL, and answered
// as the node that it is said to be. What strangers can make this node do is bounded here: so many dials at once, so many
// that wait, so many a minute into one network; and an answer is remembered for a while, a failure too.

import pLimit from "p-limit";
import type { Logger } from "pino";
import { verifyContactCard } from "../../lib/contact-card.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { ExpiringCache } from "../../lib/expiring-cache.ts";
import type { NodeId } from "../../lib/hash.ts";
import type { SignedStatement } from "../../lib/statement.ts";
import type { Contact } from "../../lib/wire/nodes.ts";
import type { Clock } from "../clock.ts";
import { NetworkRate, networkOf, type ResolveHost } from "./networks.ts";
import type { OwnCard } from "./own-card.ts";
import type { PeerRequests } from "./peer-requests.ts";
import { type Reachable, reachableBy } from "./reachable.ts";
import type { RoutingTable } from "./routing-table.ts";

/** Strangers that are dialled at once. */
export const DIALS_AT_ONCE_MAX = 8;
/** Those that wait for it; whoever comes then is told to come again. */
export const DIALS_WAITING_MAX = 256;
/** Dials into one network in a minute: what strangers can have this node send to somebody else's. */
export const DIALS_PER_NETWORK_MAX = 20;
const DIALS_WINDOW_MS = 60_000;
/** Found at its URL, a node is believed to be there for so long; not found, it is not tried again for so long. */
export const REACHED_MS = 3600 * 1000;
export const UNREACHED_MS = 60_000;
const REMEMBERED_MAX = 4096;

export interface AcquaintancesDeps {
  self: NodeId;
  card: OwnCard;
  contacts: RoutingTable;
  peers: PeerRequests;
  clock: Clock;
  log: Logger;
  resolveHost: ResolveHost;
}

/** Asks a node, and rejects where it is not the one that it should be. */
type Dial = (contact: Reachable) => Promise<void>;

export class Acquaintances {
  readonly #deps: AcquaintancesDeps;
  readonly #limit = pLimit(DIALS_AT_ONCE_MAX);
  readonly #rate = new NetworkRate(DIALS_PER_NETWORK_MAX, DIALS_WINDOW_MS);
  /** By id and URL: the network in which the node was found, or null where it was not. */
  readonly #found = new ExpiringCache<{ network: string | null }>(REMEMBERED_MAX);
  readonly #dialling = new Map<string, Promise<string | null>>();

  constructor(deps: AcquaintancesDeps) {
    this.#deps = deps;
  }

  /**
   * Whose card it is. A node that says where it is reached is asked there in the background, and then known. Throws what
   * verifyContactCard throws.
   */
  async greet(card: SignedStatement): Promise<Contact> {
    const contact = await verifyContactCard(card, this.#deps.clock.now());
    const reachable = reachableBy(this.#deps.card.standpoint, contact);
    if (reachable !== null) this.#inBackground(() => this.#find(reachable, (one) => this.#dialBack(one)));
    return contact;
  }

  /** In which network the node answers at its URL; null: it does not. Throws `rate-limited`. */
  whereabouts(contact: Reachable): Promise<string | null> {
    return this.#find(contact, (one) => this.#dialBack(one));
  }

  /** The network of a host that is not asked anything. Rejects where it has no address. */
  networkOf(id: NodeId, url: string): Promise<string> {
    return networkOf(id, url, this.#deps.resolveHost);
  }

  /** Exchanges cards with a node that somebody told of. False where it is not there, or this is not the time. */
  async meet(contact: Reachable): Promise<boolean> {
    if (this.#deps.contacts.has(contact)) return true;
    return this.#isFound(() => this.#find(contact, (one) => this.#exchange(one)));
  }

  /** As meet, also where the node is known already: so that it knows this one. */
  visit(contact: Reachable): Promise<boolean> {
    return this.#isFound(() => this.#dial(contact, (one) => this.#exchange(one)));
  }

  /** Exchanges cards with whoever is at a URL that the volunteer gave. Throws where there is no home node. */
  async join(url: string): Promise<void> {
    const { peers, contacts } = this.#deps;
    const contact = await peers.exchange(new URL(url).origin);
    contacts.add(contact, await this.networkOf(contact.id, contact.url));
  }

  /** Nodes that whoever answers at `teller` told of: each is met in the background. */
  learn(told: readonly Contact[], teller: string): void {
    for (const contact of told) {
      const reachable = reachableBy(teller, contact);
      if (reachable !== null) this.#inBackground(() => this.meet(reachable));
    }
  }

  async #isFound(search: () => Promise<string | null>): Promise<boolean> {
    try {
      return (await search()) !== null;
    } catch (error) {
      if (!isHoldfastError(error, "rate-limited")) throw error;
      return false;
    }
  }

  #inBackground(work: () => Promise<unknown>): void {
    work().catch((error: unknown) => {
      if (!isHoldfastError(error)) this.#deps.log.error({ err: error }, "getting to know a node failed");
    });
  }

  /** The network in which the node was found. One that is being dialled is not dialled twice. */
  async #find(contact: Reachable, dial: Dial): Promise<string | null> {
    const { self, clock } = this.#deps;
    if (contact.id === self) return null;
    const key = `${contact.id} ${contact.url}`;
    const known = this.#found.get(key, clock.now());
    if (known !== null) return known.network;
    const running = this.#dialling.get(key) ?? this.#dial(contact, dial);
    this.#dialling.set(key, running);
    try {
      const network = await running;
      this.#found.set(key, { network }, clock.now() + (network === null ? UNREACHED_MS : REACHED_MS));
      return network;
    } finally {
      this.#dialling.delete(key);
    }
  }

  async #dial(contact: Reachable, dial: Dial): Promise<string | null> {
    if (this.#limit.pendingCount >= DIALS_WAITING_MAX) throw busy();
    return this.#limit(async () => {
      const { contacts, clock, log } = this.#deps;
      try {
        const network = await this.networkOf(contact.id, contact.url);
        if (!this.#rate.take(network, clock.now())) throw busy();
        await dial(contact);
        contacts.add(contact, network);
        contacts.answered(contact);
        return network;
      } catch (error) {
        if (isHoldfastError(error, "rate-limited")) throw error;
        contacts.failed(contact);
        log.debug(
          { err: error, node: contact.id, url: contact.url },
          "a node is not where it was said to be",
        );
        return null;
      }
    });
  }

  async #dialBack({ id, url }: Reachable): Promise<void> {
    if ((await this.#deps.peers.status(url)).id !== id) throw somebodyElse(url);
  }

  async #exchange({ id, url }: Reachable): Promise<void> {
    if ((await this.#deps.peers.exchange(url)).id !== id) throw somebodyElse(url);
  }
}

function busy(): HoldfastError {
  return new HoldfastError("rate-limited", "the home node gets to know too many others: try again shortly");
}

function somebodyElse(url: string): HoldfastError {
  return new HoldfastError("contact-invalid", `another node answers at ${url}`);
}
