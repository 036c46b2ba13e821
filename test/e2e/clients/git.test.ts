// git reads a bare repository at /obj over its "dumb" protocol: plain files, and no program at the server's side.

import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { publishTree } from "../publish-tree.ts";
import { Publisher, run } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";

const network = inject("network");
const { missing } = requirePrograms({ git: "git" });
/** What says which objects there are. */
const LAST = ["HEAD", "info/refs", "objects/info/packs"];
/** Makes a pack of several chunks. */
const LARGE = randomBytes(5_000_000);

describe.skipIf(missing.length > 0)("git", () => {
  let publisher: Publisher;
  let clone: string;
  let traceFile: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    clone = join(publisher.folder, "clone");
    traceFile = join(publisher.folder, "trace");
    await git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", "project.git");
    await git("clone", "--quiet", "project.git", "work");
  });

  /** Runs git without anyone's configuration; gives what it said. */
  async function git(...args: string[]): Promise<string> {
    const env = {
      ...{ PATH: process.env.PATH, HOME: publisher.folder, GIT_CONFIG_NOSYSTEM: "1", LC_ALL: "C" },
      ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@a.test", GIT_TERMINAL_PROMPT: "0" },
      ...{ GIT_TRACE_CURL: traceFile, GIT_TRACE_CURL_NO_DATA: "1" },
      ...{ GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@a.test" },
    };
    const { stdout, stderr } = await run("git", args, { cwd: publisher.folder, env });
    return stdout + stderr;
  }

  async function commit(name: string, content: string | Uint8Array): Promise<void> {
    await writeFile(join(publisher.folder, "work", name), content);
    await git("-C", "work", "add", name);
    await git("-C", "work", "commit", "--quiet", "--message", name);
    await git("-C", "work", "push", "--quiet", "--tags", "origin", "HEAD");
  }

  async function publish(): Promise<string[]> {
    await git("-C", "project.git", "update-server-info");
    return publishTree(publisher, join(publisher.folder, "project.git"), "project.git", { last: LAST });
  }

  const fsck = (folder: string) => git("-C", folder, "fsck", "--full", "--strict", "--no-dangling");
  const headOf = (folder: string) => git("-C", folder, "rev-parse", "HEAD");

  test("clones a repository, whole and sound", async () => {
    await commit("large", LARGE);
    await commit("a", "first");
    await git("-C", "project.git", "gc", "--quiet");
    await publish();
    expect(await git("clone", publisher.objectUrl("project.git"), clone)).not.toMatch(/error|warning/);
    expect(await readFile(traceFile, "utf8")).toContain("info/refs?service=git-upload-pack");
    expect(LARGE.equals(await readFile(join(clone, "large")))).toBe(true);
    expect(await fsck(clone)).toBe("");
  });

  test("has nothing to pull while nothing is new", async () => {
    expect(await git("-C", clone, "pull")).toContain("Already up to date.");
  });

  test("pulls a new commit, which comes as loose objects", async () => {
    await commit("b", "second");
    const published = await publish();
    expect(published.at(-1)).toBe("project.git/info/refs");
    expect(await git("-C", clone, "pull")).toContain("Fast-forward");
    expect(await readFile(join(clone, "b"), "utf8")).toBe("second");
    expect(await fsck(clone)).toBe("");
  });

  test("pulls from a repository that was packed anew, with its tags", async () => {
    await commit("c", "third");
    await git("-C", "work", "tag", "--annotate", "--message", "one", "v1");
    await commit("d", "fourth");
    await git("-C", "project.git", "gc", "--quiet", "--prune=now");
    await publish();
    await git("-C", clone, "pull", "--tags");
    expect(await git("-C", clone, "rev-parse", "HEAD", "v1")).toBe(
      await git("-C", "work", "rev-parse", "HEAD", "v1"),
    );
    expect(await fsck(clone)).toBe("");
  });

  test("goes on with a pack of which it has the beginning", async () => {
    const packs = join(publisher.folder, "project.git", "objects/pack");
    const [pack = ""] = (await readdir(packs)).filter((name) => name.endsWith(".pack"));
    const url = publisher.objectUrl("project.git");
    await git("init", "--quiet", "--initial-branch=main", "begun");
    const begun = join(publisher.folder, "begun/.git/objects/pack", `${pack}.temp`);
    await writeFile(begun, (await readFile(join(packs, pack))).subarray(0, 3_000_000));
    await git("-C", "begun", "pull", url, "main");
    expect(await fsck("begun")).toBe("");
    expect(await readFile(traceFile, "utf8")).toContain("Range: bytes=3000000-");
    expect(await headOf("begun")).toBe(await headOf("work"));
  });
});
