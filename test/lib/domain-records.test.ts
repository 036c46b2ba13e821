// The records of a domain: vectors with keys from ssh-keygen, and what formatting and parsing owe each other.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AUTHOR_PATTERNS_MAX,
  admitsAuthor,
  formatKeyRecords,
  formatRevocationRecord,
  formatRotationRecord,
  parseDomainRecords,
} from "../../lib/domain-records.ts";
import { hashBytes } from "../../lib/hash.ts";
import { encodePublicKeyBlob, formatPublicKeyText } from "../../lib/openssh-key.ts";
import { encodeArmor } from "../../lib/sshsig.ts";
import vectors from "../vectors/txt-records.json" with { type: "json" };

const emails = fc
  .tuple(fc.stringMatching(/^[a-z0-9.+_=~-]{1,20}$/), fc.stringMatching(/^[a-z0-9]{1,20}\.[a-z]{2,6}$/))
  .map(([local, domain]) => `${local}@${domain}`);
const blobs = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((key) => encodePublicKeyBlob(key));

for (const vector of vectors.cases) {
  test(`the vector "${vector.name}" parses as it says`, () => {
    if (vector.error !== undefined) {
      expect(() => parseDomainRecords(vector.texts)).toThrow(expect.objectContaining({ code: vector.error }));
      return;
    }
    const parsed = parseDomainRecords(vector.texts);
    expect({
      policy: parsed.policy,
      keys: parsed.keys.map(({ text, fingerprint, emails }) => ({ text, fingerprint, emails })),
      records: parsed.records.length,
      problems: parsed.problems.length,
    }).toEqual({
      policy: vector.policy,
      keys: vector.keys,
      records: vector.records,
      problems: vector.problems,
    });
  });
}

test("formatted records parse back into the same key and addresses, in any order and among others", () => {
  fc.assert(
    fc.property(
      blobs,
      fc.uniqueArray(emails, { maxLength: 4 }),
      fc.boolean(),
      (blob, addresses, reversed) => {
        const texts = ["v=spf1 -all", ...formatKeyRecords({ blob, emails: addresses })];
        const { keys, problems } = parseDomainRecords(reversed ? texts.reverse() : texts);
        expect(problems).toEqual([]);
        expect(keys).toHaveLength(1);
        expect(keys[0]?.blob).toEqual(blob);
        expect(keys[0]?.text).toBe(formatPublicKeyText(blob));
        expect(new Set(keys[0]?.emails)).toEqual(new Set(addresses));
      },
    ),
  );
});

test("one changed character in a record never makes another key valid for the same address", () => {
  fc.assert(
    fc.property(
      blobs,
      emails,
      fc.nat(),
      fc.stringMatching(/^[\x20-\x7e]$/),
      (blob, email, position, replacement) => {
        const [text = ""] = formatKeyRecords({ blob, emails: [email] });
        const at = position % text.length;
        const changed = text.slice(0, at) + replacement + text.slice(at + 1);
        const { policy, keys } = parseDomainRecords([changed]);
        expect(policy).toBe("exclusive");
        const widened = keys.filter((key) => key.emails.length === 0);
        // An unknown tag in place of e= is ignored, as DKIM has it: the one way in which a slip drops the address.
        const lostAddress = !/;\s*e\s*=/.test(changed);
        expect(widened.length === 0 || lostAddress).toBe(true);
      },
    ),
  );
});

test("arbitrary texts never throw anything but invalid-record, and never make a key out of nothing", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string({ maxLength: 80 }).map((tail) => `v=hf1;${tail}`),
        { maxLength: 5 },
      ),
      (texts) => {
        expect(parseDomainRecords(texts).keys).toEqual([]);
      },
    ),
  );
});

test("an address that a record cannot carry is refused when formatting", () => {
  const blob = encodePublicKeyBlob(new Uint8Array(32));
  for (const email of ["älice@example.org", "*@example.org", "a;p=@example.org", "alice@Example.org", ""]) {
    expect(() => formatKeyRecords({ blob, emails: [email] })).toThrow(
      expect.objectContaining({ code: "invalid-record" }),
    );
  }
});

