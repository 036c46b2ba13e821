// The last answers of DNS: what a reader goes on with in a later run, and for how long.

import { describe, expect, test } from "vitest";
import {
  createRememberingResolver,
  type DomainAnswers,
  parseDnsEvidence,
} from "../../lib/client/remembered-answers.ts";
import { type DnsEvidence, STALE_SECONDS_MAX } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob } from "../../lib/openssh-key.ts";
import { NXDOMAIN, SERVFAIL, testResolver, type Zone } from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const [KEY = ""] = formatKeyRecords({ blob: encodePublicKeyBlob(new Uint8Array(32).fill(1)), emails: [] });

/** Runs of a client that share what is kept, and nothing else. */
function client(zones: Zone[]) {
  const kept = new Map<Domain, DnsEvidence>();
  const counts = { writes: 0 };
  const answers: DomainAnswers = {
    find: async (domain) => kept.get(domain) ?? null,
    keep: async (domain, answer) => {
      counts.writes += 1;
      kept.set(domain, parseDnsEvidence(JSON.parse(JSON.stringify(answer))));
    },
  };
  const told: string[] = [];
  const time = { nowMs: Date.UTC(2026, 0, 2) };
  const dohUrls = zones.map((_, i) => `https://r${i}.test/dns-query`);
  const run = () => {
    const dns = testResolver((url) => zones[dohUrls.indexOf(url)] ?? {}, { dohUrls, now: () => time.nowMs });
    return createRememberingResolver({
      ...{ resolver: dns, answers, use: "read", agreementMin: zones.length, now: () => time.nowMs },
      tell: (text) => told.push(text),
    });
  };
  return { run, kept, told, time, counts };
}

describe("where DNS fails in a later run", () => {
  async function failed(elapsedMs: number, rcode = SERVFAIL) {
    const zone: Zone = { texts: [KEY], ttl: 60 };
    const made = client([zone]);
    await made.run().resolve(DOMAIN, { for: "write" });
    made.time.nowMs += elapsedMs;
    zone.rcode = rcode;
    zone.texts = [];
    return made;
  }

  test("a reader goes on with the last answer, marked as stale, and is told once", async () => {
    const { run, told } = await failed(3_600_000);
    const resolver = run();
    const { keys, evidence } = await resolver.resolve(DOMAIN, { for: "read" });
    expect(keys).toHaveLength(1);
    expect(evidence).toMatchObject({ stale: true, resolvedAt: "2026-01-02T00:00:00.000Z" });
    await resolver.resolve(DOMAIN, { for: "read" });
    expect(told).toEqual([expect.stringContaining("2026-01-02T00:00:00.000Z")]);
  });

  test("a writer does not", async () => {
    const { run } = await failed(1_000);
    await expect(run().resolve(DOMAIN, { for: "write" })).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("nobody does a day after its TTL, nor with an answer from the future", async () => {
    const limitMs = (60 + STALE_SECONDS_MAX) * 1000;
    const before = await failed(limitMs - 1);
    expect((await before.run().resolve(DOMAIN, { for: "read" })).evidence.stale).toBe(true);
    for (const elapsedMs of [limitMs, -1]) {
      const { run } = await failed(elapsedMs);
      await expect(run().resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({ code: "dns-failed" });
    }
  });

  test("an answer that there is nothing is an answer", async () => {
    const { run } = await failed(1_000, NXDOMAIN);
    await expect(run().resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({ code: "domain-not-found" });
  });
});

test("an answer is kept once, and not on the word of one resolver of two", async () => {
  const { run, kept, counts } = client([{ texts: [KEY], ttl: 60 }]);
  const resolver = run();
  for (let i = 0; i < 3; i++) await resolver.resolve(DOMAIN);
  expect({ writes: counts.writes, kept: kept.size }).toEqual({ writes: 1, kept: 1 });
  const alone = client([{ rcode: SERVFAIL }, { texts: [KEY], ttl: 60 }]);
  await alone.run().resolve(DOMAIN, { for: "read" });
  expect(alone.kept.size).toBe(0);
});

test("what is kept is parsed on the way in", () => {
  const good = {
    ...{ ad: false, records: [KEY], resolvers: ["https://r.test"], agreement: 1 },
    ...{ resolvedAt: "2026-01-02T00:00:00.000Z", ttlSeconds: 60, stale: false },
  };
  expect(parseDnsEvidence(good)).toEqual(good);
  for (const bad of [
    null,
    { ...good, ttlSeconds: -1 },
    { ...good, resolvedAt: "yesterday" },
    { ...good, records: [1] },
    { ...good, more: 1 },
  ])
    expect(() => parseDnsEvidence(bad)).toThrow(expect.objectContaining({ code: "invalid-record" }));
});
