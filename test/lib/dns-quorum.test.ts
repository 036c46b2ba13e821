// Several resolvers: what agrees, what differs, who fails; what a reader may go on with and a write may not.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STALE_SECONDS_MAX } from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import { parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob } from "../../lib/openssh-key.ts";
import { NXDOMAIN, SERVFAIL, testResolver, type Zone } from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const textOf = (seed: number) =>
  formatKeyRecords({ blob: encodePublicKeyBlob(new Uint8Array(32).fill(seed)), emails: [] })[0] ?? "";
const KEY = textOf(1);
const EVIL = textOf(2);
const POLICY = "v=hf1; policy=exclusive";
const GOOD: Zone = { texts: [KEY] };

const urlOf = (i: number) => `https://r${i}.test/dns-query`;

/** One resolver for each zone, in this order. */
function resolvers(zones: Zone[], options: Parameters<typeof testResolver>[1] = {}) {
  const dohUrls = zones.map((_, i) => urlOf(i));
  return testResolver((url) => zones[dohUrls.indexOf(url)] ?? {}, { dohUrls, ...options });
}

describe("two resolvers", () => {
  test("that agree are both asked, at once, and both named in the evidence", async () => {
    const { resolve, asked } = resolvers([GOOD, GOOD, GOOD]);
    const { keys, evidence } = await resolve(DOMAIN);
    expect(keys).toHaveLength(1);
    expect(evidence).toMatchObject({ resolvers: [urlOf(0), urlOf(1)], agreement: 2, stale: false });
    expect(asked).toEqual([urlOf(0), urlOf(1)]);
  });

  test("agree whatever the order, the TTLs and the other records; the smallest TTL counts", async () => {
    const zones = [
      { texts: [KEY, POLICY, "v=spf1 -all"], ttl: 300 },
      { texts: ["google-site-verification=x", POLICY, KEY, KEY], ttl: 7 },
    ];
    const { evidence } = await resolvers(zones).resolve(DOMAIN);
    expect(evidence).toMatchObject({ agreement: 2, ttlSeconds: 7 });
  });

  test("have validated with DNSSEC only if each of them has", async () => {
    for (const [first, second, ad] of [
      [true, true, true],
      [true, false, false],
      [false, true, false],
    ] as const) {
      const zones = [
        { ...GOOD, ad: first },
        { ...GOOD, ad: second },
      ];
      expect((await resolvers(zones).resolve(DOMAIN)).evidence.ad).toBe(ad);
    }
  });

  const differences: Record<string, Zone> = {
    "another key": { texts: [EVIL] },
    "a key more": { texts: [KEY, EVIL] },
    "a key less": { texts: [] },
    "another policy": { texts: [KEY, "v=hf1; policy=moderated"] },
    "a name that does not exist": { rcode: NXDOMAIN },
    "a contradiction": { texts: [KEY, POLICY, "v=hf1; policy=moderated"] },
  };
  for (const [title, other] of Object.entries(differences)) {
    test(`of which one shows ${title} are a disagreement, for readers too, in either order`, async () => {
      for (const zones of [
        [GOOD, other],
        [other, GOOD],
      ]) {
        for (const use of ["read", "write"] as const) {
          await expect(resolvers(zones).resolve(DOMAIN, { for: use })).rejects.toMatchObject({
            code: "dns-disagreement",
            message: expect.stringMatching(/r0\.test.*r1\.test/),
          });
        }
      }
    });
  }

  test("that agree that there is nothing are believed", async () => {
    const zone = { rcode: NXDOMAIN };
    await expect(resolvers([zone, zone]).resolve(DOMAIN)).rejects.toMatchObject({ code: "domain-not-found" });
  });

  test("that are one resolver named twice are one", async () => {
    const { resolve, asked } = testResolver(() => GOOD, { dohUrls: [urlOf(0), urlOf(0)] });
    expect((await resolve(DOMAIN)).evidence.agreement).toBe(1);
    expect(asked).toHaveLength(1);
  });
});

