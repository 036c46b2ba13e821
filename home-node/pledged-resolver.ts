// Domain keys as a volunteer's node asks for them: only for domains in its pledge, and for each only so often,
// so that strangers' refused uploads do not turn the node into a hammer on somebody's DNS.

import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { ExpiringCache } from "../lib/expiring-cache.ts";
import { acceptsDomain, type Pledge } from "../lib/pledge.ts";
import type { Clock } from "./clock.ts";

/** A domain's keys are asked for afresh at most this often; between, the last answer stands. */
export const FRESH_INTERVAL_MS = 2_000;
const REMEMBERED_DOMAINS_MAX = 1_000;

/** Throws `domain-not-accepted` for domains outside the pledge, and what `resolver` throws. */
export function createPledgedResolver(
  resolver: DomainKeyResolver,
  pledge: Pick<Pledge, "domains">,
  clock: Pick<Clock, "now">,
): DomainKeyResolver {
  const asked = new ExpiringCache<true>(REMEMBERED_DOMAINS_MAX);
  return {
    resolve: async (domain, { fresh = false } = {}) => {
      if (!acceptsDomain(pledge, domain)) {
        throw new HoldfastError("domain-not-accepted", `this home node's pledge does not include ${domain}`);
      }
      const now = clock.now();
      const mayAsk = fresh && asked.get(domain, now) === null;
      if (mayAsk) asked.set(domain, true, now + FRESH_INTERVAL_MS);
      return resolver.resolve(domain, { fresh: mayAsk });
    },
  };
}
