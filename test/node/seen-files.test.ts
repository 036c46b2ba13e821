import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SeenFiles, seenFolder } from "../../cli/seen-files.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";

const domain = parseDomain("example.org");
const hashOf = (text: string) => hashBytes(new TextEncoder().encode(text));
const nameHash = hashOf("example.org/a");
const seen = (sequence: number, version = `version ${sequence}`) => ({
  version: hashOf(version),
  sequence,
  time: "2026-01-02T03:04:05.678Z",
});

let parent: string;
let folder: string;
let warnings: string[];
const files = (options: { forgets?: boolean } = {}) =>
  new SeenFiles({ folder, warn: (text) => warnings.push(text), ...options });

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "holdfast-seen-"));
  folder = join(parent, "state", "seen");
  warnings = [];
});
afterEach(() => rm(parent, { recursive: true, force: true }));

describe("the newest Versions seen", () => {
  test("are there for the next run, of each domain and name by itself", async () => {
    expect(await files().newestOf(domain, nameHash)).toBeNull();
    await files().note(domain, nameHash, seen(3));
    expect(await files().newestOf(domain, nameHash)).toEqual(seen(3));
    expect(await files().newestOf(parseDomain("example.net"), nameHash)).toBeNull();
    expect(await files().newestOf(domain, hashOf("example.org/b"))).toBeNull();
    expect(warnings).toEqual([]);
  });

  test("never go back, also where several runs write at once", async () => {
    const sequences = [5, 2, 9, 1, 7, 9, 3];
    await Promise.all(sequences.map((sequence) => files().note(domain, nameHash, seen(sequence))));
    await files().note(domain, nameHash, seen(4));
    await files().note(domain, nameHash, seen(9));
    expect((await files().newestOf(domain, nameHash))?.sequence).toBeGreaterThanOrEqual(5);
    await files().note(domain, nameHash, seen(10));
    await files().note(domain, nameHash, seen(8));
    expect(await files().newestOf(domain, nameHash)).toEqual(seen(10));
    expect(await readdir(folder)).toHaveLength(1);
  });

  test("give way where the user takes an older one, which then counts", async () => {
    await files().note(domain, nameHash, seen(9));
    const forgetting = files({ forgets: true });
    expect(await forgetting.newestOf(domain, nameHash)).toBeNull();
    await forgetting.note(domain, nameHash, seen(2));
    expect(await files().newestOf(domain, nameHash)).toEqual(seen(2));
  });

  test("do without a file that is damaged, say so, and write it anew", async () => {
    await files().note(domain, nameHash, seen(3));
    const [name = ""] = await readdir(folder);
    const whole = await readFile(join(folder, name), "utf8");
    for (const damaged of ["", whole.slice(0, 20), whole.replace("3", "-3"), "x".repeat(5000)]) {
      await writeFile(join(folder, name), damaged);
      expect(await files().newestOf(domain, nameHash)).toBeNull();
    }
    expect(warnings).toHaveLength(4);
    await files().note(domain, nameHash, seen(3));
    expect(await files().newestOf(domain, nameHash)).toEqual(seen(3));
  });

  test("are not kept where the folder cannot be made, which is told and stops nothing", async () => {
    await writeFile(join(parent, "state"), "no folder");
    await files().note(domain, nameHash, seen(1));
    expect(await files().newestOf(domain, nameHash)).toBeNull();
    expect(warnings.join()).toContain("is not kept");
  });
});

describe("their folder", () => {
  test.each([
    [
      "beside the configuration of a local network",
      "/work/net/.holdfast/config.json",
      {},
      "/work/net/.holdfast/seen",
    ],
    ["in XDG_STATE_HOME", "/etc/holdfast.json", { XDG_STATE_HOME: "/state" }, "/state/holdfast/seen"],
    [
      "in the home folder",
      null,
      { XDG_STATE_HOME: "relative" },
      join(homedir(), ".local/state/holdfast/seen"),
    ],
  ])("is %s", (_, config, env, expected) => {
    expect(seenFolder(env, config)).toBe(expected);
  });
});
