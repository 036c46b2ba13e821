// What a domain may have kept on this edge: its distinct referenced bytes, by the ledger, against the operator's settings.
// What it is charged for already costs nothing more.

import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError } from "../lib/error.ts";
import type { ChunkRef } from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";

/** Room that one request finds, and uses up: what it adds is not in the ledger yet. */
export class QuotaRoom {
  readonly #domain: Domain;
  readonly #quotaBytes: number;
  #usedBytes: number;

  private constructor(domain: Domain, quotaBytes: number, usedBytes: number) {
    this.#domain = domain;
    this.#quotaBytes = quotaBytes;
    this.#usedBytes = usedBytes;
  }

  /** Null where the domain has no quota: nothing is asked then. */
  static async of(index: IndexClient, domain: Domain): Promise<QuotaRoom | null> {
    const quotaBytes = quotaOf(index, domain);
    if (quotaBytes === null) return null;
    return new QuotaRoom(domain, quotaBytes, (await index.usage(domain)).bytes);
  }

  /** Takes room for chunks that the domain is not charged for. Throws `quota-exceeded`, and takes nothing then. */
  take(uncharged: Iterable<ChunkRef>): void {
    const sizes = new Map([...uncharged].map(({ hash, size }) => [hash, size]));
    const addedBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    if (addedBytes > 0 && this.#usedBytes + addedBytes > this.#quotaBytes) {
      throw new HoldfastError(
        "quota-exceeded",
        `${this.#domain} may keep ${this.#quotaBytes} bytes on this edge; it has ${this.#usedBytes}, and this adds ${addedBytes}`,
      );
    }
    this.#usedBytes += addedBytes;
  }
}

export function quotaOf({ settings }: IndexClient, domain: Domain): number | null {
  return settings.domainQuotas.get(domain) ?? settings.quotaBytes;
}
