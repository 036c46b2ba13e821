// Who to ask for a chunk, by which way, and in what order. A node is reached at its own URL where that works, else by a
// server's relay. A holder that failed ranks behind every one that has not; among equals the least busy comes first, so
// that parallel reads spread over all holders.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import { parseNodeUrl } from "../node-url.ts";
import { compareDistance } from "../overlay/distance.ts";
import type { Contact } from "../wire.ts";
import type { Server } from "./server.ts";

/** A relayed read costs the edge as much as the holder: it is made when directly reached holders have this many more under way. */
const RELAY_HANDICAP = 2;

/** A way to a node: where its HTTP protocol answers, without a slash at its end. */
export interface Route {
  url: string;
  isRelay: boolean;
}

export interface Holder {
  id: NodeId;
  /** Its own URL first, where it has one. */
  routes: Route[];
}

/**
 * The ways to a node that `server` told of. Only a server on plain http (so a local one) may send us to loopback:
 * another could make us knock on doors inside.
 */
export function routesTo(contact: Pick<Contact, "id" | "url">, server: Pick<Server, "url">): Route[] {
  const direct = directUrl(contact, server);
  const relay = { url: `${server.url}/via/${contact.id}`, isRelay: true };
  return direct === null ? [relay] : [{ url: direct, isRelay: false }, relay];
}

/** The node's own URL, where it has one that `server` may send us to. */
export function directUrl(contact: Pick<Contact, "url">, server: Pick<Server, "url">): string | null {
  if (contact.url === null) return null;
  try {
    return parseNodeUrl(contact.url, server.url.startsWith("http:"));
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
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

/** How holders have behaved towards this client. */
export class Standing {
  readonly #reach = new Reach();
  readonly #failures = new Map<string, number>();
  readonly #busy = new Map<string, number>();

  failed(url: string, error: HoldfastError): void {
    this.#reach.failed(url, error);
    this.#failures.set(url, (this.#failures.get(url) ?? 0) + 1);
  }

  /** Counts the route as busy while `work` runs. */
  async during<T>(url: string, work: () => Promise<T>): Promise<T> {
    this.#busy.set(url, (this.#busy.get(url) ?? 0) + 1);
    try {
      return await work();
    } finally {
      this.#busy.set(url, (this.#busy.get(url) ?? 1) - 1);
    }
  }

  /** The best way to `chunk` that has not been tried; null where there is none. */
  best(chunk: Hash, holders: readonly Holder[], tried: ReadonlySet<string>): Route | null {
    const ways = holders.flatMap(({ id, routes }) => {
      const [route] = this.#reach.order(routes);
      return route === undefined || tried.has(route.url) ? [] : [{ id, route }];
    });
    const [best] = ways.sort(
      (a, b) =>
        this.#failuresOf(a.route) - this.#failuresOf(b.route) ||
        this.#loadOf(a.route) - this.#loadOf(b.route) ||
        compareDistance(chunk, a.id, b.id),
    );
    return best?.route ?? null;
  }

  #failuresOf({ url }: Route): number {
    return this.#failures.get(url) ?? 0;
  }

  #loadOf({ url, isRelay }: Route): number {
    return (this.#busy.get(url) ?? 0) + (isRelay ? RELAY_HANDICAP : 0);
  }
}