describe("a third resolver", () => {
  test("decides where two differ, whichever of them lies", async () => {
    for (const liar of [0, 1]) {
      const zones = [GOOD, GOOD, GOOD].map((zone, i) => (i === liar ? { texts: [EVIL] } : zone));
      const { keys, evidence } = await resolvers(zones).resolve(DOMAIN);
      expect(keys.map(({ text }) => KEY.includes(text))).toEqual([true]);
      expect(evidence.resolvers).toEqual([urlOf(1 - liar), urlOf(2)]);
    }
  });

  test("that says something else again leaves a disagreement, and a fourth is not asked", async () => {
    const { resolve, asked } = resolvers([GOOD, { texts: [EVIL] }, { texts: [KEY, EVIL] }, GOOD]);
    await expect(resolve(DOMAIN)).rejects.toMatchObject({ code: "dns-disagreement" });
    expect(asked).toHaveLength(3);
  });

  test("stands in for one that fails, and a fourth for a third that fails", async () => {
    const { evidence } = await resolvers([{ rcode: SERVFAIL }, GOOD, GOOD]).resolve(DOMAIN);
    expect([...evidence.resolvers].sort()).toEqual([urlOf(1), urlOf(2)]);
    const differing = resolvers([GOOD, { texts: [EVIL] }, { rcode: SERVFAIL }, GOOD]);
    expect((await differing.resolve(DOMAIN)).evidence.resolvers).toEqual([urlOf(0), urlOf(3)]);
  });

  test("stands in for one that is silent past the timeout", async () => {
    const { resolve } = resolvers([{ isSilent: true }, GOOD, GOOD], { timeoutMs: 50 });
    expect((await resolve(DOMAIN)).evidence.agreement).toBe(2);
  });
});

