// The command's outside: exit codes, what goes to stdout and what to stderr, records to the letter, settings and
// their precedence.

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../cli/config.ts";
import { EXIT, failureOf } from "../../cli/failure.ts";
import { formatAge, formatSize, formatTable, parseSize } from "../../cli/format.ts";
import { DEFAULT_DOH_URLS, mergeSettings } from "../../cli/settings.ts";
import { HoldfastError } from "../../lib/error.ts";
import { requirePrograms } from "../e2e/requires.ts";
import { holdfast } from "./cli-fixture.ts";
import { closeAll, temporaryFolder } from "./client-fixture.ts";

const withoutSsh = requirePrograms({ "ssh-keygen": "openssh-client" }).missing.length > 0;

afterEach(closeAll);

const run = promisify(execFile);
const EDGE = ["--edge", "http://127.0.0.1:1"];

describe("wrong usage exits with 2, prints nothing on stdout and says what is wrong", () => {
  test.each([
    ["no command", [], "Usage: holdfast"],
    ["an unknown command", ["frobnicate"], "unknown command 'frobnicate'"],
    ["an unknown option", ["get", "example.org/a", "--frob"], "unknown option '--frob'"],
    ["a missing argument", ["publish", "file"], "missing required argument 'DOMAIN/NAME'"],
    ["a name without a domain", ["get", "app.iso"], "expected <domain>/<name>"],
    ["a domain in capitals", ["get", "Example.org/app.iso"], "is not a domain"],
    ["a name that URLs would change", ["get", "example.org/a/../b"], "has a . or .. segment"],
    ["an edge that is no URL", ["status", "--edge", "example.org"], "is no server's URL"],
    ["a version that is no hash", ["get", "example.org/a", "--version", "1"], "64 lower-case hex digits"],
    ["no replicas", ["publish", "f", "example.org/a", "--replicas", "0"], "expected a number from 1 to 32"],
    [
      "a scheme that is none",
      ["publish", "f", "example.org/a", "--redundancy", "10"],
      "expected data and parity chunks such as 10+6",
    ],
    [
      "too much parity",
      ["publish", "f", "example.org/a", "--redundancy", "10+17"],
      "expected data and parity chunks such as 10+6, at most 20+16",
    ],
    [
      "two kinds of redundancy",
      ["publish", "f", "example.org/a", "--redundancy", "10+6", "--replicas", "3"],
      "cannot be used with option",
    ],
    [
      "too many replicas",
      ["publish", "f", "example.org/a", "--replicas", "33"],
      "expected a number from 1 to 32",
    ],
    ["a date that is none", ["publish", "f", "example.org/a", "--expires", "soon"], "expected a date"],
    ["a pledge that is no size", ["node", "run", "--domains", "all", "--pledge", "lots"], "expected a size"],
    [
      "hours that are none",
      ["node", "run", "--domains", "all", "--hours", "8-20"],
      "expected hours of the day",
    ],
    ["a name that does not show", ["node", "run", "--domains", "all", "--name", "\u202eadA"], "printable"],
    ["a node that chose no domains", ["node", "run"], "required option '--domains <LIST>'"],
    [
      "a port out of range",
      ["node", "run", "--domains", "all", "--listen", "localhost:70000"],
      "expected HOST:PORT",
    ],
    ["records without a key", ["domain", "records", "example.org"], "required option '--key <FILE.pub>'"],
    ["no edge at all", ["status"], "give --edge URL, set HOLDFAST_EDGE"],
    ["no author", ["publish", "f", "example.org/a", ...EDGE], "give --author EMAIL"],
    [
      "an author that is no address",
      ["publish", "f", "example.org/a", ...EDGE, "--author", "me"],
      "expected an e-mail address",
    ],
  ])("%s", async (_name, args, words) => {
    const { code, stdout, stderr } = await holdfast(args, { cwd: await temporaryFolder() });
    expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.usage, stdout: "" });
    expect(stderr).toContain(words);
  });

  test("with --json the words are JSON on stderr", async () => {
    const { code, stderr } = await holdfast(["get", "app.iso", "--json"], { cwd: await temporaryFolder() });
    expect(code).toBe(EXIT.usage);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: "invalid-name", message: expect.stringContaining("<domain>/<name>") },
    });
  });
});

