// Domain keys as this edge believes them, for the worker and for objects that verify by themselves: DNS over HTTPS, kept for
// as long as an isolate lives, asked afresh only so often, and watched for DNSSEC that goes away.

import { createDomainKeyCache, createDomainKeyResolver, type DomainKeyResolver } from "../lib/domain-keys.ts";
import type { Fetch } from "../lib/fetch.ts";
import { createFreshQuestions, createSpacedResolver } from "../lib/spaced-resolver.ts";
import { createDnssecStates, createDnssecWatch } from "./dnssec-watch.ts";
import type { IndexClient } from "./index-client.ts";

const domainKeyCache = createDomainKeyCache();
const freshQuestions = createFreshQuestions();
const dnssecStates = createDnssecStates();

/** A resolver that asks DNS by a given fetch. */
export type ResolverMaker = (fetch: Fetch) => DomainKeyResolver;

/** One request's own, over the isolate's cache: no request must wait for another's I/O. `ask` says by which fetch it asks. */
export function edgeResolver(
  index: IndexClient,
  ask: (make: ResolverMaker) => DomainKeyResolver,
): DomainKeyResolver {
  const now = () => Date.now();
  const { dohUrls } = index.settings;
  const dns = ask((fetch) => createDomainKeyResolver({ fetch, dohUrls, now, cache: domainKeyCache }));
  const resolver = createSpacedResolver(dns, now, freshQuestions);
  return createDnssecWatch({ resolver, index, states: dnssecStates, now });
}
