import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeCanonical, JSON_DEPTH_MAX, parseCanonical, parseJson } from "../../lib/canonical-json.ts";
import vectors from "../vectors/canonical-json.json" with { type: "json" };

const MAX = 100_000;
const LONE_SURROGATE = String.fromCharCode(0xd800);
const bytesOf = (text: string) => new TextEncoder().encode(text);

describe("canonical JSON", () => {
  test.each(vectors.valid)("$why: is read, and written back as it was", ({ text }) => {
    const value = parseCanonical(bytesOf(text), MAX);
    expect(new TextDecoder().decode(encodeCanonical(value))).toBe(text);
  });

  test.each(vectors.invalid)("$why: is refused", ({ text }) => {
    expect(() => parseCanonical(bytesOf(text), MAX)).toThrowError(
      expect.objectContaining({ code: "not-canonical" }),
    );
  });

  test("bytes that are not UTF-8 are refused", () => {
    const bytes = Uint8Array.of(0x22, 0xff, 0x22);
    expect(() => parseCanonical(bytes, MAX)).toThrowError(expect.objectContaining({ code: "not-canonical" }));
    expect(() => parseJson(bytes, MAX)).toThrowError(expect.objectContaining({ code: "invalid-request" }));
  });

  test("one byte over the limit is refused before it is parsed", () => {
    expect(parseCanonical(bytesOf("[1]"), 3)).toEqual([1]);
    expect(() => parseCanonical(bytesOf("[1]"), 2)).toThrowError(
      expect.objectContaining({ code: "body-too-large" }),
    );
  });

  test("brackets count towards the depth where they stand for themselves, and nowhere in strings", () => {
    const deep = "[".repeat(JSON_DEPTH_MAX + 1);
    const nested = `${deep}${"]".repeat(JSON_DEPTH_MAX + 1)}`;
    for (const text of [deep, `\\"${deep}`, `${deep}\\"`, `\\\\\\"${deep}`])
      expect(parseJson(bytesOf(`["${text}"]`), MAX)).toEqual([JSON.parse(`"${text}"`)]);
    for (const text of ["", "\\\\", "a\\\\\\\\"])
      expect(() => parseJson(bytesOf(`["${text}",${nested}]`), MAX)).toThrowError(
        expect.objectContaining({
          code: "invalid-request",
          cause: expect.objectContaining({ code: "not-canonical" }),
        }),
      );
    expect(() => parseJson(bytesOf(`["${deep}`), MAX)).toThrowError(
      expect.objectContaining({ code: "invalid-request" }),
    );
  });

  test("what JSON cannot say is not encoded", () => {
    expect(() => encodeCanonical(undefined)).toThrowError(TypeError);
    expect(() => encodeCanonical(LONE_SURROGATE)).toThrowError(TypeError);
    expect(() => encodeCanonical({ [LONE_SURROGATE]: 1 })).toThrowError(TypeError);
    expect(new TextDecoder().decode(encodeCanonical("\\ud800"))).toBe('"\\\\ud800"');
  });

  test("every value goes there and back", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, noUnicodeString: false }), (value) => {
        const bytes = encodeCanonical(value);
        const again = encodeCanonical(parseCanonical(bytes, MAX));
        expect(again).toEqual(bytes);
      }),
    );
  });
});
