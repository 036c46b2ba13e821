import { describe, expect, test } from "vitest";
import { checkOwner, ownerBy, type Right } from "../../lib/authority.ts";
import {
  checkDelegatedUse,
  type Delegation,
  delegationKind,
  matchesName,
  parseNamePattern,
} from "../../lib/delegation.ts";
import { witnessedAt, witnessedRight } from "../../lib/earlier-keys.ts";
import { importSigner } from "../../lib/ed25519.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { mayRemove, type Removal, removalKind, removes, verifyRemoval } from "../../lib/removal.ts";
import { createStatementSigner, type StatementSigner } from "../../lib/sshsig.ts";
import { signStatement, verifyStatement } from "../../lib/statement.ts";
import { versionKind } from "../../lib/version.ts";
import { signWitness } from "../../lib/witness.ts";

const DOMAIN = parseDomain("example.org");
const NAME = parseName("docs/guide.md");
const NAME_HASH = nameHashOf(DOMAIN, NAME);
const AUTHOR = "alice@example.net";
const NOW_MS = Date.parse("2026-06-01T00:00:00.000Z");
const TIME = new Date(NOW_MS).toISOString();
const signerOf = async (fill: number) =>
  createStatementSigner(await importSigner(new Uint8Array(32).fill(fill)));

async function delegation(changes: Partial<Delegation> = {}) {
  const [domainKey, author] = [await signerOf(1), await signerOf(2)];
  const body: Delegation = {
    type: "holdfast-delegation-1",
    ...{ domain: DOMAIN, email: AUTHOR, key: formatPublicKeyText(author.key), names: ["docs/*"] },
    ...{ from: "2026-01-01T00:00:00.000Z", until: "2027-01-01T00:00:00.000Z" },
    ...changes,
  };
  const signed = await verifyStatement(delegationKind, await signStatement(delegationKind, body, domainKey));
  const use = { domain: DOMAIN, author: AUTHOR, key: author.key, name: NAME, timeMs: NOW_MS };
  return { signed, use };
}

describe("a delegation", () => {
  test("is for its use", async () => {
    const { signed, use } = await delegation();
    expect(() => checkDelegatedUse(signed, use)).not.toThrow();
    // Where no name is in question yet, none is missing.
    expect(() => checkDelegatedUse(signed, { ...use, name: undefined })).not.toThrow();
  });

  test.each([
    ["of another domain", { domain: parseDomain("example.com") }],
    ["of another author", { author: "bob@example.net" }],
    ["with another key", { key: new Uint8Array(51) }],
    ["of a name outside", { name: parseName("other/guide.md") }],
    ["of a private name", { name: null }],
    ["before it begins", { timeMs: Date.parse("2025-12-31T23:59:59.999Z") }],
    ["from its end on", { timeMs: Date.parse("2027-01-01T00:00:00.000Z") }],
  ])("is not for a use %s", async (_, change) => {
    const { signed, use } = await delegation();
    expect(() => checkDelegatedUse(signed, { ...use, ...change })).toThrow(
      expect.objectContaining({ code: "delegation-mismatch" }),
    );
  });

  test.each([
    ["ends before it begins", { until: "2025-12-31T00:00:00.000Z" }],
    ["ends in a hundred years", { until: "2126-01-01T00:00:00.000Z" }],
  ])("that %s is none", async (_, change) => {
    const { signed, use } = await delegation(change);
    expect(() => checkDelegatedUse(signed, use)).toThrow(
      expect.objectContaining({ code: "delegation-mismatch" }),
    );
  });

  test.each([[[]], [["*/x"]], [["a*b"]], [["../*"]], [["/*"]], [["a//*"]], [["**"]]])(
    "with the patterns %j does not parse",
    async (names) => {
      await expect(delegation({ names })).rejects.toMatchObject({ code: "invalid-statement" });
    },
  );

  test("covers names by their beginning, or as they stand", () => {
    const [guide, root] = [parseName("docs/guide.md"), parseName("docs")];
    expect(matchesName("docs/*", guide)).toBe(true);
    expect(matchesName("docs/*", root)).toBe(false);
    expect(matchesName("docs*", root)).toBe(true);
    expect(matchesName("docs", guide)).toBe(false);
    expect(matchesName("docs/guide.md", guide)).toBe(true);
    expect([matchesName("*", null), matchesName("d*", null)]).toEqual([true, false]);
    expect(() => parseNamePattern("a*b")).toThrow(expect.objectContaining({ code: "invalid-name" }));
  });
});

