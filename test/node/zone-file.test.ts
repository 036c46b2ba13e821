// Zone lines: what is read, what is refused and how it is named, and that formatted records read back.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatZoneRecord, parseZoneFile } from "../../cli/local/zone-file.ts";

const textOf = (strings: readonly Uint8Array[]) => Buffer.concat(strings).toString();

describe("a zone line is read", () => {
  const cases: Record<string, [line: string, ttlSeconds: number, texts: string[]]> = {
    "with TTL and class": ['a.test. 60 IN TXT "x"', 60, ["x"]],
    "with class before TTL": ['a.test. IN 60 TXT "x"', 60, ["x"]],
    "with neither": ['a.test. TXT "x"', 5, ["x"]],
    "in small letters and tabs": ['a.test.\t60\tin\ttxt\t"x"', 60, ["x"]],
    "with the owner in capitals": ['A.Test. TXT "X"', 5, ["X"]],
    "with several strings, with and without space between": ['a.test. TXT "x" "y""z"', 5, ["x", "y", "z"]],
    "with an empty string": ['a.test. TXT ""', 5, [""]],
    "with a semicolon in quotes and a comment behind": [
      'a.test. TXT "v=hf1; k=x" ; "not this"',
      5,
      ["v=hf1; k=x"],
    ],
    "with escapes": [String.raw`a.test. TXT "\"\\\; \065\010"`, 5, ['"\\; A\n']],
    "with characters outside of ASCII as UTF-8": ['a.test. TXT "ä😀"', 5, ["ä😀"]],
    "with an escaped character outside of the first plane": ['a.test. TXT "\\😀"', 5, ["😀"]],
    "with a carriage return at its end": ['a.test. TXT "x"\r', 5, ["x"]],
  };
  for (const [title, [line, ttlSeconds, texts]] of Object.entries(cases)) {
    test(title, () => {
      const [record, ...others] = parseZoneFile(`${line}\n`);
      expect(others).toEqual([]);
      expect(record).toMatchObject({ owner: "a.test", ttlSeconds });
      expect(record?.strings.map((string) => Buffer.from(string).toString())).toEqual(texts);
    });
  }

  test("comments, empty lines and the last line without its end are no trouble", () => {
    expect(parseZoneFile('; a comment\n\n  \t; another\na.test. TXT "x"\nb.test. TXT "y"')).toHaveLength(2);
  });
});

describe("a zone line is refused, and the error names the line", () => {
  const cases: Record<string, string> = {
    $ORIGIN: "$ORIGIN test.",
    $TTL: "$TTL 60",
    "another type": "a.test. 60 IN A 127.0.0.1",
    "another class": 'a.test. CH TXT "x"',
    "an owner without its final dot": 'a.test TXT "x"',
    "the origin's sign": '@ TXT "x"',
    "a wildcard": '*.test. TXT "x"',
    "the root": '. TXT "x"',
    "an empty label": 'a..test. TXT "x"',
    "a label of 64 bytes": `${"a".repeat(64)}.test. TXT "x"`,
    "no owner": ' TXT "x"',
    "an unquoted text": "a.test. TXT x",
    "no text": "a.test. TXT",
    "an open quote": 'a.test. TXT "x',
    "a quote that only an escape closes": 'a.test. TXT "x\\"',
    "something behind the quote": 'a.test. TXT "x"y',
    parentheses: 'a.test. TXT ("x"',
    "a TTL with a unit": 'a.test. 1h IN TXT "x"',
    "a TTL that is too large": 'a.test. 2147483648 IN TXT "x"',
    "two TTLs": 'a.test. 1 2 IN TXT "x"',
    "a string of 256 bytes": `a.test. TXT "${"x".repeat(256)}"`,
    "an escape above 255": 'a.test. TXT "\\256"',
    "an escape of two digits": 'a.test. TXT "\\12"',
  };
  for (const [title, line] of Object.entries(cases)) {
    test(title, () => {
      expect(() => parseZoneFile(`; first\na.test. TXT "good"\n${line}\n`)).toThrow(
        expect.objectContaining({ code: "invalid-record", message: expect.stringMatching(/^line 3: /) }),
      );
    });
  }
});

describe("a formatted record", () => {
  test("is one master-file line with the local TTL", () => {
    expect(formatZoneRecord("_holdfast.my.test", 'say "a\\b"')).toBe(
      String.raw`_holdfast.my.test. 5 IN TXT "say \"a\\b\""`,
    );
  });

  test("is split at 255 bytes, not characters", () => {
    const [record] = parseZoneFile(formatZoneRecord("a.test", "ä".repeat(200)));
    expect(record?.strings.map(({ length }) => length)).toEqual([255, 145]);
    expect(textOf(record?.strings ?? [])).toBe("ä".repeat(200));
  });

  test("reads back, and stays one printable line, whatever the text", () => {
    const texts = fc.string({ unit: "grapheme", maxLength: 700 });
    fc.assert(
      fc.property(texts, fc.nat({ max: 0x7fff_ffff }), (text, ttlSeconds) => {
        const line = formatZoneRecord("_holdfast.my.test", text, ttlSeconds);
        expect(line).toMatch(/^[\x20-\x7e]*$/);
        const [record] = parseZoneFile(line);
        expect(record).toMatchObject({ owner: "_holdfast.my.test", ttlSeconds });
        expect(textOf(record?.strings ?? [])).toBe(text);
      }),
    );
  });

  test("cannot smuggle a second record in by its owner", () => {
    expect(() => formatZoneRecord('a.test. TXT "x"\nb.test', "y")).toThrow(
      expect.objectContaining({ code: "invalid-record" }),
    );
  });
});
