// Who to ask for a chunk, by which way, and in what order. A node is reached at its own URL where that works, else by a
// server's relay. A holder that failed ranks behind every one that has not; among equals the least busy comes first, so
// that parallel reads spread over all holders.

import { type HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import { isLoopbackHost, judgeNodeUrl } from "../node-url.ts";
import { compareDistance } from "../overlay/distance.ts";
import type { Contact } from "../wire/nodes.ts";
import type { Server } from "./server.ts";

const MiB = 1024 * 1024;
/** A relayed read costs the edge as much as the holder: it is made when directly reached holders have so much more under way. */
const RELAY_HANDICAP_BYTES = 2 * MiB;

/**
 * Bytes under way by one route: three chunks of the normal size, and any number of small ones. More would share its
 * bandwidth and come later one and all, while what is needed first waits, and the whole window of a download with it.
 */
export const ROUTE_BYTES_MAX = 3 * MiB;
/** One that rests is asked after all that are awake, also those that have failed. */
const RESTING_RANK = 1_000_000;
/** Ways tried for one chunk, of those that servers know, and of each few that the overlay offers: bounds what false claims can cost. */
export const HOLDERS_TRIED_MAX = 16;
/** Of a Manifest, whose size nobody vouches for. */
const UNKNOWN_SIZE_BYTES = 64 * 1024;

/** A way to a node: where its HTTP protocol answers, without a slash at its end. */
export interface Route {
  url: string;
  isRelay: boolean;
  /** The node that answers there. */
  node: NodeId;
}

export interface Holder {
  id: NodeId;
  /** Its own URL first, where it has one. */
  routes: Route[];
  /** A server said that it does not serve at this hour. */
  isResting: boolean;
}

/** Whoever told of a node. */
export type Teller = Pick<Server, "url" | "isEdge">;

/**
 * The ways to a node that `teller` told of: its own URL, then relays. An edge relays for those of whom it lists no relays; a
 * home node for those at whom it lists itself.
 */
export function routesTo(contact: Pick<Contact, "id" | "url" | "relays">, teller: Teller): Route[] {
  const node = contact.id;
  const direct = directUrl(contact, teller);
  const own = teller.isEdge && contact.relays === undefined ? [teller.url] : [];
  const listed = (contact.relays ?? []).flatMap((relay) => originSentTo(relay, teller.url) ?? []);
  const isTeller = (origin: string) => origin === new URL(teller.url).origin;
  const relays = [...own, ...listed.filter(isTeller), ...listed.filter((origin) => !isTeller(origin))];
  return [
    ...(direct === null ? [] : [{ url: direct, isRelay: false, node }]),
    ...[...new Set(relays)].map((relay) => ({ url: `${relay}/via/${node}`, isRelay: true, node })),
  ];
}

/** Several servers tell of one node: its own URL once and first, then each server's relay. */
export function mergeRoutes(known: Route[], more: Route[]): Route[] {
  const byUrl = new Map([...known, ...more].map((route) => [route.url, route]));
  return [...byUrl.values()].sort((a, b) => Number(a.isRelay) - Number(b.isRelay));
}

/** The node's own URL, where it has one that `server` may send us to. */
export function directUrl(contact: Pick<Contact, "url">, server: Pick<Server, "url">): string | null {
  return contact.url === null ? null : originSentTo(contact.url, server.url);
}

/**
 * The origin of a node, where whoever answers at `teller` may send us there, else null. Only what runs on this machine
 * may send us to this machine: others could make us knock on doors inside.
 */
export function originSentTo(url: string, teller: string): string | null {
  const judged = judgeNodeUrl(url, isLoopbackHost(new URL(teller).hostname));
  return judged.ok ? judged.origin : null;
}

/** Which routes lead nowhere, as this client has found. */
export class Reach {
  readonly #unreachable = new Set<string>();

  /** Notes how a request by this route failed. */
  failed(url: string, error: HoldfastError): void {
    if (isHoldfastError(error, "unreachable", "timeout")) this.#unreachable.add(url);
  }

  /** The routes in the order in which to try them. */
  order(routes: readonly Route[]): Route[] {
    return routes.toSorted(
      (a, b) => Number(this.#unreachable.has(a.url)) - Number(this.#unreachable.has(b.url)),
    );
  }
}

/** A chunk's size; null where nobody vouches for it. */
interface Sized {
  sizeBytes: number | null;
}

/** How holders have behaved towards this client. */
export class Standing {
  readonly #reach = new Reach();
  readonly #failures = new Map<string, number>();
  /** Bytes under way. */
  readonly #busy = new Map<string, number>();
  #nextEnd = Promise.withResolvers<void>();

  failed(url: string, error: HoldfastError): void {
    this.#reach.failed(url, error);
    this.#failures.set(url, (this.#failures.get(url) ?? 0) + 1);
  }

  /** A request by this route has begun: one that `take` gave has already. */
  begin({ url }: Pick<Route, "url">, { sizeBytes }: Sized): void {
    this.#busy.set(url, this.#busyOf({ url }) + (sizeBytes ?? UNKNOWN_SIZE_BYTES));
  }

  end({ url }: Pick<Route, "url">, { sizeBytes }: Sized): void {
    this.#busy.set(url, this.#busyOf({ url }) - (sizeBytes ?? UNKNOWN_SIZE_BYTES));
    this.#nextEnd.resolve();
    this.#nextEnd = Promise.withResolvers();
  }

  /**
   * The best way to `chunk` that has not been tried, as soon as it is free; null where there is none. A request by it has
   * begun then: tell its end.
   */
  async take(
    chunk: Sized & { hash: Hash },
    holders: readonly Holder[],
    tried: ReadonlySet<string>,
  ): Promise<Route | null> {
    for (;;) {
      const ways = this.#waysTo(holders, tried);
      if (ways.length === 0) return null;
      const [best] = ways
        .filter(({ route }) => this.#hasRoomFor(route, chunk))
        .sort(
          (a, b) => this.#loadOf(a.route) - this.#loadOf(b.route) || compareDistance(chunk.hash, a.id, b.id),
        );
      if (best !== undefined) {
        this.begin(best.route, chunk);
        return best.route;
      }
      await this.#nextEnd.promise;
    }
  }

  /** One way to each holder, of those that are awake and have failed least: a busy good one is worth waiting for. */
  #waysTo(holders: readonly Holder[], tried: ReadonlySet<string>): { id: NodeId; route: Route }[] {
    const ways = holders.flatMap(({ id, routes, isResting }) => {
      const [route] = this.#reach.order(routes);
      if (route === undefined || tried.has(route.url)) return [];
      return [{ id, route, rank: this.#failuresOf(route) + (isResting ? RESTING_RANK : 0) }];
    });
    const best = Math.min(...ways.map(({ rank }) => rank));
    return ways.filter(({ rank }) => rank === best);
  }

  #failuresOf({ url }: Route): number {
    return this.#failures.get(url) ?? 0;
  }

  #hasRoomFor(route: Route, { sizeBytes }: Sized): boolean {
    const busy = this.#busyOf(route);
    return busy === 0 || busy + (sizeBytes ?? UNKNOWN_SIZE_BYTES) <= ROUTE_BYTES_MAX;
  }

  #busyOf({ url }: Pick<Route, "url">): number {
    return this.#busy.get(url) ?? 0;
  }

  #loadOf(route: Route): number {
    return this.#busyOf(route) + (route.isRelay ? RELAY_HANDICAP_BYTES : 0);
  }
}
