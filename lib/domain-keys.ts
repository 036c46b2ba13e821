// Which keys may sign for a domain: asked of DNS over HTTPS, kept for as long as DNS allows. What stands in the
// records is domain-records.ts; how one resolver is asked is dns.ts. Whoever cannot ask learns nothing: no answer
// outlives its TTL.

import { queryTxt, type TxtAnswer } from "./dns.ts";
import { type DomainKey, type DomainRecords, parseDomainRecords } from "./domain-records.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { ExpiringCache } from "./expiring-cache.ts";
import type { Fetch } from "./fetch.ts";
import { hashBytes } from "./hash.ts";
import { type Domain, parseDomain } from "./names.ts";
import { formatPublicKeyText } from "./openssh-key.ts";

/** However long a TTL is, a withdrawn key is forgotten after this. */
export const KEYS_TTL_SECONDS_MAX = 3600;
/** Whoever has just published a record should not wait. */
export const NEGATIVE_TTL_SECONDS_MAX = 30;
export const CACHED_DOMAINS_MAX = 1000;
/** 28 octets. */
const AUTHOR_LABEL_DIGITS = 56;

/** How DNS was seen to say something. */
export interface DnsEvidence {
  /** The resolver says that it validated the records with DNSSEC. */
  ad: boolean;
  records: string[];
  /** The URL of the resolver that answered. */
  resolver: string;
  /** ISO 8601, UTC. */
  resolvedAt: string;
  ttlSeconds: number;
}

export interface DomainKeys extends Omit<DomainRecords, "records"> {
  domain: Domain;
  evidence: DnsEvidence;
}

/** An author's own keys, as their mail domain publishes them. */
export interface AuthorKeys {
  email: string;
  keys: DomainKey[];
  /** One sentence for each published record that was ignored. */
  problems: string[];
  evidence: DnsEvidence;
}

export interface DomainKeyResolver {
  /**
   * Throws `domain-not-found` where the TXT name does not exist, `no-domain-key` where nothing usable stands there,
   * `invalid-record` where its records contradict each other, `dns-failed` where no resolver gave an answer.
   * `fresh` asks again instead of looking into the cache.
   */
  resolve(domain: Domain, options?: { fresh?: boolean }): Promise<DomainKeys>;
  /**
   * The keys of an author at `authorRecordName`. Throws `no-author-key` where none stand there, `invalid-record`, or
   * `dns-failed`.
   */
  resolveAuthor(email: string, options?: { fresh?: boolean }): Promise<AuthorKeys>;
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

type Outcome = { records: DomainRecords; evidence: DnsEvidence } | { error: HoldfastError };
/** What stands at a DNS name, by that name. */
export type DomainKeyCache = ExpiringCache<Outcome>;
type Resolved = TxtAnswer & { resolver: string };

/** The TXT name that holds a domain's keys. */
export function keyRecordName(domain: Domain): string {
  return `_holdfast.${domain}`;
}

export function createDomainKeyCache(domainsMax: number = CACHED_DOMAINS_MAX): DomainKeyCache {
  return new ExpiringCache(domainsMax);
}

/** The TXT name that holds an author's keys: RFC 7929's naming, below the mail domain's own. Throws `invalid-domain`. */
export function authorRecordName(email: string): string {
  const at = email.lastIndexOf("@");
  const digest = hashBytes(new TextEncoder().encode(email.slice(0, at)));
  return `${digest.slice(0, AUTHOR_LABEL_DIGITS)}.${keyRecordName(parseDomain(email.slice(at + 1)))}`;
}

export function createDomainKeyResolver(options: DomainKeyResolverOptions): DomainKeyResolver {
  if (options.dohUrls.length === 0) throw new RangeError("a resolver needs one DNS-over-HTTPS URL or more");
  const { cache = createDomainKeyCache() } = options;
  const pending = new Map<string, Promise<Outcome>>();

  async function ask(name: string): Promise<Outcome> {
    const answer = await askInOrder(name, options);
    const outcome = readAnswer(name, answer, options.now());
    const hasKeys = "records" in outcome && outcome.records.keys.length > 0;
    const ttlMax = hasKeys ? KEYS_TTL_SECONDS_MAX : NEGATIVE_TTL_SECONDS_MAX;
    cache.set(name, outcome, options.now() + Math.min(answer.ttlSeconds, ttlMax) * 1000);
    return outcome;
  }

  function askOnce(name: string): Promise<Outcome> {
    const running = pending.get(name);
    if (running !== undefined) return running;
    const started = ask(name).finally(() => pending.delete(name));
    pending.set(name, started);
    return started;
  }

  async function look(name: string, { fresh = false }: { fresh?: boolean } = {}) {
    const cached = fresh ? null : cache.get(name, options.now());
    const outcome = cached ?? (await askOnce(name));
    if ("error" in outcome) throw outcome.error;
    return outcome;
  }

  return {
    async resolve(domain, how) {
      const { records, evidence } = await look(keyRecordName(domain), how);
      const { records: _, ...said } = records;
      if (said.keys.length === 0 && said.policy === "exclusive") throw noKey(domain, records);
      return { domain, ...said, evidence };
    },
    async resolveAuthor(email, how) {
      try {
        const { records, evidence } = await look(authorRecordName(email), how);
        const keys = records.keys.filter(({ emails }) => emails.length === 0 || emails.includes(email));
        if (keys.length > 0) return { email, keys, problems: records.problems, evidence };
        throw noAuthorKey(email, records.problems);
      } catch (error) {
        if (isHoldfastError(error, "domain-not-found", "invalid-domain")) throw noAuthorKey(email, []);
        throw error;
      }
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

function readAnswer(name: string, answer: Resolved, nowMs: number): Outcome {
  try {
    if (!answer.exists) throw notFound(name, answer.target);
    const records = parseDomainRecords(answer.texts);
    const resolvedAt = new Date(nowMs).toISOString();
    const { ad, resolver, ttlSeconds } = answer;
    return { records, evidence: { ad, records: records.records, resolver, resolvedAt, ttlSeconds } };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { error: error.code === "invalid-record" ? contradiction(name, error) : error };
  }
}

function notFound(name: string, target: string): HoldfastError {
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

function noAuthorKey(email: string, problems: readonly string[]): HoldfastError {
  const why = problems.length === 0 ? "" : ` (${problems.slice(0, 3).join("; ")})`;
  return new HoldfastError("no-author-key", `${email} has published no key of their own in DNS${why}`);
}

function contradiction(name: string, cause: HoldfastError): HoldfastError {
  return new HoldfastError("invalid-record", `at ${name} ${cause.message}`, { cause });
}

function advice(name: string): string {
  return `publish the domain's key as a TXT record at ${name} (\`holdfast domain records\` prints it)`;
}
