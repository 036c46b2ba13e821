// Resolving a domain's keys: what is cached and for how long, which resolver is asked, what people are told.

import { describe, expect, test } from "vitest";
import {
  authorizeKey,
  authorRecordName,
  createDomainKeyCache,
  createDomainKeyResolver,
} from "../../lib/domain-keys.ts";
import { formatKeyRecords } from "../../lib/domain-records.ts";
import type { Fetch } from "../../lib/fetch.ts";
import { parseDomain } from "../../lib/names.ts";
import { encodePublicKeyBlob } from "../../lib/openssh-key.ts";
import {
  encodeZone,
  FIRST_URL,
  NXDOMAIN,
  nameIn,
  SERVFAIL,
  START_MS,
  testResolver,
  type Zone,
} from "./test-resolver.ts";

const DOMAIN = parseDomain("example.org");
const NAME = "_holdfast.example.org";
const BLOB = encodePublicKeyBlob(new Uint8Array(32).fill(1));
const OTHER_BLOB = encodePublicKeyBlob(new Uint8Array(32).fill(2));
const [KEY_TEXT = ""] = formatKeyRecords({ blob: BLOB, emails: [] });
const [ALICE_TEXT = ""] = formatKeyRecords({ blob: BLOB, emails: ["alice@example.org"] });

describe("a resolved domain", () => {
  test("comes with its keys, policy and evidence", async () => {
    const { resolve } = testResolver(() => ({ texts: [ALICE_TEXT, "v=spf1 -all"], ttl: 60 }));
    expect(await resolve(DOMAIN)).toMatchObject({
      domain: DOMAIN,
      policy: "exclusive",
      keys: [{ blob: BLOB, emails: ["alice@example.org"] }],
      problems: [],
      evidence: {
        ad: false,
        records: [ALICE_TEXT],
        resolvers: [FIRST_URL],
        agreement: 1,
        resolvedAt: "2026-01-02T00:00:00.000Z",
        ttlSeconds: 60,
        stale: false,
      },
    });
  });

  test("is resolved by asking for the TXT records at _holdfast.<domain>", async () => {
    const names: string[] = [];
    const fetch: Fetch = async (_url, init) => {
      names.push(typeof init?.body === "object" ? nameIn(init.body) : "");
      return new Response(encodeZone({ texts: [KEY_TEXT] }, init?.body), {
        headers: { "content-type": "application/dns-message" },
      });
    };
    await createDomainKeyResolver({ fetch, dohUrls: [FIRST_URL], now: () => START_MS }).resolve(DOMAIN);
    expect(names).toEqual([NAME]);
  });

  test("under policy moderated needs no key of its own", async () => {
    const { resolve } = testResolver(() => ({ texts: ["v=hf1; policy=moderated"] }));
    expect(await resolve(DOMAIN)).toMatchObject({ policy: "moderated", keys: [] });
  });
});

