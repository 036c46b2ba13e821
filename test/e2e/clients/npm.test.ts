// npm installs from a folder of packuments and tarballs at /obj, as from any registry.

import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { publishTree } from "../publish-tree.ts";
import { Publisher, run } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";
import { NpmRegistry, npmEnvironment } from "./npm-registry.ts";

const network = inject("network");
const { missing } = requirePrograms({ npm: "npm" });
/** Packuments: they name tarballs. */
const LAST = ["[!-]*", "@*/*"];
const GREETING = { name: "greeting", version: "1.0.0", source: 'module.exports = "hello"' };
const NEWER = { name: "greeting", version: "1.1.0", source: 'module.exports = "good evening"' };
const TOOL = {
  name: "@scope/tool",
  version: "2.0.0",
  dependencies: { greeting: "^1.0.0" },
  source: 'module.exports = require("greeting") + ", world"',
};

describe.skipIf(missing.length > 0)("npm", () => {
  let publisher: Publisher;
  let registry: NpmRegistry;
  let url: string;
  let project: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    url = publisher.objectUrl("npm");
    project = join(publisher.folder, "project");
    registry = new NpmRegistry(publisher.folder, url);
    await registry.add(GREETING);
    await registry.add(TOOL);
    await publishTree(publisher, registry.root, "npm", { last: LAST });
    await mkdir(project);
    await writeFile(join(project, "package.json"), '{"name":"project","version":"1.0.0"}');
  });

  /** Runs npm in the project; gives what it said, each request among it. */
  async function npm(...args: string[]): Promise<string> {
    const env = npmEnvironment(publisher.folder, url);
    const { stdout, stderr } = await run("npm", args, { cwd: project, env });
    return stdout + stderr;
  }

  async function toolSays(): Promise<string> {
    const { stdout } = await run("node", ["-p", 'require("@scope/tool")'], { cwd: project });
    return stdout.trim();
  }

  const emptyCache = () => rm(join(publisher.folder, "npm-cache"), { recursive: true });

  test("installs a package with a scope, and the one that it needs", async () => {
    const output = await npm("install", "@scope/tool");
    for (const path of ["@scope%2ftool", "greeting", "-/scope-tool-2.0.0.tgz", "-/greeting-1.0.0.tgz"]) {
      expect(output).toMatch(new RegExp(`fetch GET 200 ${url}/${path} `, "i"));
    }
    expect(await toolSays()).toBe("hello, world");
  });

  test("installs from the lock file with nothing in its cache", async () => {
    await emptyCache();
    expect(await npm("ci")).toContain("added 2 packages");
    expect(await toolSays()).toBe("hello, world");
  });

  test("is told that a packument has not changed", async () => {
    expect(await npm("view", "greeting", "version")).toContain("(cache miss)");
    expect(await npm("view", "greeting", "version")).toContain("(cache revalidated)");
  });

  test("updates to what is published later", async () => {
    await registry.add(NEWER);
    await publishTree(publisher, registry.root, "npm", { last: LAST });
    expect(await npm("update")).toContain("changed 1 package");
    expect(await toolSays()).toBe("good evening, world");
  });

  test("refuses a tarball that is not the packument's", async () => {
    // A good tarball of the same version: of a broken one npm may say first that it is no tarball.
    const another = new NpmRegistry(join(publisher.folder, "another"), url);
    await another.add({ ...NEWER, source: 'module.exports = "good night"' });
    const tarball = "-/greeting-1.1.0.tgz";
    await copyFile(join(another.root, tarball), join(registry.root, tarball));
    await publishTree(publisher, registry.root, "npm", { last: LAST });
    await emptyCache();
    await expect(npm("ci")).rejects.toThrow("EINTEGRITY");
  });
});
