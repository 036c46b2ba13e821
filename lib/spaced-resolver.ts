// A server's resolver of domain keys: asks DNS afresh for a domain only so often, so that strangers' refused requests
// do not turn the server into a hammer on somebody's DNS.

import type { DomainKeyResolver } from "./domain-keys.ts";
import { ExpiringCache } from "./expiring-cache.ts";

/** A domain's keys are asked for afresh at most this often; between, the last answer stands. */
export const FRESH_INTERVAL_MS = 2_000;
const REMEMBERED_DOMAINS_MAX = 1_000;

/** Domains and authors that were asked for afresh lately. */
export type FreshQuestions = ExpiringCache<true>;

export function createFreshQuestions(): FreshQuestions {
  return new ExpiringCache(REMEMBERED_DOMAINS_MAX);
}

export function createSpacedResolver(
  resolver: DomainKeyResolver,
  now: () => number,
  asked: FreshQuestions = createFreshQuestions(),
): DomainKeyResolver {
  const mayAsk = (subject: string): boolean => {
    if (asked.get(subject, now()) !== null) return false;
    asked.set(subject, true, now() + FRESH_INTERVAL_MS);
    return true;
  };
  return {
    resolve: async (domain, { fresh = false, ...how } = {}) =>
      resolver.resolve(domain, { ...how, fresh: fresh && mayAsk(domain) }),
    resolveAuthor: async (email, { fresh = false, ...how } = {}) =>
      resolver.resolveAuthor(email, { ...how, fresh: fresh && mayAsk(email) }),
  };
}
