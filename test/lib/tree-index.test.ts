import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain, parseName } from "../../lib/names.ts";
import {
  encodeTreeIndex,
  entriesByName,
  formatTreeRoot,
  INDEX_SEGMENT,
  indexNameOf,
  listFolder,
  nameInTree,
  parseTreeIndex,
  parseTreeRoot,
  rootsAbove,
  type TreeEntry,
  type TreeRoot,
} from "../../lib/tree-index.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const root: TreeRoot = { domain: parseDomain("example.org"), prefix: parseName("debian") };
const whole: TreeRoot = { ...root, prefix: null };
const entry = (name: string, size = name.length): TreeEntry => ({
  name: parseName(name),
  size,
  version: hashBytes(bytesOf(`version ${name}`)),
  manifest: hashBytes(bytesOf(`manifest ${name}`)),
});
const names = ["dists/stable/InRelease", "dists/stable/Release", "pool/a.deb", "pool/b/b.deb", "README"];

const segment = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
  .map((text) => text.normalize("NFC").replace(/[/\p{C}\p{Z}.%]/gu, "_"))
  .filter((text) => text !== "");
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));

describe("an index", () => {
  test("is read back whatever the order of its entries, which it puts in its own", () => {
    fc.assert(
      fc.property(fc.uniqueArray(path, { maxLength: 20 }), (paths) => {
        const entries = paths.map((name) => entry(name));
        const index = parseTreeIndex(encodeTreeIndex(root, entries), root);
        expect(index.entries.map(({ name }) => name)).toEqual([...paths].sort());
        expect(entriesByName(index)).toEqual(new Map(entries.map((one) => [one.name, one])));
      }),
    );
  });

  test("of the whole domain has no prefix", () => {
    expect(parseTreeIndex(encodeTreeIndex(whole, [entry("a")]), whole).prefix).toBeNull();
  });

  const text = new TextDecoder().decode(
    encodeTreeIndex(
      root,
      names.map((name) => entry(name)),
    ),
  );
  const first = JSON.stringify(JSON.parse(text).entries[0]);

  test.each([
    ["of another domain", text.replace("example.org", "example.net"), "invalid-index"],
    ["of another prefix", text.replace('"debian"', '"ubuntu"'), "invalid-index"],
    ["of the whole domain", text.replace('"debian"', "null"), "invalid-index"],
    ["that names a file twice", text.replace(first, `${first},${first}`), "invalid-index"],
    ["whose names are out of order", text.replace('"README"', '"zREADME"'), "invalid-index"],
    ["that leaves the tree", text.replace('"README"', '"../README"'), "invalid-index"],
    ["with an unknown field", text.replace("{", '{"a":1,'), "invalid-index"],
    ["with an entry without a Manifest", text.replace(/"manifest":"[0-9a-f]{64}",/, ""), "invalid-index"],
    ["of another type", text.replace("holdfast-index-1", "holdfast-index-2"), "invalid-index"],
    ["that lists itself", text.replace('"README"', `"${INDEX_SEGMENT}"`), "invalid-name"],
    ["with white space", `${text} `, "not-canonical"],
    ["that is no JSON", text.slice(1), "not-canonical"],
  ])("%s is refused", (_, changed, code) => {
    expect(changed).not.toBe(text);
    expect(() => parseTreeIndex(bytesOf(changed), root)).toThrow(expect.objectContaining({ code }));
  });

  test("is refused to be made of names that no object can have", () => {
    expect(() => encodeTreeIndex(root, [{ ...entry("a"), name: "a//b" as TreeEntry["name"] }])).toThrow(
      expect.objectContaining({ code: "invalid-index" }),
    );
  });
});

describe("a tree's root", () => {
  test.each([
    ["example.org", whole],
    ["example.org/", whole],
    ["example.org/debian", root],
    ["example.org/debian/", root],
  ])("%s is read", (text, expected) => {
    expect(parseTreeRoot(text)).toEqual(expected);
  });

  test.each([
    ["example.org//", "invalid-name"],
    ["example.org/a//", "invalid-name"],
    ["example.org/../a", "invalid-name"],
    ["localhost/a", "invalid-domain"],
    ["", "invalid-domain"],
  ])("%j is refused", (text, code) => {
    expect(() => parseTreeRoot(text)).toThrow(expect.objectContaining({ code }));
  });

  test("names its index and its files, and not the index as a file", () => {
    expect([whole, root].map(indexNameOf)).toEqual([INDEX_SEGMENT, `debian/${INDEX_SEGMENT}`]);
    expect([whole, root].map((one) => nameInTree(one, "a/b"))).toEqual(["a/b", "debian/a/b"]);
    for (const path of [INDEX_SEGMENT, `a/${INDEX_SEGMENT}`]) {
      expect(() => nameInTree(root, path)).toThrow(expect.objectContaining({ code: "invalid-name" }));
    }
    expect([whole, root].map(formatTreeRoot)).toEqual(["example.org", "example.org/debian"]);
  });

  test("lies at a path or above it, the innermost first", () => {
    const { domain } = root;
    expect(rootsAbove(domain, "debian/dists")).toEqual([
      { root: { domain, prefix: "debian/dists" }, folder: "" },
      { root: { domain, prefix: "debian" }, folder: "dists" },
      { root: { domain, prefix: null }, folder: "debian/dists" },
    ]);
    expect(rootsAbove(domain, "")).toEqual([{ root: whole, folder: "" }]);
  });
});

describe("a folder of a tree", () => {
  const entries = names.map((name) => entry(name, 10)).sort((a, b) => (a.name < b.name ? -1 : 1));

  test("has its files, and its folders with all that is below them", () => {
    expect(listFolder(entries, "")).toEqual({
      files: [entry("README", 10)],
      folders: [
        { name: "dists", files: 2, sizeBytes: 20 },
        { name: "pool", files: 2, sizeBytes: 20 },
      ],
    });
    expect(listFolder(entries, "pool")).toEqual({
      files: [entry("pool/a.deb", 10)],
      folders: [{ name: "b", files: 1, sizeBytes: 10 }],
    });
  });

  test("is not one that only begins like it, nor a file; an empty tree has its root", () => {
    expect(["po", "README", "pool/a"].map((folder) => listFolder(entries, folder))).toEqual([
      null,
      null,
      null,
    ]);
    expect(listFolder([], "")).toEqual({ files: [], folders: [] });
  });
});
