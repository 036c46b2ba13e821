import { describe, expect, test } from "vitest";
import { contentTypeOf, inPhases } from "../../cli/tree-files.ts";
import type { TreeFile } from "../../lib/client/publish-tree.ts";

describe("a file's content type", () => {
  test.each([
    ["pool/a.deb", "application/x-debian-package"],
    ["app.iso", "application/x-iso9660-image"],
    ["README.TXT", "text/plain; charset=utf-8"],
    ["page.html", "text/html"],
    ["style.css", "text/css"],
    ["module.mjs", "text/javascript; charset=utf-8"],
    ["app.wasm", "application/wasm"],
    ["film.webm", "video/webm"],
    ["-/tool-1.0.0.tgz", "application/gzip"],
    ["image.tar.zst", "application/zstd"],
    ["dists/stable/InRelease", "application/octet-stream"],
    ["objects/html", "application/octet-stream"],
    [".profile", "application/octet-stream"],
    ["name.with.unknown", "application/octet-stream"],
  ])("of %s is %s", (name, type) => {
    expect(contentTypeOf(name)).toBe(type);
  });
});

describe("phases", () => {
  const file = (path: string): TreeFile => ({
    path,
    sizeBytes: 0,
    contentType: "a/b",
    open: async function* () {
      yield new Uint8Array(0);
    },
  });
  const paths = ["a", "dists/x/InRelease", "dists/x/Release", "info/refs", ".hidden/last"];
  const phasesOf = (...globs: string[]) => {
    const unused: string[] = [];
    const phases = inPhases(paths.map(file), globs, (glob) => unused.push(glob));
    return { phases: phases.map((phase) => phase.map(({ path }) => path)), unused };
  };

  test("hold back what globs match, in the order of the globs", () => {
    expect(phasesOf("dists/*/Release*", "dists/*/InRelease", "**/last").phases).toEqual([
      ["a", "info/refs"],
      ["dists/x/Release"],
      ["dists/x/InRelease"],
      [".hidden/last"],
    ]);
  });

  test("put a file that several globs match into the last of them, and tell of globs without a file", () => {
    expect(phasesOf("dists/**", "dists/*/InRelease", "none/**")).toEqual({
      phases: [["a", "info/refs", ".hidden/last"], ["dists/x/Release"], ["dists/x/InRelease"]],
      unused: ["none/**"],
    });
  });

  test("may be all in the last: nothing is left for the first", () => {
    expect(phasesOf("**").phases).toEqual([paths]);
  });
});
