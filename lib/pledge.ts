// What a volunteer offers: bytes, bandwidth, and for which domains. Opt-in: a list, or all.

import * as v from "valibot";
import type { Domain } from "./names.ts";
import { countSchema, domainSchema, positiveSchema } from "./schema.ts";

export const PLEDGED_DOMAINS_MAX = 256;

export const pledgeSchema = v.strictObject({
  /** Bytes of chunks the volunteer is willing to keep. */
  bytes: countSchema,
  /** Bytes a second, each way; null is unlimited. */
  uploadRate: v.nullable(positiveSchema),
  downloadRate: v.nullable(positiveSchema),
  /** "all", or the domains that the volunteer chose. */
  domains: v.union([v.literal("all"), v.pipe(v.array(domainSchema), v.maxLength(PLEDGED_DOMAINS_MAX))]),
});

export type Pledge = v.InferOutput<typeof pledgeSchema>;

export function acceptsDomain(pledge: Pick<Pledge, "domains">, domain: Domain): boolean {
  return pledge.domains === "all" || pledge.domains.includes(domain);
}
