// Which network a node's URL leads into, by the address that its host name has now: what limits on strangers count by.

import { HoldfastError } from "../../lib/error.ts";
import type { NodeId } from "../../lib/hash.ts";
import { isLoopbackHost } from "../../lib/node-url.ts";
import { failureDomainOf } from "../../lib/overlay/failure-domain.ts";

/** The first address of a host name. Rejects where it has none. */
export type ResolveHost = (hostname: string) => Promise<string>;

/** Of nodes on this machine each counts by itself. Throws `unreachable` where the host has no address. */
export async function networkOf(id: NodeId, url: string, resolve: ResolveHost): Promise<string> {
  const { hostname } = new URL(url);
  if (isLoopbackHost(hostname)) return failureDomainOf("node", id, hostname);
  try {
    return failureDomainOf("network", id, await resolve(hostname));
  } catch (cause) {
    throw new HoldfastError("unreachable", `${hostname} has no address`, { cause });
  }
}

/** Counts in windows of fixed length, by network. */
export class NetworkRate {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #counts = new Map<string, number>();
  #startedMs = 0;

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  /** False where the network has had its share of this window. */
  take(network: string, nowMs: number): boolean {
    if (nowMs >= this.#startedMs + this.#windowMs) {
      this.#counts.clear();
      this.#startedMs = nowMs;
    }
    const count = this.#counts.get(network) ?? 0;
    this.#counts.set(network, count + 1);
    return count < this.#max;
  }
}