describe("help", () => {
  test.each([
    [["--help"]],
    [["publish", "--help"]],
    [["get", "--help"]],
    [["verify", "--help"]],
    [["log", "--help"]],
    [["status", "--help"]],
    [["domain", "show", "--help"]],
    [["domain", "records", "--help"]],
    [["domain", "rotate", "--help"]],
    [["domain", "trust", "--help"]],
    [["node", "run", "--help"]],
    [["node", "status", "--help"]],
  ])("%j goes to stdout with exit code 0", async (args) => {
    const { code, stdout, stderr } = await holdfast(args, { cwd: await temporaryFolder() });
    expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: "" });
    expect(stdout.toString()).toMatch(/^Usage: holdfast/);
    if (args.length > 1) expect(stdout.toString()).toContain("Examples:\n  holdfast ");
  });
});

test("failures of the network exit with 5 and name the URL", async () => {
  const { code, stderr } = await holdfast(["status", ...EDGE], { cwd: await temporaryFolder() });
  expect(code).toBe(EXIT.unreachable);
  expect(stderr).toMatch(/^holdfast: cannot reach http:\/\/127\.0\.0\.1:1\/status .* \(unreachable\)\n/);
});

test.each([
  ["not-found", EXIT.notFound],
  ["content-hash-mismatch", EXIT.unverified],
  ["key-not-authorized", EXIT.unverified],
  ["statement-expired", EXIT.unverified],
  ["no-holder", EXIT.unreachable],
  ["timeout", EXIT.unreachable],
  ["too-few-nodes", EXIT.unreachable],
  ["invalid-name", EXIT.usage],
] as const)("%s exits with %i", (code, exitCode) => {
  expect(failureOf(new HoldfastError(code, "x"))).toMatchObject({ exitCode, code, message: "x" });
});

describe("domain records", () => {
  test.skipIf(withoutSsh)(
    "prints the zone lines of a key that ssh-keygen made, and nothing else, on stdout",
    async () => {
      const cwd = await temporaryFolder();
      await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", join(cwd, "key")]);
      const [, blob = ""] = (await readFile(join(cwd, "key.pub"), "utf8")).split(" ");
      const plain = await holdfast(["domain", "records", "example.org", "--key", "key.pub"], { cwd });
      expect(plain).toMatchObject({ code: EXIT.ok });
      expect(plain.stdout.toString()).toBe(
        `_holdfast.example.org. 300 IN TXT "v=hf1; k=ssh-ed25519; p=${blob}"\n`,
      );
      expect(plain.stderr).toContain("zone of example.org");
      const emails = ["--email", "a@example.org", "--email", "b@example.org", "--ttl", "60"];
      const two = await holdfast(["domain", "records", "example.org", "--key", "key.pub", ...emails], {
        cwd,
      });
      expect(two.stdout.toString()).toBe(
        `_holdfast.example.org. 60 IN TXT "v=hf1; k=ssh-ed25519; p=${blob}; e=a@example.org"\n` +
          `_holdfast.example.org. 60 IN TXT "v=hf1; k=ssh-ed25519; p=${blob}; e=b@example.org"\n`,
      );
    },
  );

  test.skipIf(withoutSsh)("does not take a private key, nor one of another type", async () => {
    const cwd = await temporaryFolder();
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(cwd, "key")]);
    await run("ssh-keygen", ["-q", "-t", "ecdsa", "-N", "", "-f", join(cwd, "ecdsa")]);
    for (const key of ["key", "ecdsa.pub", "missing.pub"]) {
      const { code, stdout, stderr } = await holdfast(["domain", "records", "example.org", "--key", key], {
        cwd,
      });
      expect({ code, stdout: stdout.toString() }).toEqual({ code: EXIT.failed, stdout: "" });
      expect(stderr).toContain("(invalid-key)");
    }
  });
});

