// Known domains: which changes of keys a client follows, and which stop it.

import { describe, expect, test } from "vitest";
import {
  createKnownDomainsResolver,
  type KnownDomain,
  type KnownDomains,
  SEEN_AGAIN_MS,
} from "../../lib/client/known-domains.ts";
import type { DomainKeyUse } from "../../lib/domain-keys.ts";
import { formatKeyRecords, formatRotationRecord } from "../../lib/domain-records.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { fingerprintOf } from "../../lib/openssh-key.ts";
import { signRotation } from "../../lib/rotation.ts";
import type { StatementSigner } from "../../lib/sshsig.ts";
import { SERVFAIL, testResolver, testSigner, type Zone } from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const TIME = "2026-01-02T00:00:00.000Z";
const [a, b, c] = await Promise.all([testSigner(1), testSigner(2), testSigner(3)]);
const record = ({ key }: StatementSigner) => formatKeyRecords({ blob: key, emails: [] })[0] ?? "";
const rotation = async (from: StatementSigner, to: StatementSigner, domain: Domain = DOMAIN) =>
  formatRotationRecord(await signRotation({ domain, to: to.key, time: TIME }, from));
const print = ({ key }: StatementSigner) => fingerprintOf(key);

/** A client over resolvers whose zones may be changed; TTL 0, so that each look is a new one. */
function client(zones: Zone[]) {
  const kept = new Map<Domain, KnownDomain>();
  const told: string[] = [];
  const counts = { writes: 0 };
  const known: KnownDomains = {
    find: async (domain) => kept.get(domain) ?? null,
    remember: async (domain, entry) => {
      counts.writes += 1;
      kept.set(domain, entry);
    },
  };
  const dohUrls = zones.map((_, i) => `https://r${i}.test/dns-query`);
  const { clock, ...dns } = testResolver((url) => zones[dohUrls.indexOf(url)] ?? {}, { dohUrls });
  /** A new run of the command. */
  const run = (use: DomainKeyUse = "read") =>
    createKnownDomainsResolver({
      resolver: {
        resolve: (domain, how) => dns.resolve(domain, { for: use, ...how }),
        resolveAuthor: dns.resolveAuthor,
      },
      known,
      use,
      agreementMin: Math.min(2, zones.length),
      now: () => clock.nowMs,
      tell: (text) => told.push(text),
    }).resolve(DOMAIN);
  return { run, told, kept, clock, counts };
}

/** A client that has seen `before`, and then sees `after`. */
async function seen(before: Zone, after: Zone) {
  const zone: Zone = { ttl: 0, ...before };
  const made = client([zone]);
  await made.run();
  Object.assign(zone, after);
  return made;
}

describe("a domain", () => {
  test("is trusted on first use, in silence, and the same keys after that", async () => {
    const { run, told, kept } = client([{ texts: [record(a)], ttl: 0 }]);
    await run();
    await run("write");
    expect(told).toEqual([]);
    expect(kept.get(DOMAIN)).toEqual({ fingerprints: [print(a)], dnssec: false, seenAt: TIME });
  });

  test("is written again only where something is new, or after a day", async () => {
    const { run, counts, clock } = client([{ texts: [record(a)], ttl: 0 }]);
    await run();
    clock.nowMs += SEEN_AGAIN_MS - 1;
    await run();
    expect(counts.writes).toBe(1);
    clock.nowMs += 1;
    await run();
    expect(counts.writes).toBe(2);
  });

  test("is not known by the word of one resolver where two are configured, nor by an answer that ran out", async () => {
    const alone = client([{ rcode: SERVFAIL }, { texts: [record(a)], ttl: 0 }]);
    await alone.run();
    expect(alone.kept.size).toBe(0);
    const zone: Zone = { texts: [record(a)], ttl: 0 };
    const stale = client([zone]);
    await stale.run();
    stale.kept.clear();
    zone.rcode = SERVFAIL;
    await stale.run();
    expect(stale.kept.size).toBe(0);
    zone.rcode = 0;
    await stale.run();
    expect(stale.kept.size).toBe(1);
  });
});

