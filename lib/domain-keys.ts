// Which keys may sign for a domain: asked of DNS over HTTPS, kept for as long as DNS allows. What stands in the
// records is domain-records.ts; how one resolver is asked is dns.ts. Whoever cannot ask learns nothing: no answer
// outlives its TTL.

import { queryTxt, type TxtAnswer } from "./dns.ts";
import {
  type DomainKey,
  type DomainPolicy,
  type DomainRecords,
  parseDomainRecords,
} from "./domain-records.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { ExpiringCache } from "./expiring-cache.ts";
import type { Fetch } from "./fetch.ts";
import type { Domain } from "./names.ts";
import { formatPublicKeyText } from "./openssh-key.ts";

/** However long a TTL is, a withdrawn key is forgotten after this. */
export const KEYS_TTL_SECONDS_MAX = 3600;
/** Whoever has just published a record should not wait. */
export const NEGATIVE_TTL_SECONDS_MAX = 30;
export const CACHED_DOMAINS_MAX = 1000;

export interface DomainKeys {
  domain: Domain;
  policy: DomainPolicy;
  keys: DomainKey[];
  /** One sentence for each published record that was ignored. */
  problems: string[];
  evidence: {
    /** The resolver says that it validated the records with DNSSEC. */
    ad: boolean;
    records: string[];
    /** The URL of the resolver that answered. */
    resolver: string;
    /** ISO 8601, UTC. */
    resolvedAt: string;
    ttlSeconds: number;
  };
}

export interface DomainKeyResolver {
  /**
   * Throws `domain-not-found` where the TXT name does not exist, `no-domain-key` where nothing usable stands there,
   * `invalid-record` where its records contradict each other, `dns-failed` where no resolver gave an answer.
   * `fresh` asks again instead of looking into the cache.
   */
  resolve(domain: Domain, options?: { fresh?: boolean }): Promise<DomainKeys>;
}

export interface DomainKeyResolverOptions {
  fetch: Fetch;
  /** Asked in this order, the next one where one fails. */
  dohUrls: readonly string[];
  /** Milliseconds since 1970. */
  now: () => number;
  /** For each resolver asked. */
  timeoutMs?: number;
  /**
   * Answers, shared by several resolvers. Questions under way are shared only inside one resolver: in workerd one
   * request may not wait for another one's I/O, so a Worker makes a resolver for each request and keeps the cache.
   */
  cache?: DomainKeyCache;
}

type Outcome = { keys: DomainKeys } | { error: HoldfastError };
export type DomainKeyCache = ExpiringCache<Outcome>;
type Resolved = TxtAnswer & { resolver: string };

/** The TXT name that holds a domain's keys. */
export function keyRecordName(domain: Domain): string {
  return `_holdfast.${domain}`;
}

export function createDomainKeyCache(domainsMax: number = CACHED_DOMAINS_MAX): DomainKeyCache {
  return new ExpiringCache(domainsMax);
}

export function createDomainKeyResolver(options: DomainKeyResolverOptions): DomainKeyResolver {
  if (options.dohUrls.length === 0) throw new RangeError("a resolver needs one DNS-over-HTTPS URL or more");
  const { cache = createDomainKeyCache() } = options;
  const pending = new Map<Domain, Promise<Outcome>>();

  async function ask(domain: Domain): Promise<Outcome> {
    const answer = await askInOrder(keyRecordName(domain), options);
    const outcome = readAnswer(domain, answer, options.now());
    const ttlMax = "keys" in outcome ? KEYS_TTL_SECONDS_MAX : NEGATIVE_TTL_SECONDS_MAX;
    cache.set(domain, outcome, options.now() + Math.min(answer.ttlSeconds, ttlMax) * 1000);
    return outcome;
  }

  function askOnce(domain: Domain): Promise<Outcome> {
    const running = pending.get(domain);
    if (running !== undefined) return running;
    const started = ask(domain).finally(() => pending.delete(domain));
    pending.set(domain, started);
    return started;
  }

  return {
    async resolve(domain, { fresh = false } = {}) {
      const cached = fresh ? null : cache.get(domain, options.now());
      const outcome = cached ?? (await askOnce(domain));
      if ("error" in outcome) throw outcome.error;
      return outcome.keys;
    },
  };
}

/** The domain's key that `blob` is. Throws `key-not-authorized`, or `author-mismatch` where it is somebody else's. */
export function authorizeKey(domainKeys: DomainKeys, blob: Uint8Array, author: string): DomainKey {
  const text = formatPublicKeyText(blob);
  const key = domainKeys.keys.find((candidate) => candidate.text === text);
  if (key === undefined) {
    throw new HoldfastError(
      "key-not-authorized",
      `the key is not among the keys of ${domainKeys.domain}: publish it as a TXT record at ${keyRecordName(domainKeys.domain)}`,
    );
  }
  if (key.emails.length > 0 && !key.emails.includes(author)) {
    throw new HoldfastError(
      "author-mismatch",
      `${keyRecordName(domainKeys.domain)} says that the key ${key.fingerprint} belongs to ${key.emails.join(", ")}, not to ${author}`,
    );
  }
  return key;
}

async function askInOrder(name: string, options: DomainKeyResolverOptions): Promise<Resolved> {
  const failures: HoldfastError[] = [];
  for (const dohUrl of options.dohUrls) {
    try {
      const { fetch, timeoutMs } = options;
      const answer = await queryTxt({
        name,
        dohUrl,
        fetch,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
      return { ...answer, resolver: dohUrl };
    } catch (error) {
      if (!isHoldfastError(error, "dns-failed")) throw error;
      failures.push(error);
    }
  }
  throw new HoldfastError("dns-failed", failures.map((failure) => failure.message).join("; "), {
    cause: failures,
  });
}

function readAnswer(domain: Domain, answer: Resolved, nowMs: number): Outcome {
  try {
    if (!answer.exists) throw notFound(domain, answer.target);
    const { policy, keys, records, problems } = parseDomainRecords(answer.texts);
    if (keys.length === 0 && policy === "exclusive") throw noKey(domain, { records, problems });
    const resolvedAt = new Date(nowMs).toISOString();
    const { ad, resolver, ttlSeconds } = answer;
    return {
      keys: { domain, policy, keys, problems, evidence: { ad, records, resolver, resolvedAt, ttlSeconds } },
    };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { error: error.code === "invalid-record" ? contradiction(domain, error) : error };
  }
}

function notFound(domain: Domain, target: string): HoldfastError {
  const name = keyRecordName(domain);
  const what =
    target === name ? `${name} does not exist` : `${name} is an alias of ${target}, which does not exist`;
  return new HoldfastError("domain-not-found", `${what} in DNS: ${advice(name)}`);
}

function noKey(
  domain: Domain,
  { records, problems }: Pick<DomainRecords, "records" | "problems">,
): HoldfastError {
  const name = keyRecordName(domain);
  const found = records.length === 0 ? "no Holdfast record" : "no key";
  const why = problems.length === 0 ? "" : ` (${problems.slice(0, 3).join("; ")})`;
  return new HoldfastError("no-domain-key", `${name} has ${found}${why}: ${advice(name)}`);
}

function contradiction(domain: Domain, cause: HoldfastError): HoldfastError {
  return new HoldfastError("invalid-record", `at ${keyRecordName(domain)} ${cause.message}`, { cause });
}

function advice(name: string): string {
  return `publish the domain's key as a TXT record at ${name} (\`holdfast domain records\` prints it)`;
}
