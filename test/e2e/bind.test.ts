// The real resolver code against real BIND 9: DNSSEC states, long and split records, aliases, absence.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import { createKnownDomainsResolver, type KnownDomain } from "../../lib/client/known-domains.ts";
import {
  authorRecordName,
  createDomainKeyResolver,
  type DomainKeyResolverOptions,
  type ResolveOptions,
} from "../../lib/domain-keys.ts";
import { formatKeyRecords, formatRotationRecord } from "../../lib/domain-records.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob, fingerprintOf } from "../../lib/openssh-key.ts";
import { signRotation, verifyRotations } from "../../lib/rotation.ts";
import { testSigner } from "../lib/test-resolver.ts";
import { BIND_PROGRAMS, type BindServers, startBind, type Zone } from "./bind.ts";
import { requirePrograms } from "./requires.ts";

const blob = encodePublicKeyBlob(new Uint8Array(32).fill(7));
const other = encodePublicKeyBlob(new Uint8Array(32).fill(8));
const [keyRecord = ""] = formatKeyRecords({ blob, emails: ["alice@signed.test"] });
const [otherRecord = ""] = formatKeyRecords({ blob: other, emails: [] });
const LONG_NOTE = `; note=${"x".repeat(700)}`;

const ALICE = "alice@signed.test";
const [old, next] = await Promise.all([testSigner(1), testSigner(2)]);
const rotation = await signRotation(
  { domain: parseDomain("rotated.signed.test"), to: next.key, time: "2026-01-02T00:00:00.000Z" },
  old,
);
/** From the first to the last of so many names: one alias less. */
const aliasChain = (label: string, names: number) =>
  Array.from({ length: names - 1 }, (_, i) => {
    const from = i === 0 ? `_holdfast.${label}.signed.test` : `${label}${i}.signed.test`;
    const to = i === names - 2 ? "_holdfast.signed.test" : `${label}${i + 1}.signed.test`;
    return `${from}. 60 IN CNAME ${to}.`;
  });

const ZONES: Zone[] = [
  {
    origin: "below.signed.test",
    signed: true,
    anchor: "none",
    lines: [formatZoneRecord("_holdfast.below.signed.test", keyRecord, 60)],
  },
  {
    origin: "signed.test",
    signed: true,
    anchor: "own",
    lines: [
      formatZoneRecord("_holdfast.signed.test", keyRecord, 40),
      formatZoneRecord("_holdfast.signed.test", otherRecord, 40),
      `_holdfast.signed.test. 40 IN TXT "v=spf1 -all"`,
      formatZoneRecord("_holdfast.long.signed.test", keyRecord + LONG_NOTE, 60),
      `_holdfast.split.signed.test. 60 IN TXT ${[...keyRecord].map((character) => `"${character}"`).join(" ")}`,
      "_holdfast.alias.signed.test. 30 IN CNAME _holdfast.second.signed.test.",
      "_holdfast.second.signed.test. 20 IN CNAME _holdfast.signed.test.",
      "_holdfast.dangling.signed.test. 60 IN CNAME nowhere.signed.test.",
      "_holdfast.loop.signed.test. 60 IN CNAME loop2.signed.test.",
      "loop2.signed.test. 60 IN CNAME _holdfast.loop.signed.test.",
      "_holdfast.outside.signed.test. 60 IN CNAME _holdfast.plain.test.",
      "_holdfast.empty.signed.test. 60 IN HINFO x y",
      "below.signed.test. 60 IN NS ns.below.signed.test.",
      "ns.below.signed.test. 60 IN A 127.0.0.1",
      ...aliasChain("eight", 9),
      ...aliasChain("nine", 10),
      formatZoneRecord(authorRecordName(ALICE), keyRecord, 60),
      formatZoneRecord("_holdfast.rotated.signed.test", formatRotationRecord(rotation), 60),
      formatZoneRecord("_holdfast.rotated.signed.test", keyRecord, 60),
      ...Array.from({ length: 60 }, (_, i) =>
        formatZoneRecord(
          "_holdfast.many.signed.test",
          formatKeyRecords({ blob: encodePublicKeyBlob(new Uint8Array(32).fill(i)), emails: [] })[0] ?? "",
        ),
      ),
    ],
  },
  {
    origin: "plain.test",
    signed: false,
    anchor: "none",
    lines: [formatZoneRecord("_holdfast.plain.test", keyRecord, 60)],
  },
  {
    origin: "unsigned.test",
    signed: false,
    anchor: "foreign",
    lines: [formatZoneRecord("_holdfast.unsigned.test", keyRecord, 60)],
  },
  {
    origin: "other-key.test",
    signed: true,
    anchor: "foreign",
    lines: [formatZoneRecord("_holdfast.other-key.test", keyRecord, 60)],
  },
  {
    origin: "forged.test",
    signed: true,
    anchor: "own",
    lines: [formatZoneRecord("_holdfast.forged.test", keyRecord, 60)],
    tamper: (zoneFile) => zoneFile.replace("alice@signed.test", "mallo@signed.test"),
  },
  { origin: "lame.test", signed: false, anchor: "none", authority: "lame", lines: [] },
  { origin: "silent.test", signed: false, anchor: "none", authority: "silent", lines: [] },
];

