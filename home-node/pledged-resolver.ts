// Domain keys as a volunteer's node asks for them: only for domains in its pledge.

import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { acceptsDomain, type Pledge } from "../lib/pledge.ts";
import { createSpacedResolver } from "../lib/spaced-resolver.ts";
import type { Clock } from "./clock.ts";

/** Throws `domain-not-accepted` for domains outside the pledge, and what `resolver` throws. */
export function createPledgedResolver(
  resolver: DomainKeyResolver,
  pledge: Pick<Pledge, "domains">,
  clock: Pick<Clock, "now">,
): DomainKeyResolver {
  const spaced = createSpacedResolver(resolver, () => clock.now());
  return {
    resolve: async (domain, options) => {
      if (!acceptsDomain(pledge, domain)) {
        throw new HoldfastError("domain-not-accepted", `this home node's pledge does not include ${domain}`);
      }
      return spaced.resolve(domain, options);
    },
    // Asked only about authors whom a domain in the pledge admits.
    resolveAuthor: (email, options) => spaced.resolveAuthor(email, options),
  };
}
