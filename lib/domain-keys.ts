// Which keys may sign for a domain: asked of DNS over HTTPS, kept for as long as DNS allows. What stands in the
// records is domain-records.ts; how resolvers are asked and compared is dns-quorum.ts. For a write no answer outlives
// its TTL; a reader may go on with one that has just run out, where nobody answers.

import { type AgreedAnswer, askResolvers, type QuorumOptions } from "./dns-quorum.ts";
import { type DomainKey, type DomainRecords, parseDomainRecords } from "./domain-records.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { ExpiringCache } from "./expiring-cache.ts";
import { hashBytes } from "./hash.ts";
import { type Domain, parseDomain } from "./names.ts";
import { formatPublicKeyText } from "./openssh-key.ts";

/** However long a TTL is, a withdrawn key is forgotten after this. */
export const KEYS_TTL_SECONDS_MAX = 3600;
/** Whoever has just published a record should not wait. */
export const NEGATIVE_TTL_SECONDS_MAX = 30;
/** A reader takes an answer that ran out at most this long ago, where DNS fails. */
export const STALE_SECONDS_MAX = 24 * 3600;
export const CACHED_DOMAINS_MAX = 1000;
/** 28 octets. */
const AUTHOR_LABEL_DIGITS = 56;

/** How DNS was seen to say something. */
export interface DnsEvidence {
  /** Each of the resolvers says that it validated the records with DNSSEC. */
  ad: boolean;
  records: string[];
  /** The URLs of the resolvers that said so. */
  resolvers: string[];
  /** How many they are; 1 where the others of several failed, which is not enough for a write. */
  agreement: number;
  /** ISO 8601, UTC. */
  resolvedAt: string;
  ttlSeconds: number;
  /** The TTL has passed, and DNS cannot be asked: good enough for a reader only. */
  stale: boolean;
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

/**
 * What keys are asked for. A write (accepting a Version, a grant, a plan) needs two resolvers that agree, where several
 * are configured, and an answer within its TTL. A reader goes on with one resolver where the others fail, and with an
 * answer that ran out within STALE_SECONDS_MAX where all do.
 */
export type DomainKeyUse = "read" | "write";

export interface ResolveOptions {
  /** Asks again instead of looking into the cache. */
  fresh?: boolean;
  /** Left out: as the resolver was made. */
  for?: DomainKeyUse;
}

export interface DomainKeyResolver {
  /**
   * Throws `domain-not-found` where the TXT name does not exist, `no-domain-key` where nothing usable stands there,
   * `invalid-record` where its records contradict each other, `dns-failed` where too few resolvers gave an answer,
   * `dns-disagreement` where they differ.
   */
  resolve(domain: Domain, options?: ResolveOptions): Promise<DomainKeys>;
  /**
   * The keys of an author at `authorRecordName`. Throws `no-author-key` where none stand there, `invalid-record`,
   * `dns-failed`, or `dns-disagreement`.
   */
  resolveAuthor(email: string, options?: ResolveOptions): Promise<AuthorKeys>;
}

export interface DomainKeyResolverOptions extends QuorumOptions {
  /** Milliseconds since 1970. */
  now: () => number;
  /** What it is asked for where the asker does not say; "write" is the default. */
  use?: DomainKeyUse;
  /**
   * Answers, shared by several resolvers. Questions under way are shared only inside one resolver: in workerd one
   * request may not wait for another one's I/O, so a Worker makes a resolver for each request and keeps the cache.
   */
  cache?: DomainKeyCache;
}

interface Found {
  records: DomainRecords;
  evidence: DnsEvidence;
}
interface Kept {
  outcome: Found | { error: HoldfastError };
  /** Why a write may not rely on it; null where it may. */
  shortfall: HoldfastError | null;
  freshUntilMs: number;
}
/** What stands at a DNS name, by that name. */
export type DomainKeyCache = ExpiringCache<Kept>;

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
  const pending = new Map<string, Promise<Kept>>();