describe("settings", () => {
  const config = {
    edges: ["http://config"],
    doh: ["http://doh-config"],
    author: "config@example.org",
    key: "config-key",
    file: null,
  };

  test("come from the flag, then the environment, then the configuration file", () => {
    const env = {
      HOLDFAST_EDGE: "http://env",
      HOLDFAST_KEY: "env-key",
      HOLDFAST_DOH: "http://doh-1, http://doh-2",
    };
    const flags = { edge: "http://flag", key: "flag-key", author: "flag@example.org", from: ["http://from"] };
    expect(mergeSettings(flags, env, config)).toMatchObject({
      edgeUrls: ["http://flag"],
      fromUrls: ["http://from"],
      dohUrls: ["http://doh-1", "http://doh-2"],
      key: "flag-key",
      author: "flag@example.org",
    });
    expect(mergeSettings({}, env, config)).toMatchObject({
      edgeUrls: ["http://env"],
      key: "env-key",
      author: "config@example.org",
    });
    expect(mergeSettings({}, {}, config)).toMatchObject({
      edgeUrls: ["http://config"],
      dohUrls: ["http://doh-config"],
      key: "config-key",
    });
  });

  test("fall back to two public resolvers, and to nothing else", () => {
    expect(
      mergeSettings({}, { HOLDFAST_EDGE: "", HOLDFAST_DOH: "" }, { edges: [], doh: [], file: null }),
    ).toMatchObject({
      edgeUrls: [],
      fromUrls: [],
      dohUrls: DEFAULT_DOH_URLS,
      key: null,
      author: null,
    });
  });

  test("are read from the nearest .holdfast/config.json upward; HOLDFAST_CONFIG names another", async () => {
    const root = await temporaryFolder();
    const inner = join(root, "a", "b");
    await mkdir(join(root, ".holdfast"), { recursive: true });
    await mkdir(inner, { recursive: true });
    await writeFile(join(root, ".holdfast", "config.json"), '{"edges":["http://up"],"key":"id"}');
    await writeFile(join(root, "other.json"), '{"edges":["http://other"]}');
    expect(await loadConfig({ env: {}, cwd: inner })).toEqual({
      edges: ["http://up"],
      doh: [],
      key: join(root, ".holdfast", "id"),
      file: join(root, ".holdfast", "config.json"),
    });
    const env = { HOLDFAST_CONFIG: join(root, "other.json") };
    expect(await loadConfig({ env, cwd: inner })).toEqual({
      ...{ edges: ["http://other"], doh: [] },
      file: join(root, "other.json"),
    });
  });

  test.each([
    ["a field that is unknown", '{"edge":"http://x"}'],
    ["no JSON", "edges = http://x"],
    ["an author that is no address", '{"author":"me"}'],
  ])("are refused, naming the file, where it has %s", async (_name, text) => {
    const root = await temporaryFolder();
    const path = join(root, "config.json");
    await writeFile(path, text);
    const loaded = loadConfig({ env: { HOLDFAST_CONFIG: path }, cwd: root });
    await expect(loaded).rejects.toMatchObject({
      code: "invalid-request",
      message: expect.stringContaining(path),
    });
  });
});

describe("numbers for people", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [104_857_600, "100 MiB"],
    [20e9, "18.6 GiB"],
  ])("%i bytes are %s", (bytes, words) => {
    expect(formatSize(bytes)).toBe(words);
  });

  test.each([
    ["50GB", 50e9],
    ["1.5 GiB", 1.5 * 1024 ** 3],
    ["800k", 800_000],
    ["4096", 4096],
    ["1TiB", 1024 ** 4],
    ["2mb", 2e6],
    ["-1", null],
    ["1e9", null],
    ["many", null],
    ["", null],
  ])("%j is read as %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test("ages and tables read well", () => {
    expect([0, 1000, 59_000, 61_000, 7_300_000, 90_000_000].map(formatAge)).toEqual([
      "0 seconds",
      "1 second",
      "59 seconds",
      "1 minute",
      "2 hours",
      "1 day",
    ]);
    expect(
      formatTable([
        ["A", "LONG", "C"],
        ["aa", "b", "cc"],
      ]),
    ).toBe("A   LONG  C\naa  b     cc\n");
  });
});