describe("the authors of a moderated domain", () => {
  const authorsOf = (policy: string) => parseDomainRecords([`v=hf1; policy=moderated${policy}`]).authors;

  test("are anybody without a=, nobody with an empty one, else those whom its patterns name", () => {
    expect(authorsOf("")).toBeNull();
    expect(authorsOf("; a=")).toEqual([]);
    expect(authorsOf("; a=alice@example.org")).toEqual(["alice@example.org"]);
    expect(authorsOf("; a= *@example.net ,alice@example.org;")).toEqual([
      "*@example.net",
      "alice@example.org",
    ]);
  });

  test("are admitted by whole address or whole domain, letter by letter", () => {
    const authors = authorsOf("; a=alice@example.org, *@example.net");
    for (const email of ["alice@example.org", "bob@example.net", "alice@example.net"])
      expect(admitsAuthor(authors, email)).toBe(true);
    for (const email of [
      "bob@example.org",
      "Alice@example.org",
      "alice@example.org.evil.test",
      "bob@sub.example.net",
      "bob@notexample.net",
      "alice@example.org@example.com",
    ])
      expect(admitsAuthor(authors, email)).toBe(false);
    expect(admitsAuthor([], "alice@example.org")).toBe(false);
    expect(admitsAuthor(null, "anybody@example.com")).toBe(true);
  });

  for (const pattern of [
    "*",
    "*@*",
    "al*@example.org",
    "*@Example.org",
    "älice@example.org",
    "a,",
    "a@b@c",
  ]) {
    test(`with the pattern ${pattern} make the record count for nothing: exclusive holds`, () => {
      const { policy, authors, problems } = parseDomainRecords([`v=hf1; policy=moderated; a=${pattern}`]);
      expect({ policy, authors }).toEqual({ policy: "exclusive", authors: [] });
      expect(problems).toHaveLength(1);
    });
  }

  test("are at most 64 patterns", () => {
    const list = (count: number) =>
      `; a=${Array.from({ length: count }, (_, i) => `a${i}@example.org`).join(",")}`;
    expect(authorsOf(list(AUTHOR_PATTERNS_MAX))).toHaveLength(AUTHOR_PATTERNS_MAX);
    expect(authorsOf(list(AUTHOR_PATTERNS_MAX + 1))).toEqual([]);
  });

  test("that two policy records name differently are a contradiction, and the same twice are none", () => {
    const record = "v=hf1; policy=moderated; a=alice@example.org";
    expect(parseDomainRecords([record, record]).authors).toEqual(["alice@example.org"]);
    expect(() => parseDomainRecords([record, "v=hf1; policy=moderated"])).toThrow(
      expect.objectContaining({ code: "invalid-record" }),
    );
  });
});

describe("records about keys that change", () => {
  const statement = new TextEncoder().encode('{"type":"holdfast-rotation-1"}');
  const rotation = { bytes: new Uint8Array(statement), signature: encodeArmor(new Uint8Array(180).fill(7)) };

  test("a rotation comes back with the bytes and the signature that were published", () => {
    const parsed = parseDomainRecords([formatRotationRecord(rotation)]);
    expect(parsed).toMatchObject({ rotations: [rotation], keys: [], problems: [] });
  });

  test("a revocation comes back with the delegation's id", () => {
    const id = hashBytes(statement);
    expect(parseDomainRecords([formatRevocationRecord(id)])).toMatchObject({ revoked: [id], problems: [] });
  });

  test("a withdrawn key is told of and gives no right", () => {
    const parsed = parseDomainRecords(["v=hf1; k=ssh-ed25519; p="]);
    expect(parsed).toMatchObject({ hasWithdrawnKey: true, keys: [], problems: [] });
    expect(parseDomainRecords([]).hasWithdrawnKey).toBe(false);
  });

  for (const [title, text] of Object.entries({
    "a rotation without a signature": "v=hf1; rotation=e30=",
    "a rotation that is not base64": "v=hf1; rotation={}; s=AAAA",
    "a signature that is not base64": "v=hf1; rotation=e30=; s=***",
    "a revocation of no id": "v=hf1; revoked=abc",
    "a rotation that is a policy too": "v=hf1; rotation=e30=; s=AAAA; policy=moderated",
    "a revocation that is a key too": `v=hf1; revoked=${"0".repeat(64)}; k=ssh-ed25519; p=`,
  })) {
    test(`${title} is ignored, and said so`, () => {
      const parsed = parseDomainRecords([text]);
      expect(parsed).toMatchObject({
        rotations: [],
        revoked: [],
        policy: "exclusive",
        hasWithdrawnKey: false,
      });
      expect(parsed.problems).toHaveLength(1);
    });
  }
});
