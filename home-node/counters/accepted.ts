// How many chunks, and bytes, the node has taken in for each domain. A chunk's file does not say whose it is, so this is
// what was newly stored under a domain's grants since counting began, not what is kept for it now.

import * as v from "valibot";
import type { Domain } from "../../lib/names.ts";
import { PLEDGED_DOMAINS_MAX } from "../../lib/pledge.ts";
import { countSchema, domainSchema } from "../../lib/schema.ts";

/** Domains counted one by one: as many as a pledge can name. */
export const DOMAINS_COUNTED_MAX = PLEDGED_DOMAINS_MAX;

const sumSchema = v.strictObject({ chunks: countSchema, bytes: countSchema });
export const acceptedSchema = v.strictObject({
  domains: v.pipe(
    v.array(v.strictObject({ domain: domainSchema, ...sumSchema.entries })),
    v.maxLength(DOMAINS_COUNTED_MAX),
  ),
  /** Of the domains that there was no place for. */
  others: sumSchema,
});

type Sum = v.InferOutput<typeof sumSchema>;
export type AcceptedRecord = v.InferOutput<typeof acceptedSchema>;

export class Accepted {
  readonly #domains: Map<Domain, Sum>;
  readonly #others: Sum;

  /** Goes on from `saved`, where there is something to go on from. */
  constructor(saved: AcceptedRecord | null) {
    const { domains, others } = structuredClone(saved) ?? { domains: [], others: { chunks: 0, bytes: 0 } };
    this.#domains = new Map(domains.map(({ domain, ...sum }) => [domain, sum]));
    this.#others = others;
  }

  add(domain: Domain, bytes: number): void {
    addTo(this.#sumOf(domain), { chunks: 1, bytes });
  }

  /** The domains with the most bytes first. */
  record(): AcceptedRecord {
    const domains = [...this.#domains].map(([domain, sum]) => ({ domain, ...sum }));
    domains.sort((a, b) => b.bytes - a.bytes);
    return { domains, others: { ...this.#others } };
  }

  #sumOf(domain: Domain): Sum {
    const known = this.#domains.get(domain);
    if (known !== undefined) return known;
    if (this.#domains.size >= DOMAINS_COUNTED_MAX) this.#mergeSmallest();
    const sum = { chunks: 0, bytes: 0 };
    this.#domains.set(domain, sum);
    return sum;
  }

  // The smallest makes place, so that a crowd of domains with a chunk each does not push out those with many.
  #mergeSmallest(): void {
    const [domain, sum] = [...this.#domains].reduce((least, entry) =>
      entry[1].bytes < least[1].bytes ? entry : least,
    );
    addTo(this.#others, sum);
    this.#domains.delete(domain);
  }
}

function addTo(sum: Sum, more: Sum): void {
  sum.chunks += more.chunks;
  sum.bytes += more.bytes;
}
