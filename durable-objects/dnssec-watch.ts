// Domain keys as the edge believes them: a domain that was seen with DNSSEC does not silently come without. The memory is
// in the shard of the DNS name's hash; it is asked where an isolate sees a name's state first, or sees it change.

import {
  authorRecordName,
  type DnsEvidence,
  type DomainKeyResolver,
  keyRecordName,
} from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { ExpiringCache } from "../lib/expiring-cache.ts";
import type { IndexClient } from "./index-client.ts";

/** An isolate asks the shard again after this: another one may have seen DNSSEC meanwhile. */
export const DNSSEC_RECHECK_MS = 5 * 60 * 1000;
const REMEMBERED_NAMES_MAX = 1_000;
const DAY_MS = 24 * 3600 * 1000;

/** What the shard last said about a name, in one isolate. */
export type DnssecStates = ExpiringCache<{ isValidated: boolean; isLost: boolean }>;

export function createDnssecStates(): DnssecStates {
  return new ExpiringCache(REMEMBERED_NAMES_MAX);
}

export interface DnssecWatchOptions {
  resolver: DomainKeyResolver;
  index: Pick<IndexClient, "noteDnssec" | "settings">;
  states: DnssecStates;
  now(): number;
}

/** Writes are refused with `dnssec-lost`; readers are told among the problems. */
export function createDnssecWatch(options: DnssecWatchOptions): DomainKeyResolver {
  return {
    async resolve(domain, how) {
      const keys = await options.resolver.resolve(domain, how);
      const problem = await problemOf(keyRecordName(domain), keys.evidence, options);
      if (problem !== null && how?.for !== "read") throw problem;
      return problem === null ? keys : { ...keys, problems: [...keys.problems, problem.message] };
    },
    async resolveAuthor(email, how) {
      const keys = await options.resolver.resolveAuthor(email, how);
      const problem = await problemOf(authorRecordName(email), keys.evidence, options);
      if (problem !== null && how?.for !== "read") throw problem;
      return problem === null ? keys : { ...keys, problems: [...keys.problems, problem.message] };
    },
  };
}

async function problemOf(
  name: string,
  evidence: DnsEvidence,
  { index, states, now }: DnssecWatchOptions,
): Promise<HoldfastError | null> {
  const { dohUrls, dnssecMemoryMs } = index.settings;
  // One resolver's word, where the others fail, is none about DNSSEC: it may be the one that does not validate.
  if (evidence.stale || (evidence.agreement === 1 && dohUrls.length > 1)) return null;
  const isValidated = evidence.ad;
  const known = states.get(name, now());
  const isLost =
    known?.isValidated === isValidated ? known.isLost : await index.noteDnssec({ name, isValidated });
  if (known?.isValidated !== isValidated)
    states.set(name, { isValidated, isLost }, now() + DNSSEC_RECHECK_MS);
  return isLost ? lost(name, Math.ceil(dnssecMemoryMs / DAY_MS)) : null;
}

function lost(name: string, days: number): HoldfastError {
  return new HoldfastError(
    "dnssec-lost",
    `${name} was seen with DNSSEC within the last ${days} days, and DNS shows it without now: nothing is accepted under it. ` +
      "Mend the zone's signatures; where DNSSEC was given up on purpose, " +
      `this edge goes on ${days} days after it last saw it, or at once when its operator sets DNSSEC_MEMORY_DAYS to 0`,
  );
}