/** Another operator's resolver, and what it is told: two zones otherwise, one without its signatures. */
const OTHER_ZONES: Zone[] = [
  {
    origin: "plain.test",
    signed: false,
    anchor: "none",
    lines: [formatZoneRecord("_holdfast.plain.test", otherRecord, 60)],
  },
  {
    origin: "signed.test",
    signed: false,
    anchor: "none",
    lines: [
      formatZoneRecord("_holdfast.signed.test", otherRecord, 10),
      formatZoneRecord("_holdfast.signed.test", keyRecord, 10),
      formatZoneRecord("_holdfast.absent.signed.test", keyRecord, 10),
    ],
  },
  {
    origin: "silent.test",
    signed: false,
    anchor: "none",
    lines: [formatZoneRecord("_holdfast.silent.test", keyRecord, 60)],
  },
];

const { missing } = requirePrograms(BIND_PROGRAMS);

describe.skipIf(missing.length > 0)("with a validating BIND 9 as its DNS-over-HTTPS resolver", () => {
  let servers: BindServers;
  let others: BindServers;

  beforeAll(async () => {
    [servers, others] = await Promise.all([startBind(ZONES), startBind(OTHER_ZONES)]);
  }, 60_000);

  afterAll(async () => {
    await Promise.all([servers?.stop(), others?.stop()]);
  });

  const resolverOf = (options: Partial<DomainKeyResolverOptions> = {}) =>
    createDomainKeyResolver({ fetch, dohUrls: [servers.dohUrl], now: Date.now, ...options });
  const resolve = (domain: string) => resolverOf().resolve(parseDomain(domain));

  test("the keys of a signed zone come with the AD bit and the smallest TTL", async () => {
    const { keys, policy, evidence } = await resolve("signed.test");
    expect(policy).toBe("exclusive");
    expect(keys.map(({ fingerprint }) => fingerprint).sort()).toEqual(
      [blob, other].map(fingerprintOf).sort(),
    );
    expect(keys.find(({ emails }) => emails.length > 0)?.emails).toEqual(["alice@signed.test"]);
    expect(evidence.ad).toBe(true);
    expect(evidence.records).toHaveLength(2);
    expect(evidence.ttlSeconds).toBeGreaterThan(0);
    expect(evidence.ttlSeconds).toBeLessThanOrEqual(40);
  });

  test("an unsigned zone's keys come without the AD bit", async () => {
    const { keys, evidence } = await resolve("plain.test");
    expect(keys).toHaveLength(1);
    expect(evidence.ad).toBe(false);
  });

  test("a zone changed after it was signed gives dns-failed, not keys", async () => {
    await expect(resolve("forged.test")).rejects.toMatchObject({
      code: "dns-failed",
      message: expect.stringContaining("SERVFAIL"),
    });
  });

  test("a zone signed with another key than the anchored one gives dns-failed", async () => {
    await expect(resolve("other-key.test")).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a zone that lost its signatures while anchored gives dns-failed", async () => {
    await expect(resolve("unsigned.test")).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a record longer than 255 bytes arrives in one piece", async () => {
    const { keys, evidence } = await resolve("long.signed.test");
    expect(keys[0]?.blob).toEqual(blob);
    expect(evidence.records).toEqual([keyRecord + LONG_NOTE]);
  });

  test("a record cut into one-character strings is joined", async () => {
    const { evidence } = await resolve("split.signed.test");
    expect(evidence.records).toEqual([keyRecord]);
  });

  test("sixty keys arrive, in an answer far larger than a UDP packet", async () => {
    const { keys } = await resolve("many.signed.test");
    expect(keys).toHaveLength(60);
  });

  test("aliases are followed, and the smallest TTL on the way counts", async () => {
    const { keys, evidence } = await resolve("alias.signed.test");
    expect(keys).toHaveLength(2);
    expect(evidence.ad).toBe(true);
    expect(evidence.ttlSeconds).toBeLessThanOrEqual(20);
  });

  test("an alias that leaves the signed zones loses the AD bit", async () => {
    const { keys, evidence } = await resolve("outside.signed.test");
    expect(keys).toHaveLength(1);
    expect(evidence.ad).toBe(false);
  });

  test("an alias to nowhere is domain-not-found and names where it leads", async () => {
    await expect(resolve("dangling.signed.test")).rejects.toMatchObject({
      code: "domain-not-found",
      message: expect.stringContaining("nowhere.signed.test"),
    });
  });

  test("aliases in a circle give dns-failed", async () => {
    await expect(resolve("loop.signed.test")).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a name that does not exist is domain-not-found and says what to publish", async () => {
    await expect(resolve("absent.signed.test")).rejects.toMatchObject({
      code: "domain-not-found",
      message: expect.stringContaining("_holdfast.absent.signed.test"),
    });
  });

  test("a name without TXT records is no-domain-key", async () => {
    await expect(resolve("empty.signed.test")).rejects.toMatchObject({ code: "no-domain-key" });
  });

  test("a delegated zone is validated by the chain from its parent's anchor", async () => {
    const { keys, evidence } = await resolve("below.signed.test");
    expect(keys).toHaveLength(1);
    expect(evidence.ad).toBe(true);
  });

  test("eight aliases are followed, nine are not", async () => {
    const { keys, evidence } = await resolve("eight.signed.test");
    expect(keys).toHaveLength(2);
    expect(evidence.ad).toBe(true);
    await expect(resolve("nine.signed.test")).rejects.toMatchObject({
      code: "dns-failed",
      message: expect.stringContaining("more than 8"),
    });
  });

  test("an author's own key stands at the hashed name, validated like any other", async () => {
    const { keys, evidence } = await resolverOf().resolveAuthor(ALICE);
    expect(keys.map(({ fingerprint }) => fingerprint)).toEqual([fingerprintOf(blob)]);
    expect(evidence.ad).toBe(true);
    await expect(resolverOf().resolveAuthor("bob@signed.test")).rejects.toMatchObject({
      code: "no-author-key",
    });
  });

  test("a rotation, longer than a character-string, arrives whole and verifies", async () => {
    const keys = await resolve("rotated.signed.test");
    const { rotations, problems } = await verifyRotations(keys.domain, keys.rotations);
    expect(problems).toEqual([]);
    expect(rotations.map(({ id }) => id)).toEqual([rotation.id]);
  });

  test("a lame delegation gives dns-failed", async () => {
    await expect(resolve("lame.test")).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a server that is silent past the timeout gives dns-failed in that time", async () => {
    const startedMs = performance.now();
    const slow = resolverOf({ timeoutMs: 1_000 }).resolve(parseDomain("silent.test"));
    await expect(slow).rejects.toMatchObject({ code: "dns-failed", message: expect.stringMatching(/time/i) });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  describe("beside another operator's", () => {
    const both = (domain: string, how?: ResolveOptions, options: Partial<DomainKeyResolverOptions> = {}) =>
      resolverOf({ dohUrls: [servers.dohUrl, others.dohUrl], ...options }).resolve(parseDomain(domain), how);

    test("equal records in another order, with another TTL, are an agreement; AD is of both or of none", async () => {
      const { keys, evidence } = await both("signed.test");
      expect(keys).toHaveLength(2);
      expect(evidence).toMatchObject({ agreement: 2, ad: false });
      expect(evidence.ttlSeconds).toBeLessThanOrEqual(10);
    });

    test("other keys are a disagreement, and so is a name that exists for one only", async () => {
      for (const domain of ["plain.test", "absent.signed.test"]) {
        for (const use of ["read", "write"] as const) {
          await expect(both(domain, { for: use })).rejects.toMatchObject({ code: "dns-disagreement" });
        }
      }
    });

    test("a third decides", async () => {
      const dohUrls = [servers.dohUrl, others.dohUrl, servers.dohUrl.replace("127.0.0.1", "localhost")];
      const { keys, evidence } = await both("plain.test", {}, { dohUrls });
      expect(keys.map(({ fingerprint }) => fingerprint)).toEqual([fingerprintOf(blob)]);
      expect(evidence.resolvers).toEqual([dohUrls[0], dohUrls[2]]);
    });

    test("with one silent, readers go on with the other and writers do not", async () => {
      const { evidence } = await both("silent.test", { for: "read" }, { timeoutMs: 1_000 });
      expect(evidence).toMatchObject({ agreement: 1, resolvers: [others.dohUrl] });
      await expect(both("silent.test", {}, { timeoutMs: 1_000 })).rejects.toMatchObject({
        code: "dns-failed",
      });
    });

    test("a client that knows a domain with DNSSEC does not publish under it without, nor quietly read", async () => {
      const kept = new Map<Domain, KnownDomain>();
      const told: string[] = [];
      const through = (dohUrl: string) =>
        createKnownDomainsResolver({
          resolver: resolverOf({ dohUrls: [dohUrl] }),
          known: {
            find: async (domain) => kept.get(domain) ?? null,
            remember: async (domain, known) => void kept.set(domain, known),
          },
          ...{ use: "write", agreementMin: 1, now: Date.now, tell: (text: string) => told.push(text) },
        });
      const domain = parseDomain("signed.test");
      await through(servers.dohUrl).resolve(domain);
      expect(kept.get(domain)?.dnssec).toBe(true);
      await expect(through(others.dohUrl).resolve(domain)).rejects.toMatchObject({ code: "dnssec-lost" });
      expect((await through(others.dohUrl).resolve(domain, { for: "read" })).keys).toHaveLength(2);
      expect(told).toEqual([expect.stringContaining("DNSSEC")]);
      await through(servers.dohUrl).resolve(domain);
      expect(told).toHaveLength(1);
    });
  });

  test("with the authoritative server gone, what was not asked before gives dns-failed", async () => {
    await servers.stopAuthority();
    await expect(resolve("never-asked.plain.test")).rejects.toMatchObject({ code: "dns-failed" });
  }, 30_000);
});
