// What docs/operations.md and home-node/packaging tell people to run: the command takes every line of it, systemd
// takes the unit, and what the container copies is there.

import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { requirePrograms } from "../e2e/requires.ts";
import { closeAll, temporaryFolder } from "./client-fixture.ts";
import { holdfastArguments, refusalOf, shownCommands } from "./shown-commands.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const PACKAGING = join(ROOT, "home-node", "packaging");
const SYSTEMD_MIN = 250;
const UNIT = "holdfast-node.service";
/** Tenths of systemd's scale of exposure, on which 100 is a service without any protection. */
const EXPOSURE_MAX = 20;

const run = promisify(execFile);
const withoutSystemd = requirePrograms({ "systemd-analyze": "systemd" }).missing.length > 0 || isOldSystemd();

// The module runs what process.argv says; the program itself is what is wanted.
process.argv.splice(2, process.argv.length, "--version");
const { createProgram } = await import("../../cli/main.ts");

const readUnit = () => readFile(join(PACKAGING, UNIT), "utf8");

afterAll(closeAll);

describe("the holdfast command takes every command line of", () => {
  for (const [path, atLeast] of [
    ["README.md", 5],
    ["docs/operations.md", 10],
    ["docs/publishing.md", 7],
  ] as const) {
    test(path, async () => {
      const commands = shownCommands(await readFile(join(ROOT, path), "utf8"));
      expect(commands.length).toBeGreaterThanOrEqual(atLeast);
      const refusals = await Promise.all(commands.map((args) => refusalOf(createProgram, args)));
      expect(refusals.filter((refusal) => refusal !== null)).toEqual([]);
    });
  }

  test("the unit, with the settings beside it", async () => {
    const [, line = ""] = /^ExecStart=\S+ (.*)$/m.exec(await readUnit()) ?? [];
    const settings = await readFile(join(PACKAGING, "node.env"), "utf8");
    const [, options = ""] = /^HOLDFAST_NODE_OPTIONS=(.*)$/m.exec(settings) ?? [];
    const [args = [], ...others] = holdfastArguments(
      `holdfast ${line.replace("$HOLDFAST_NODE_OPTIONS", options)}`,
    );
    expect(others).toEqual([]);
    expect(args).toContain("--pledge");
    expect(await refusalOf(createProgram, args)).toBeNull();
  });

  test("the container", async () => {
    const text = await readFile(join(PACKAGING, "Containerfile"), "utf8");
    const [, entrypoint = ""] = /^ENTRYPOINT (\[.*\])$/m.exec(text) ?? [];
    const words = parseWords(entrypoint);
    const started = [...words.slice(words.indexOf("holdfast") + 1), "--domains", "all"];
    expect(await refusalOf(createProgram, started)).toBeNull();
    const [, check = ""] = /^\s+CMD (holdfast .*) \|\| exit 1$/m.exec(text) ?? [];
    const [args = []] = holdfastArguments(check);
    expect(args).toContain("status");
    expect(await refusalOf(createProgram, args)).toBeNull();
  });
});

test("a command line with an unknown option, command or value is found and refused", async () => {
  const text = [
    "```console",
    "$ npx holdfast status --edg https://a.example # a comment",
    "$ sudo holdfast frob && podman exec holdfast-node holdfast node stats",
    "$ holdfast node run --domains all \\",
    "    --pledge 'a lot' | tee log",
    "holdfast this is output",
    "```",
  ].join("\n");
  const commands = shownCommands(text);
  expect(commands).toEqual([
    ["status", "--edg", "https://a.example"],
    ["frob"],
    ["node", "stats"],
    ["node", "run", "--domains", "all", "--pledge", "a lot"],
  ]);
  for (const args of commands) {
    expect(await refusalOf(createProgram, args)).toMatch(
      /unknown option|unknown command|required option|a size/,
    );
  }
});

test("what the container copies from the repository is there", async () => {
  const text = await readFile(join(PACKAGING, "Containerfile"), "utf8");
  const copied = [...text.matchAll(/^COPY (?!--)(.*) \S+$/gm)].flatMap(([, names = ""]) => names.split(" "));
  expect(copied).toContain("home-node");
  expect(copied.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
});

describe.skipIf(withoutSystemd)("systemd", () => {
  test("has nothing to say against the unit", async () => {
    const { stderr } = await verify(await readUnit());
    expect(stderr).toBe("");
  });

  test("says what is wrong with a unit", async () => {
    const unit = await readUnit();
    const wrong = [
      unit.replace("ProtectSystem=", "ProtectSystems="),
      unit.replace("Type=exec", "Type=exact"),
    ];
    for (const text of wrong) await expect(verify(text)).rejects.toThrow(/ProtectSystems|exact/);
  });

  test("finds the unit hardly exposed, and one without its restrictions exposed", async () => {
    const unit = await readUnit();
    const open = unit.replaceAll(/^(Restrict|SystemCall|Protect|Private|Capability)\w+=.*$/gm, "");
    await expect(judgeExposure(unit)).resolves.toBeDefined();
    await expect(judgeExposure(open)).rejects.toThrow();
  });
});

function verify(unit: string) {
  return inRootWith(unit, (root) =>
    run("systemd-analyze", ["verify", "--recursive-errors=no", `--root=${root}`, UNIT]),
  );
}

/** Throws where the unit is exposed more than EXPOSURE_MAX. */
function judgeExposure(unit: string) {
  const options = ["security", "--offline=true", "--no-pager", `--threshold=${EXPOSURE_MAX}`];
  return inRootWith(unit, (root) =>
    run("systemd-analyze", [...options, join(root, "etc/systemd/system", UNIT)]),
  );
}

/** Calls `work` with a root file system that has the unit, and the program that it starts. */
async function inRootWith<T>(unit: string, work: (root: string) => Promise<T>): Promise<T> {
  const root = await temporaryFolder();
  const [, program = ""] = /^ExecStart=(\S+)/m.exec(unit) ?? [];
  for (const [path, text] of [
    [program, "#!/bin/sh\n"],
    [`/etc/systemd/system/${UNIT}`, unit],
  ] as const) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  await chmod(join(root, program), 0o755);
  return work(root);
}

/** Before 250 it judges no unit that is not installed. */
function isOldSystemd(): boolean {
  const [, version = ""] =
    /systemd (\d+)/.exec(execFileSync("systemd-analyze", ["--version"], { encoding: "utf8" })) ?? [];
  if (Number(version) >= SYSTEMD_MIN) return false;
  const line = `left out: tests that need systemd ${SYSTEMD_MIN} or newer, here is ${version}`;
  if (process.env.HOLDFAST_REQUIRE_ALL === "1") throw new Error(line);
  process.stderr.write(`${line}\n`);
  return true;
}

function parseWords(json: string): string[] {
  const words: unknown = JSON.parse(json);
  if (!Array.isArray(words)) throw new TypeError("expected a list of words");
  return words.map(String);
}
