// What this client has seen of each domain's keys, as ssh keeps known_hosts: kept by the host between runs. First contact
// is trust on first use. A change is followed where a key known before is still there or has named its successor; else
// it stops everything, for then nothing tells the domain's owner from somebody who answers in its place.

import type { DomainKeyResolver, DomainKeys, DomainKeyUse } from "../domain-keys.ts";
import { HoldfastError } from "../error.ts";
import type { Domain } from "../names.ts";
import { followRotations, stepOf, verifyRotations } from "../rotation.ts";

/** What is written no more often, where nothing but the time has changed. */
export const SEEN_AGAIN_MS = 24 * 3600 * 1000;

export interface KnownDomain {
  /** `SHA256:…` of the keys that DNS showed last. */
  fingerprints: string[];
  /** DNSSEC was seen, and not given up with the user's knowledge. */
  dnssec: boolean;
  /** ISO 8601, UTC. */
  seenAt: string;
}

export interface KnownDomains {
  /** Null where the domain was never seen. */
  find(domain: Domain): Promise<KnownDomain | null>;
  /** Takes the place of what is kept. */
  remember(domain: Domain, known: KnownDomain): Promise<void>;
}

/** How the keys that DNS shows follow those known. */
export interface Judgement {
  how: "first" | "same" | "overlap" | "rotation";
  added: string[];
  removed: string[];
  /** DNSSEC was seen before, and is not there now. */
  isDnssecLost: boolean;
}

/**
 * Throws `domain-keys-changed` where nothing leads from a known key to a present one, `dnssec-lost` where keys came
 * together with the loss of DNSSEC and no rotation leads to them.
 */
export async function judgeDomain(known: KnownDomain | null, keys: DomainKeys): Promise<Judgement> {
  const present = fingerprintsOf(keys);
  const before = known?.fingerprints ?? [];
  const added = present.filter((fingerprint) => !before.includes(fingerprint));
  const removed = before.filter((fingerprint) => !present.includes(fingerprint));
  const isDnssecLost = known?.dnssec === true && !keys.evidence.ad;
  const judged = { added, removed, isDnssecLost };
  if (known === null) return { how: "first", ...judged };
  if (added.length === 0 && removed.length === 0) return { how: "same", ...judged };
  if (before.length === 0 && !isDnssecLost) return { how: "first", ...judged };
  const { rotations } = await verifyRotations(keys.domain, keys.rotations);
  const reached = followRotations(before, rotations.map(stepOf));
  if (isDnssecLost && added.some((fingerprint) => !reached.has(fingerprint)))
    throw dnssecLost(keys.domain, `and keys have come (${added.join(", ")})`);
  if (removed.length < before.length) return { how: "overlap", ...judged };
  if (present.some((fingerprint) => reached.has(fingerprint))) return { how: "rotation", ...judged };
  throw keysChanged(keys.domain, known, present);
}

export interface KnownDomainsOptions {
  resolver: DomainKeyResolver;
  known: KnownDomains;
  /** What is asked for where the asker does not say. */
  use: DomainKeyUse;
  /** So many resolvers must have agreed before an answer is remembered: 1 where one is configured. */
  agreementMin: number;
  now(): number;
  /** Takes what the user must hear: once for each change. */
  tell(text: string): void;
}

/** A resolver whose answers about domains are held against what is known. Authors' own keys pass as they come. */
export function createKnownDomainsResolver(options: KnownDomainsOptions): DomainKeyResolver {
  const { resolver, use } = options;
  const judged = new Map<Domain, { answer: string; isDnssecLost: boolean }>();
  return {
    async resolve(domain, how) {
      const keys = await resolver.resolve(domain, how);
      const answer = `${keys.evidence.ad} ${fingerprintsOf(keys).sort().join(" ")}`;
      const isWrite = (how?.for ?? use) === "write";
      const last = judged.get(domain);
      if (last?.answer === answer && !(isWrite && last.isDnssecLost)) return keys;
      const { isDnssecLost } = await hold(keys, isWrite, options);
      judged.set(domain, { answer, isDnssecLost });
      return keys;
    },
    resolveAuthor: (email, how) => resolver.resolveAuthor(email, how),
  };
}

