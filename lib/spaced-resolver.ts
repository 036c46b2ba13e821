// A server's resolver of domain keys: asks DNS afresh for a domain only so often, so that strangers' refused requests
// do not turn the server into a hammer on somebody's DNS.

import type { DomainKeyResolver } from "./domain-keys.ts";
import { ExpiringCache } from "./expiring-cache.ts";

/** A domain's keys are asked for afresh at most this often; between, the last answer stands. */
export const FRESH_INTERVAL_MS = 2_000;
const REMEMBERED_DOMAINS_MAX = 1_000;

/** Domains that were asked for afresh lately. */
export type FreshQuestions = ExpiringCache<true>;

export function createFreshQuestions(): FreshQuestions {
  return new ExpiringCache(REMEMBERED_DOMAINS_MAX);
}

export function createSpacedResolver(
  resolver: DomainKeyResolver,
  now: () => number,
  asked: FreshQuestions = createFreshQuestions(),
): DomainKeyResolver {
  return {
    resolve: async (domain, { fresh = false } = {}) => {
      const mayAsk = fresh && asked.get(domain, now()) === null;
      if (mayAsk) asked.set(domain, true, now() + FRESH_INTERVAL_MS);
      return resolver.resolve(domain, { fresh: mayAsk });
    },
  };
}