describe("where keys change", () => {
  test("and one known before is still there, the change is followed and said once", async () => {
    const { run, told, kept } = await seen({ texts: [record(a)] }, { texts: [record(a), record(b)] });
    await run();
    expect(told).toEqual([expect.stringContaining(`added ${print(b)}`)]);
    await run();
    expect(told).toHaveLength(1);
    expect(kept.get(DOMAIN)?.fingerprints).toEqual([print(a), print(b)]);
  });

  test("step by step with an overlap, a client that looks in between comes along", async () => {
    const zone: Zone = { ttl: 0, texts: [record(a)] };
    const { run, told } = client([zone]);
    await run();
    zone.texts = [record(a), record(b)];
    await run();
    zone.texts = [record(b)];
    await run();
    expect(told[1]).toContain(`removed ${print(a)}`);
  });

  test("and none known before is left, everything stops, until a rotation leads on", async () => {
    const { run, kept } = await seen({ texts: [record(a)] }, { texts: [record(b)] });
    for (const use of ["read", "write"] as const) {
      await expect(run(use)).rejects.toMatchObject({
        code: "domain-keys-changed",
        message: expect.stringMatching(/HAVE CHANGED[\s\S]*holdfast domain trust example\.org/),
      });
    }
    expect(kept.get(DOMAIN)?.fingerprints).toEqual([print(a)]);
  });

  test("a rotation by the known key is followed, and a chain of two", async () => {
    for (const texts of [
      [record(b), await rotation(a, b)],
      [record(c), await rotation(b, c), await rotation(a, b)],
    ]) {
      const { run, told } = await seen({ texts: [record(a)] }, { texts });
      await run("write");
      expect(told).toEqual([expect.stringContaining("signed the rotation")]);
      await run();
      expect(told).toHaveLength(1);
    }
  });

  test("a rotation of another domain, by the new key, or to an absent key leads nowhere", async () => {
    for (const texts of [
      [record(b), await rotation(a, b, parseDomain("example.net"))],
      [record(b), await rotation(b, a)],
      [record(b), await rotation(a, c)],
      [record(b), await rotation(c, b)],
    ]) {
      const { run } = await seen({ texts: [record(a)] }, { texts });
      await expect(run()).rejects.toMatchObject({ code: "domain-keys-changed" });
    }
  });

  test("a moderated domain that loses all its keys stops too, and may have its first", async () => {
    const moderated = "v=hf1; policy=moderated";
    const lost = await seen({ texts: [record(a), moderated] }, { texts: [moderated] });
    await expect(lost.run()).rejects.toMatchObject({ code: "domain-keys-changed" });
    const gained = await seen({ texts: [moderated] }, { texts: [record(a), moderated] });
    await gained.run();
    expect(gained.kept.get(DOMAIN)?.fingerprints).toEqual([print(a)]);
  });
});

describe("where DNSSEC is lost", () => {
  const signed: Zone = { texts: [record(a)], ad: true };

  test("readers go on with the keys known, and are warned each time; writers stop", async () => {
    const { run, told, kept } = await seen(signed, { ad: false });
    await run();
    await run();
    expect(told).toHaveLength(2);
    expect(told[0]).toMatch(/without.*holdfast domain trust/);
    await expect(run("write")).rejects.toMatchObject({ code: "dnssec-lost" });
    expect(kept.get(DOMAIN)?.dnssec).toBe(true);
  });

  test("a key that comes with it is not taken, beside a known one or in its place", async () => {
    for (const texts of [[record(a), record(b)], [record(b)]]) {
      const { run } = await seen(signed, { ad: false, texts });
      await expect(run()).rejects.toMatchObject({ code: "dnssec-lost" });
    }
  });

  test("one to which the known key has signed a rotation is", async () => {
    const { run, kept } = await seen(signed, { ad: false, texts: [record(b), await rotation(a, b)] });
    await run();
    expect(kept.get(DOMAIN)).toMatchObject({ fingerprints: [print(b)], dnssec: true });
  });

  test("and comes back, all is as before", async () => {
    const zone: Zone = { ...signed, ttl: 0 };
    const { run, told } = client([zone]);
    for (const ad of [true, false, true]) {
      zone.ad = ad;
      await run();
    }
    await run("write");
    expect(told).toHaveLength(1);
  });

  test("nothing is lost where it was never seen", async () => {
    const { run, told } = await seen({ texts: [record(a)] }, { texts: [record(a), record(b)] });
    await run("write");
    expect(told).toHaveLength(1);
  });
});