const DOMAIN_KEY: Right = { by: "domain-key" };
const AUTHOR_KEY: Right = { by: "author-key" };
const byDelegation = (from: string | null): Right => ({
  by: "delegation",
  delegation: hashBytes(new Uint8Array([1])),
  from,
});

describe("a name of a moderated domain", () => {
  test.each([
    ["an author's own", AUTHOR_KEY, AUTHOR],
    ["the domain's", DOMAIN_KEY, null],
    ["the domain's, by its delegation", byDelegation(null), null],
    ["an author's, by their delegation", byDelegation("carol@example.net"), "carol@example.net"],
  ])("is %s, by who created it", (_, right, owner) => {
    expect(ownerBy(right, AUTHOR)).toBe(owner);
  });

  test("is added to by its owner, by their delegation, and by the domain", () => {
    for (const right of [AUTHOR_KEY, DOMAIN_KEY, byDelegation(null), byDelegation(AUTHOR)])
      expect(() => checkOwner(AUTHOR, right, AUTHOR)).not.toThrow();
    for (const owner of [null, "carol@example.net"]) {
      expect(() => checkOwner(owner, AUTHOR_KEY, AUTHOR)).toThrow(
        expect.objectContaining({ code: "name-owned" }),
      );
      expect(() => checkOwner(owner, byDelegation(AUTHOR), AUTHOR)).toThrow(
        expect.objectContaining({ code: "name-owned" }),
      );
      expect(() => checkOwner(owner, DOMAIN_KEY, AUTHOR)).not.toThrow();
    }
  });
});

describe("a Removal", () => {
  const body = (what: Partial<Removal>): Removal => ({
    type: "holdfast-removal-1",
    ...{ domain: DOMAIN, nameHash: NAME_HASH, author: AUTHOR, reason: "broken", time: TIME },
    ...what,
  });
  const id = (text: string) => hashBytes(new TextEncoder().encode(text));

  test("names Versions, or all up to a sequence", () => {
    expect(removes(body({ versions: [id("a")] }), { id: id("a"), sequence: 9 })).toBe(true);
    expect(removes(body({ versions: [id("a")] }), { id: id("b"), sequence: 1 })).toBe(false);
    expect(removes(body({ through: 2 }), { id: id("b"), sequence: 2 })).toBe(true);
    expect(removes(body({ through: 2 }), { id: id("b"), sequence: 3 })).toBe(false);
  });

  test("verifies as it was signed", async () => {
    const signed = await signStatement(removalKind, body({ through: 1 }), await signerOf(1));
    expect((await verifyRemoval(signed)).body).toEqual(body({ through: 1 }));
  });

  test.each([
    ["nothing", {}],
    ["both", { through: 1, versions: [id("a")] }],
    ["no Version", { versions: [] }],
    ["sequence 0", { through: 0 }],
    ["too many Versions", { versions: Array.from({ length: 101 }, (_, i) => id(`${i}`)) }],
    ["a reason of two lines", { through: 1, reason: "a\nb" }],
    ["a reason that turns around", { through: 1, reason: "a\u202eb" }],
    ["a long reason", { through: 1, reason: "x".repeat(501) }],
  ])("that names %s is none", async (_, what) => {
    await expect(signStatement(removalKind, body(what), await signerOf(1))).rejects.toMatchObject({
      code: "invalid-statement",
    });
  });

  test("by the domain reaches everything, by an author their own", () => {
    const [mine, theirs] = [
      { right: AUTHOR_KEY.by, author: AUTHOR },
      { right: AUTHOR_KEY.by, author: "bob@example.net" },
    ];
    const byDomain = { right: DOMAIN_KEY.by, author: AUTHOR };
    expect([mayRemove(byDomain, theirs), mayRemove(mine, mine), mayRemove(mine, theirs)]).toEqual([
      true,
      true,
      false,
    ]);
    // The domain's key has merely said that it is alice's.
    expect(mayRemove(mine, byDomain)).toBe(false);
  });
});