describe("where only one of several answers", () => {
  const zones = (): Zone[] => [{ rcode: SERVFAIL }, { ...GOOD }];

  test("a reader goes on with it, and the evidence says so", async () => {
    const { evidence } = await resolvers(zones()).resolve(DOMAIN, { for: "read" });
    expect(evidence).toMatchObject({ resolvers: [urlOf(1)], agreement: 1 });
  });

  test("a write is refused, and told who failed", async () => {
    for (const how of [{}, { for: "write" }] as const) {
      await expect(resolvers(zones()).resolve(DOMAIN, how)).rejects.toMatchObject({
        code: "dns-failed",
        message: expect.stringMatching(/r0\.test.*SERVFAIL/),
      });
    }
  });

  test("what a reader went on with is no answer for a write, which asks again", async () => {
    const both = zones();
    const { resolve } = resolvers(both);
    await resolve(DOMAIN, { for: "read" });
    await expect(resolve(DOMAIN)).rejects.toMatchObject({ code: "dns-failed" });
    both[0] = GOOD;
    expect((await resolve(DOMAIN)).evidence.agreement).toBe(2);
  });

  test("its word that there is nothing holds for a reader alone", async () => {
    const alone = () => resolvers([{ rcode: SERVFAIL }, { rcode: NXDOMAIN }]);
    await expect(alone().resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({
      code: "domain-not-found",
    });
    await expect(alone().resolve(DOMAIN)).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("it is kept 30 seconds at most, so that two are asked again soon", async () => {
    const { resolve, asked, clock } = resolvers([{ rcode: SERVFAIL }, { ...GOOD, ttl: 3600 }]);
    await resolve(DOMAIN, { for: "read" });
    clock.nowMs += 29_999;
    await resolve(DOMAIN, { for: "read" });
    expect(asked).toHaveLength(2);
    clock.nowMs += 1;
    await resolve(DOMAIN, { for: "read" });
    expect(asked).toHaveLength(4);
  });

  test("a resolver made for reading goes on with it unasked", async () => {
    const { resolve } = resolvers(zones(), { use: "read" });
    expect((await resolve(DOMAIN)).evidence.agreement).toBe(1);
    await expect(resolve(DOMAIN, { for: "write" })).rejects.toMatchObject({ code: "dns-failed" });
  });
});

describe("where DNS fails after it has answered", () => {
  async function failingAfter(zone: Zone, elapsedMs: number) {
    const zones = [{ ...zone }, { ...zone }];
    const made = resolvers(zones);
    await made.resolve(DOMAIN).catch(() => undefined); // a negative answer is an error, and is kept all the same
    made.clock.nowMs += elapsedMs;
    for (const one of zones) one.rcode = SERVFAIL;
    return made;
  }

  test("a reader goes on with the answer that ran out, and the evidence says so", async () => {
    const { resolve } = await failingAfter({ texts: [KEY], ttl: 60 }, 60_000);
    const { keys, evidence } = await resolve(DOMAIN, { for: "read" });
    expect(keys).toHaveLength(1);
    expect(evidence).toMatchObject({ stale: true, resolvedAt: "2026-01-02T00:00:00.000Z" });
  });

  test("a write never does", async () => {
    const { resolve } = await failingAfter({ texts: [KEY], ttl: 60 }, 60_000);
    await resolve(DOMAIN, { for: "read" });
    await expect(resolve(DOMAIN)).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a reader does for a day after the TTL, and no longer", async () => {
    const limitMs = (60 + STALE_SECONDS_MAX) * 1000;
    const before = await failingAfter({ texts: [KEY], ttl: 60 }, limitMs - 1);
    expect((await before.resolve(DOMAIN, { for: "read" })).evidence.stale).toBe(true);
    const after = await failingAfter({ texts: [KEY], ttl: 60 }, limitMs);
    await expect(after.resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("a fresh question of a reader is answered from within the TTL, and that is not stale", async () => {
    const { resolve } = await failingAfter({ texts: [KEY], ttl: 60 }, 59_999);
    expect((await resolve(DOMAIN, { for: "read", fresh: true })).evidence.stale).toBe(false);
  });

  test("there is nothing to go on with where nothing stood", async () => {
    for (const zone of [{ rcode: NXDOMAIN }, { texts: ["v=spf1 -all"] }]) {
      const { resolve } = await failingAfter({ ...zone, ttl: 5 }, 5_000);
      await expect(resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({ code: "dns-failed" });
    }
  });

  test("a disagreement is no failure: nobody goes on past it", async () => {
    const zones: Zone[] = [{ ...GOOD }, { ...GOOD }];
    const { resolve, clock } = resolvers(zones);
    await resolve(DOMAIN);
    clock.nowMs += 60_000;
    zones[1] = { texts: [EVIL] };
    await expect(resolve(DOMAIN, { for: "read" })).rejects.toMatchObject({ code: "dns-disagreement" });
  });
});

test("no single resolver, whatever it says, ever adds a key to what two others agree on", async () => {
  const zone = fc.oneof(
    fc.subarray([KEY, EVIL, POLICY, "v=hf1; policy=moderated", "v=hf1; k=ssh-ed25519; p="]).map((texts) => ({
      texts,
    })),
    fc.constantFrom<Zone>({ rcode: SERVFAIL }, { rcode: NXDOMAIN }),
  );
  await fc.assert(
    fc.asyncProperty(
      zone,
      fc.nat(2),
      fc.constantFrom("read" as const, "write" as const),
      async (lie, at, use) => {
        const zones = [GOOD, GOOD, GOOD].map((honest, i) => (i === at ? lie : honest));
        const { keys, policy } = await resolvers(zones).resolve(DOMAIN, { for: use });
        expect(policy).toBe("exclusive");
        expect(keys.map(({ text }) => KEY.includes(text))).toEqual([true]);
      },
    ),
  );
});
