import { describe, expect, test } from "vitest";
import { parseHash, partitionOf } from "../../lib/hash.ts";
import { nameHashOf, parseDomain, parseFullName, parseName } from "../../lib/names.ts";
import vectors from "../vectors/names.json" with { type: "json" };

describe("names", () => {
  test.each(vectors.valid)(
    "$domain has the Name Hash that sha256sum gives",
    ({ domain, name, nameHash, partition }) => {
      const hash = nameHashOf(parseDomain(domain), parseName(name));
      expect(hash).toBe(nameHash);
      expect(partitionOf(hash)).toBe(partition);
      expect(parseFullName(`${domain}/${name}`)).toEqual({ domain, name });
    },
  );

  test.each(vectors.invalidNames)("a name is refused: $why", ({ name }) => {
    expect(() => parseName(name)).toThrowError(expect.objectContaining({ code: "invalid-name" }));
  });

  test("a name with a lone surrogate, which UTF-8 cannot say, is refused", () => {
    expect(() => parseName(`a${String.fromCharCode(0xd800)}b`)).toThrowError(
      expect.objectContaining({ code: "invalid-name" }),
    );
  });

  test.each(vectors.invalidDomains)("a domain is refused: $why", ({ domain }) => {
    expect(() => parseDomain(domain)).toThrowError(expect.objectContaining({ code: "invalid-domain" }));
  });

  test.each([
    "",
    "ab",
    "A".repeat(64),
    "g".repeat(64),
    "0".repeat(63),
    "0".repeat(65),
    ` ${"0".repeat(63)}`,
    7,
    null,
  ])("%j is no hash", (text) => {
    expect(() => parseHash(text)).toThrowError(expect.objectContaining({ code: "invalid-hash" }));
  });
});
