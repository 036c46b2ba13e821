// Who to ask for a chunk, and in what order. A holder that failed ranks behind every one that has not; among equals
// the least busy comes first, so that parallel reads spread over all holders.

import { HoldfastError } from "../error.ts";
import type { Hash, NodeId } from "../hash.ts";
import { parseNodeUrl } from "../node-url.ts";
import { compareDistance } from "../overlay/distance.ts";
import type { Contact } from "../wire.ts";
import type { Server } from "./server.ts";

export interface Holder {
  id: NodeId;
  /** Where its HTTP protocol answers, without a slash at its end. */
  url: string;
}

/**
 * Where to reach a node that `server` told of: at its own URL, else through the server's tunnel to it. Only a server
 * on plain http (so a local one) may send us to loopback: another could make us knock on doors inside.
 */
export function contactUrl(contact: Pick<Contact, "id" | "url">, server: Pick<Server, "url">): string {
  const tunnel = `${server.url}/via/${contact.id}`;
  if (contact.url === null) return tunnel;
  try {
    return parseNodeUrl(contact.url, server.url.startsWith("http:"));
  } catch (error) {
    if (error instanceof HoldfastError) return tunnel;
    throw error;
  }
}

/** The chunk `hash` at a node that `server` told of. */
export function chunkUrl(
  contact: Pick<Contact, "id" | "url">,
  server: Pick<Server, "url">,
  hash: Hash,
): string {
  return `${contactUrl(contact, server)}/chunk/${hash}`;
}

/** How holders have behaved towards this client. */
export class Standing {
  readonly #failures = new Map<string, number>();
  readonly #busy = new Map<string, number>();

  failed(url: string): void {
    this.#failures.set(url, (this.#failures.get(url) ?? 0) + 1);
  }

  /** Counts `holder` as busy while `work` runs. */
  async during<T>(url: string, work: () => Promise<T>): Promise<T> {
    this.#busy.set(url, (this.#busy.get(url) ?? 0) + 1);
    try {
      return await work();
    } finally {
      this.#busy.set(url, (this.#busy.get(url) ?? 1) - 1);
    }
  }

  /** The best of `holders` to ask for `chunk` next; null where there is none. */
  best(chunk: Hash, holders: readonly Holder[]): Holder | null {
    const ranked = holders.toSorted(
      (a, b) =>
        count(this.#failures, a) - count(this.#failures, b) ||
        count(this.#busy, a) - count(this.#busy, b) ||
        compareDistance(chunk, a.id, b.id),
    );
    return ranked[0] ?? null;
  }
}

function count(counts: Map<string, number>, holder: Holder): number {
  return counts.get(holder.url) ?? 0;
}