describe("the cache", () => {
  test("answers until the TTL has passed, then DNS is asked again", async () => {
    const { resolve, asked, clock } = testResolver(() => ({ texts: [KEY_TEXT], ttl: 60 }));
    await resolve(DOMAIN);
    clock.nowMs += 59_999;
    await resolve(DOMAIN);
    expect(asked).toHaveLength(1);
    clock.nowMs += 1;
    await resolve(DOMAIN);
    expect(asked).toHaveLength(2);
  });

  test("keeps nothing longer than an hour, whatever the TTL", async () => {
    const { resolve, asked, clock } = testResolver(() => ({ texts: [KEY_TEXT], ttl: 1_000_000 }));
    await resolve(DOMAIN);
    clock.nowMs += 3_600_000;
    await resolve(DOMAIN);
    expect(asked).toHaveLength(2);
  });

  for (const [title, zone] of Object.entries({
    "a name that does not exist": { rcode: NXDOMAIN, ttl: 3600 },
    "a name without keys": { texts: ["v=spf1 -all"], ttl: 3600 },
    "contradictory policies": { texts: ["v=hf1; policy=exclusive", "v=hf1; policy=moderated"], ttl: 3600 },
  })) {
    test(`keeps ${title} at most 30 seconds`, async () => {
      const { resolve, asked, clock } = testResolver(() => zone);
      await expect(resolve(DOMAIN)).rejects.toThrow();
      clock.nowMs += 29_999;
      await expect(resolve(DOMAIN)).rejects.toThrow();
      expect(asked).toHaveLength(1);
      clock.nowMs += 1;
      await expect(resolve(DOMAIN)).rejects.toThrow();
      expect(asked).toHaveLength(2);
    });
  }

  test("keeps a negative answer no longer than the zone allows", async () => {
    const { resolve, asked, clock } = testResolver(() => ({ rcode: NXDOMAIN, ttl: 5 }));
    await expect(resolve(DOMAIN)).rejects.toThrow();
    clock.nowMs += 5_000;
    await expect(resolve(DOMAIN)).rejects.toThrow();
    expect(asked).toHaveLength(2);
  });

  test("never keeps a failure of DNS", async () => {
    const { resolve, asked } = testResolver(() => ({ rcode: SERVFAIL }));
    await expect(resolve(DOMAIN)).rejects.toThrow();
    await expect(resolve(DOMAIN)).rejects.toThrow();
    expect(asked).toHaveLength(2);
  });

  test("is passed by when fresh is asked for, and then holds the fresh answer", async () => {
    const zone: Zone = { texts: [KEY_TEXT], ttl: 60 };
    const { resolve } = testResolver(() => zone);
    await resolve(DOMAIN);
    zone.texts = [ALICE_TEXT];
    expect((await resolve(DOMAIN)).keys[0]?.emails).toEqual([]);
    expect((await resolve(DOMAIN, { fresh: true })).keys[0]?.emails).toEqual(["alice@example.org"]);
    expect((await resolve(DOMAIN)).keys[0]?.emails).toEqual(["alice@example.org"]);
  });

  test("forgets withdrawn keys when a fresh answer has none", async () => {
    const zone: Zone = { texts: [KEY_TEXT], ttl: 60 };
    const { resolve } = testResolver(() => zone);
    await resolve(DOMAIN);
    zone.texts = [];
    await expect(resolve(DOMAIN, { fresh: true })).rejects.toMatchObject({ code: "no-domain-key" });
    await expect(resolve(DOMAIN)).rejects.toMatchObject({ code: "no-domain-key" });
  });

  test("a fresh question that fails is a failure, though an older answer is still held", async () => {
    const zone: Zone = { texts: [KEY_TEXT], ttl: 60 };
    const { resolve } = testResolver(() => zone);
    await resolve(DOMAIN);
    zone.rcode = SERVFAIL;
    await expect(resolve(DOMAIN, { fresh: true })).rejects.toMatchObject({ code: "dns-failed" });
  });

  test("drops the domain that was read least recently when it is full", async () => {
    const { resolve, asked } = testResolver(() => ({ texts: [KEY_TEXT], ttl: 60 }), {
      cache: createDomainKeyCache(2),
    });
    for (const domain of ["a.test", "b.test", "a.test", "c.test", "a.test"])
      await resolve(parseDomain(domain));
    expect(asked).toHaveLength(3);
    await resolve(parseDomain("b.test"));
    expect(asked).toHaveLength(4);
  });

  test("serves several resolvers, each with its own questions under way", async () => {
    const cache = createDomainKeyCache();
    const first = testResolver(() => ({ texts: [KEY_TEXT], ttl: 60 }), { cache });
    const second = testResolver(() => ({ texts: [KEY_TEXT], ttl: 60 }), { cache });
    await Promise.all([first.resolve(DOMAIN), second.resolve(DOMAIN)]);
    await second.resolve(DOMAIN);
    expect([first.asked.length, second.asked.length]).toEqual([1, 1]);
  });

  test("one question serves all who ask for a domain at once", async () => {
    const { resolve, asked } = testResolver(() => ({ texts: [KEY_TEXT], ttl: 0 }));
    const all = await Promise.all([resolve(DOMAIN), resolve(DOMAIN, { fresh: true }), resolve(DOMAIN)]);
    expect(all.map(({ keys }) => keys.length)).toEqual([1, 1, 1]);
    expect(asked).toHaveLength(1);
    await resolve(parseDomain("other.test"));
    expect(asked).toHaveLength(2);
  });

  test("one failure serves all who ask at once, and the next question is a new one", async () => {
    const zone: Zone = { rcode: SERVFAIL };
    const { resolve, asked } = testResolver(() => zone);
    const all = await Promise.allSettled([resolve(DOMAIN), resolve(DOMAIN)]);
    expect(all.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(asked).toHaveLength(1);
    zone.rcode = 0;
    zone.texts = [KEY_TEXT];
    expect((await resolve(DOMAIN)).keys).toHaveLength(1);
  });
});

describe("people are told what to do", () => {
  const cases: [string, Zone, string, RegExp][] = [
    [
      "a name that does not exist",
      { rcode: NXDOMAIN },
      "domain-not-found",
      /_holdfast\.example\.org does not exist.*publish.*TXT record at _holdfast\.example\.org/,
    ],
    [
      "no Holdfast record",
      { texts: ["v=spf1 -all"] },
      "no-domain-key",
      /no Holdfast record.*publish.*_holdfast\.example\.org/,
    ],
    [
      "a malformed key",
      { texts: ["v=hf1; k=ssh-rsa; p=AAAA"] },
      "no-domain-key",
      /no key.*k= must be ssh-ed25519.*publish/,
    ],
    ["a withdrawn key", { texts: ["v=hf1; k=ssh-ed25519; p="] }, "no-domain-key", /no key.*publish/],
    [
      "two policies",
      { texts: ["v=hf1; policy=exclusive", "v=hf1; policy=moderated"] },
      "invalid-record",
      /_holdfast\.example\.org.*contradict.*publish one/,
    ],
  ];
  for (const [title, zone, code, message] of cases) {
    test(`about ${title}`, async () => {
      const { resolve } = testResolver(() => zone);
      await expect(resolve(DOMAIN)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    });
  }

  test("about a domain too long to hold the record", async () => {
    const { resolve, asked } = testResolver(() => ({}));
    const domain = parseDomain(
      `${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(60)}.test`,
    );
    await expect(resolve(domain)).rejects.toMatchObject({ code: "invalid-domain" });
    expect(asked).toEqual([]);
  });
});

describe("authorizing a key", () => {
  const keysOf = (texts: string[]) => testResolver(() => ({ texts })).resolve(DOMAIN);

  test("a published key without an address signs for any author", async () => {
    expect(authorizeKey(await keysOf([KEY_TEXT]), BLOB, "bob@example.net").blob).toEqual(BLOB);
  });

  test("a published key with addresses signs for those only, letter by letter", async () => {
    const keys = await keysOf([ALICE_TEXT, ...formatKeyRecords({ blob: BLOB, emails: ["al@example.org"] })]);
    expect(authorizeKey(keys, BLOB, "alice@example.org").blob).toEqual(BLOB);
    expect(authorizeKey(keys, BLOB, "al@example.org").blob).toEqual(BLOB);
    for (const author of [
      "bob@example.org",
      "Alice@example.org",
      "alice@example.org.evil.test",
      "lice@example.org",
      "",
    ]) {
      expect(() => authorizeKey(keys, BLOB, author)).toThrow(
        expect.objectContaining({ code: "author-mismatch" }),
      );
    }
  });

  test("any other key is not authorized, whatever the author", async () => {
    const keys = await keysOf([ALICE_TEXT]);
    const flipped = BLOB.map((byte, index) => (index === 50 ? byte ^ 1 : byte));
    for (const blob of [OTHER_BLOB, flipped, BLOB.slice(0, 50), new Uint8Array()]) {
      expect(() => authorizeKey(keys, blob, "alice@example.org")).toThrow(
        expect.objectContaining({ code: "key-not-authorized" }),
      );
    }
  });
});

describe("an author's own keys", () => {
  // printf alice | sha256sum | cut -c1-56
  const ALICE_NAME = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db._holdfast.example.net";
  const ALICE = "alice@example.net";

  test("stand at the name of RFC 7929, below the mail domain's", () => {
    expect(authorRecordName(ALICE)).toBe(ALICE_NAME);
    expect(authorRecordName("Alice@example.net")).not.toBe(ALICE_NAME);
    expect(() => authorRecordName("alice@no_domain")).toThrow(
      expect.objectContaining({ code: "invalid-domain" }),
    );
  });

  test("come with their evidence, those left out that are somebody else's", async () => {
    const texts = [
      ...formatKeyRecords({ blob: BLOB, emails: [ALICE] }),
      ...formatKeyRecords({ blob: OTHER_BLOB, emails: ["bob@example.net"] }),
    ];
    const { resolveAuthor } = testResolver(() => ({ texts }));
    const found = await resolveAuthor(ALICE);
    expect(found).toMatchObject({ email: ALICE, keys: [{ blob: BLOB }], evidence: { records: texts } });
    expect(found.keys).toHaveLength(1);
  });

  for (const [title, zone] of Object.entries({
    "a name that does not exist": { rcode: NXDOMAIN },
    "no Holdfast record": { texts: ["v=spf1 -all"] },
    "another's key only": { texts: formatKeyRecords({ blob: BLOB, emails: ["bob@example.net"] }) },
    "a withdrawn key": { texts: ["v=hf1; k=ssh-ed25519; p="] },
  } satisfies Record<string, Zone>)) {
    test(`are missing where there is ${title}: no-author-key`, async () => {
      const { resolveAuthor } = testResolver(() => zone);
      await expect(resolveAuthor(ALICE)).rejects.toMatchObject({ code: "no-author-key" });
    });
  }

  test("are not known where DNS fails, or contradicts itself", async () => {
    const failing = testResolver(() => ({ rcode: SERVFAIL }));
    await expect(failing.resolveAuthor(ALICE)).rejects.toMatchObject({ code: "dns-failed" });
    const torn = testResolver(() => ({ texts: ["v=hf1; policy=exclusive", "v=hf1; policy=moderated"] }));
    await expect(torn.resolveAuthor(ALICE)).rejects.toMatchObject({ code: "invalid-record" });
  });

  test("of an address whose domain is none are no-author-key, and nobody is asked", async () => {
    const { resolveAuthor, asked } = testResolver(() => ({ texts: [KEY_TEXT] }));
    await expect(resolveAuthor("alice@localhost..")).rejects.toMatchObject({ code: "no-author-key" });
    expect(asked).toEqual([]);
  });
});
