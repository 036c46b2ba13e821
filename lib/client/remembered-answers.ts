// The last good answer of DNS about each domain, kept by the host between runs: a reader goes on with it where DNS fails,
// for as long as one process would with the answer in its cache. A writer never does.

import * as v from "valibot";
import { ANSWER_RECORDS_MAX } from "../dns.ts";
import {
  type DnsEvidence,
  type DomainKeyResolver,
  type DomainKeyUse,
  keysOfEarlierAnswer,
} from "../domain-keys.ts";
import { RECORD_LENGTH_MAX } from "../domain-records.ts";
import { isHoldfastError } from "../error.ts";
import type { Domain } from "../names.ts";
import { countSchema, parseWith, timeSchema } from "../schema.ts";

const RESOLVERS_MAX = 16;
const URL_LENGTH_MAX = 2048;

export interface DomainAnswers {
  /** Null where there is none. */
  find(domain: Domain): Promise<DnsEvidence | null>;
  keep(domain: Domain, answer: DnsEvidence): Promise<void>;
}

export interface RememberingOptions {
  resolver: DomainKeyResolver;
  answers: DomainAnswers;
  /** What is asked for where the asker does not say. */
  use: DomainKeyUse;
  /** So many resolvers must have agreed before an answer is kept. */
  agreementMin: number;
  now(): number;
  /** Takes what the user must hear. */
  tell(text: string): void;
}

const evidenceSchema = v.strictObject({
  ad: v.boolean(),
  records: v.pipe(
    v.array(v.pipe(v.string(), v.maxLength(RECORD_LENGTH_MAX))),
    v.maxLength(ANSWER_RECORDS_MAX),
  ),
  resolvers: v.pipe(v.array(v.pipe(v.string(), v.maxLength(URL_LENGTH_MAX))), v.maxLength(RESOLVERS_MAX)),
  agreement: countSchema,
  resolvedAt: timeSchema,
  ttlSeconds: countSchema,
  stale: v.boolean(),
});

/** Throws `invalid-record`. */
export function parseDnsEvidence(value: unknown): DnsEvidence {
  return parseWith(evidenceSchema, value, "invalid-record");
}

export function createRememberingResolver(options: RememberingOptions): DomainKeyResolver {
  const { resolver, answers, use, agreementMin, now, tell } = options;
  const told = new Set<Domain>();
  const kept = new Map<Domain, string>();
  return {
    async resolve(domain, how) {
      try {
        const keys = await resolver.resolve(domain, how);
        const { stale, agreement, resolvedAt } = keys.evidence;
        if (stale || agreement < agreementMin || kept.get(domain) === resolvedAt) return keys;
        await answers.keep(domain, keys.evidence);
        kept.set(domain, resolvedAt);
        return keys;
      } catch (error) {
        if ((how?.for ?? use) === "write" || !isHoldfastError(error, "dns-failed")) throw error;
        const earlier = await answers.find(domain);
        const keys = earlier === null ? null : keysOfEarlierAnswer(domain, earlier, now());
        if (keys === null) throw error;
        if (!told.has(domain))
          tell(`DNS does not answer; the keys of ${domain} are those of ${earlier?.resolvedAt}`);
        told.add(domain);
        return keys;
      }
    },
    resolveAuthor: (email, how) => resolver.resolveAuthor(email, how),
  };
}