/** What is remembered of a domain whose keys the user, or a judgement, has accepted. */
export function knownOf(keys: DomainKeys, nowMs: number): KnownDomain {
  return {
    fingerprints: fingerprintsOf(keys),
    dnssec: keys.evidence.ad,
    seenAt: new Date(nowMs).toISOString(),
  };
}

async function hold(
  keys: DomainKeys,
  isWrite: boolean,
  { known, agreementMin, now, tell }: KnownDomainsOptions,
): Promise<Judgement> {
  const before = await known.find(keys.domain);
  const judgement = await judgeDomain(before, keys);
  if (judgement.isDnssecLost) {
    if (isWrite) throw dnssecLost(keys.domain, "and nothing is published without it");
    tell(dnssecLost(keys.domain, "the keys are those known before, or followed from them").message);
  }
  const told = describeChange(keys.domain, judgement);
  if (told !== null) tell(told);
  const { stale, agreement } = keys.evidence;
  if (stale || agreement < agreementMin) return judgement;
  const next = knownOf(keys, now());
  const dnssec = next.dnssec || before?.dnssec === true;
  if (before === null || isWorthWriting(before, judgement, { ...next, dnssec }))
    await known.remember(keys.domain, { ...next, dnssec });
  return judgement;
}

function isWorthWriting(before: KnownDomain, { added, removed }: Judgement, next: KnownDomain): boolean {
  return (
    added.length + removed.length > 0 ||
    next.dnssec !== before.dnssec ||
    Date.parse(next.seenAt) >= Date.parse(before.seenAt) + SEEN_AGAIN_MS
  );
}

function describeChange(domain: Domain, { how, added, removed }: Judgement): string | null {
  if (how === "first" || how === "same") return null;
  const changes = [
    ...added.map((fingerprint) => `added ${fingerprint}`),
    ...removed.map((fingerprint) => `removed ${fingerprint}`),
  ];
  const why =
    how === "overlap" ? "a key known before is still there" : "a key known before has signed the rotation";
  return `the keys of ${domain} have changed: ${changes.join(", ")}; ${why}`;
}

function fingerprintsOf({ keys }: DomainKeys): string[] {
  return keys.map(({ fingerprint }) => fingerprint);
}

function dnssecLost(domain: Domain, what: string): HoldfastError {
  return new HoldfastError(
    "dnssec-lost",
    `${domain} was seen with DNSSEC before, and DNS shows it without, ${what}. Somebody may be changing answers on the way, ` +
      "or the resolvers in use do not validate. " +
      `If the domain's owner has given DNSSEC up on purpose: holdfast domain trust ${domain}`,
  );
}

function keysChanged(domain: Domain, known: KnownDomain, present: readonly string[]): HoldfastError {
  const list = (fingerprints: readonly string[]) =>
    fingerprints.length === 0 ? "none" : fingerprints.join("\n                ");
  return new HoldfastError(
    "domain-keys-changed",
    [
      `THE KEYS OF ${domain} HAVE CHANGED, AND NONE KNOWN BEFORE IS LEFT!`,
      "Somebody may be answering in its place: whoever controls its DNS, or your way to the resolvers, can do this.",
      "It is also possible that its owner has replaced all keys, and has not published a rotation.",
      `  known before: ${list(known.fingerprints)}`,
      `  in DNS now:   ${list(present)}`,
      `  last seen:    ${known.seenAt}`,
      "Ask the owner for the fingerprint of the new key, by another way than this domain. If it is the one above:",
      `  holdfast domain trust ${domain}`,
      "Until then nothing is read or published under it.",
    ].join("\n"),
  );
}
