// The records of a domain: vectors with keys from ssh-keygen, and what formatting and parsing owe each other.

import fc from "fast-check";
import { expect, test } from "vitest";
import { formatKeyRecords, parseDomainRecords } from "../../lib/domain-records.ts";
import { encodePublicKeyBlob, formatPublicKeyText } from "../../lib/openssh-key.ts";
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