  async function ask(name: string): Promise<Kept> {
    const kept = keep(name, await askResolvers(name, options), options.now());
    const staleMs = givesRights(kept.outcome) ? STALE_SECONDS_MAX * 1000 : 0;
    cache.set(name, kept, kept.freshUntilMs + staleMs);
    return kept;
  }

  function askOnce(name: string): Promise<Kept> {
    const running = pending.get(name);
    if (running !== undefined) return running;
    const started = ask(name).finally(() => pending.delete(name));
    pending.set(name, started);
    return started;
  }

  async function askOrGoOn(name: string, kept: Kept | null): Promise<Kept> {
    try {
      return await askOnce(name);
    } catch (error) {
      if (kept === null || !isHoldfastError(error, "dns-failed")) throw error;
      return asStale(kept, options.now());
    }
  }

  async function look(name: string, how: ResolveOptions = {}): Promise<Found> {
    const use = how.for ?? options.use ?? "write";
    const kept = cache.get(name, options.now());
    const isUsable =
      kept !== null && kept.freshUntilMs > options.now() && (use === "read" || kept.shortfall === null);
    const known = isUsable && how.fresh !== true ? kept : await askOrGoOn(name, use === "read" ? kept : null);
    if (use === "write" && known.shortfall !== null) throw known.shortfall;
    if ("error" in known.outcome) throw known.outcome.error;
    return known.outcome;
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

/**
 * The domain's keys as an earlier answer has them, marked as stale: for a reader whom DNS fails. Null where the answer ran
 * out more than STALE_SECONDS_MAX ago, or gives nobody a right.
 */
export function keysOfEarlierAnswer(domain: Domain, earlier: DnsEvidence, nowMs: number): DomainKeys | null {
  const { ttlSeconds, resolvedAt } = earlier;
  const ttlMs = (Math.min(ttlSeconds, KEYS_TTL_SECONDS_MAX) + STALE_SECONDS_MAX) * 1000;
  const atMs = Date.parse(resolvedAt);
  if (nowMs >= atMs + ttlMs || atMs > nowMs) return null;
  const evidence = { ...earlier, stale: true };
  const { records, ...said } = parseDomainRecords(evidence.records);
  return givesRights({ records: { ...said, records }, evidence }) ? { domain, ...said, evidence } : null;
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

function keep(name: string, answer: AgreedAnswer, nowMs: number): Kept {
  const { shortfall } = answer;
  const outcome = readAnswer(name, answer, nowMs);
  const isGood = shortfall === null && "records" in outcome && outcome.records.keys.length > 0;
  const ttlMax = isGood ? KEYS_TTL_SECONDS_MAX : NEGATIVE_TTL_SECONDS_MAX;
  return { outcome, shortfall, freshUntilMs: nowMs + Math.min(answer.ttlSeconds, ttlMax) * 1000 };
}

function readAnswer(name: string, answer: AgreedAnswer, nowMs: number): Kept["outcome"] {
  try {
    if (!answer.exists) throw notFound(name, answer.target);
    const records = parseDomainRecords(answer.records);
    const resolvedAt = new Date(nowMs).toISOString();
    const { ad, resolvers, ttlSeconds } = answer;
    const agreement = resolvers.length;
    const said = { ad, records: records.records, resolvers, agreement, resolvedAt, ttlSeconds };
    return { records, evidence: { ...said, stale: false } };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { error: error.code === "invalid-record" ? contradiction(name, error) : error };
  }
}

/** Nothing is worth going on with that gives nobody a right. */
function givesRights(outcome: Kept["outcome"]): boolean {
  return "records" in outcome && (outcome.records.keys.length > 0 || outcome.records.policy === "moderated");
}

function asStale(kept: Kept, nowMs: number): Kept {
  if ("error" in kept.outcome || kept.freshUntilMs > nowMs) return kept;
  const { records, evidence } = kept.outcome;
  return { ...kept, outcome: { records, evidence: { ...evidence, stale: true } } };
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