describe("a witness", () => {
  const edges = [3, 4, 5];
  const idOf = ({ key }: StatementSigner): Hash => hashBytes(key);
  async function witnessed(atMs = NOW_MS) {
    const author = await signerOf(1);
    const version = await signStatement(
      versionKind,
      {
        type: "holdfast-version-1",
        ...{ domain: DOMAIN, name: NAME, nameHash: NAME_HASH, sequence: 1, previous: null, time: TIME },
        ...{ manifest: hashBytes(new Uint8Array()), size: 0, author: AUTHOR },
      },
      author,
    );
    const records = [`v=hf1; k=ssh-ed25519; p=${formatPublicKeyText(author.key)}; e=${AUTHOR}`];
    const evidence = {
      ...{ ad: true, records, resolvers: ["https://r.test"], agreement: 1 },
      ...{ resolvedAt: TIME, ttlSeconds: 60, stale: false },
    };
    const domainKeys = {
      ...{ domain: DOMAIN, policy: "exclusive" as const, authors: [], keys: [], problems: [], evidence },
      ...{ hasWithdrawnKey: false, revoked: [], rotations: [] },
    };
    const authority = { right: DOMAIN_KEY, isAuthorVerified: true, domainKeys, authorKeys: null };
    const signers = await Promise.all(edges.map(signerOf));
    const witnesses = await Promise.all(
      signers.map((signer) => signWitness(version, authority, idOf(signer), atMs, signer)),
    );
    return { statement: version, witnesses, delegation: null, ids: signers.map(idOf) };
  }
  const none: ReadonlySet<Hash> = new Set();

  test("of one's own edge is enough, of others it takes two", async () => {
    const { ids, ...evidenced } = await witnessed();
    const [a, b] = ids as [Hash, Hash];
    const expected = { right: DOMAIN_KEY, isAuthorVerified: true };
    expect(await witnessedRight(evidenced, { own: new Set([a]), peers: none })).toMatchObject({
      ...expected,
      ...{ edge: a, atMs: NOW_MS, witness: evidenced.witnesses[0] },
    });
    expect(await witnessedRight(evidenced, { own: none, peers: new Set([a, b]) })).toMatchObject(expected);
    expect(await witnessedRight(evidenced, { own: none, peers: new Set([a]) })).toBeNull();
    expect(await witnessedRight(evidenced, { own: none, peers: none })).toBeNull();
    // The same one twice is one.
    const twice = { ...evidenced, witnesses: evidenced.witnesses.slice(0, 1).flatMap((one) => [one, one]) };
    expect(await witnessedRight(twice, { own: none, peers: new Set([a, b]) })).toBeNull();
  });

  test("counts for nothing with one byte changed, of another Version, or from before the Version's time", async () => {
    const { ids, ...evidenced } = await witnessed();
    const trusted = { own: new Set(ids), peers: none };
    for (const witness of evidenced.witnesses) witness.bytes[20] = (witness.bytes[20] ?? 0) ^ 1;
    expect(await witnessedRight(evidenced, trusted)).toBeNull();
    const { ids: _, ...early } = await witnessed(NOW_MS - 6 * 60 * 1000);
    expect(await witnessedRight(early, trusted)).toBeNull();
    expect(await witnessedAt(early, trusted)).toBeNull();
    const { ids: __, ...good } = await witnessed();
    expect(await witnessedAt(good, trusted)).toBe(NOW_MS);
    const other = await signStatement(versionKind, { ...good.statement.body, size: 1 }, await signerOf(1));
    expect(await witnessedRight({ ...good, statement: other }, trusted)).toBeNull();
  });
});
