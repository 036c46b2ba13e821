// The real resolver code against real BIND 9: DNSSEC states, long and split records, aliases, absence.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatZoneRecord } from "../../cli/local/zone-file.ts";
import { createDomainKeyResolver } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob, fingerprintOf } from "../../lib/openssh-key.ts";
import { BIND_PROGRAMS, type BindServers, startBind, type Zone } from "./bind.ts";
import { requirePrograms } from "./requires.ts";

const blob = encodePublicKeyBlob(new Uint8Array(32).fill(7));
const other = encodePublicKeyBlob(new Uint8Array(32).fill(8));
const [keyRecord = ""] = formatKeyRecords({ blob, emails: ["alice@signed.test"] });
const [otherRecord = ""] = formatKeyRecords({ blob: other, emails: [] });
const LONG_NOTE = `; note=${"x".repeat(700)}`;

const ZONES: Zone[] = [
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
];

const { missing } = requirePrograms(BIND_PROGRAMS);

describe.skipIf(missing.length > 0)("with a validating BIND 9 as its DNS-over-HTTPS resolver", () => {
  let servers: BindServers;

  beforeAll(async () => {
    servers = await startBind(ZONES);
  }, 60_000);

  afterAll(async () => {
    await servers?.stop();
  });

  function resolve(domain: string) {
    const resolver = createDomainKeyResolver({ fetch, dohUrls: [servers.dohUrl], now: Date.now });
    return resolver.resolve(parseDomain(domain));
  }

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

  test("with the authoritative server gone, what was not asked before gives dns-failed", async () => {
    await servers.stopAuthority();
    await expect(resolve("never-asked.plain.test")).rejects.toMatchObject({ code: "dns-failed" });
  }, 30_000);
});
