// What a domain may have kept on this edge: its distinct referenced bytes, by the ledger, against the operator's settings
// or against what volunteers pledge to it.
// What it is charged for already costs nothing more.

import { HoldfastError } from "../lib/error.ts";
import { type ChunkRef, DEFAULT_REPLICAS } from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";
import { PLEDGED, type Quota } from "./env.ts";
import type { IndexClient } from "./index-client.ts";
import type { DomainPledges } from "./pledges-table.ts";

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
    const quotaBytes = await quotaBytesOf(index, domain);
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

/** What the settings say. */
export function quotaOf({ settings }: IndexClient, domain: Domain): Quota | null {
  return settings.domainQuotas.get(domain) ?? settings.quotaBytes;
}

/** In bytes; asks what is pledged only where it matters. */
async function quotaBytesOf(index: IndexClient, domain: Domain): Promise<number | null> {
  const quota = quotaOf(index, domain);
  return quota === PLEDGED ? quotaIn(index, domain, await index.pledges(domain)) : quota;
}

/** In bytes. What is pledged has to keep each of them as often as a publisher asks for by default. */
export function quotaIn(
  index: IndexClient,
  domain: Domain,
  { pledgedBytes }: Pick<DomainPledges, "pledgedBytes">,
): number | null {
  const quota = quotaOf(index, domain);
  return quota === PLEDGED ? Math.floor(pledgedBytes / DEFAULT_REPLICAS) : quota;
}
