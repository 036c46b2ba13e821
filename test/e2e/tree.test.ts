// Trees as people publish and fetch them, by the real command against a real network.

import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, inject, test, vi } from "vitest";
import { parseTreeIndex, parseTreeRoot } from "../../lib/tree-index.ts";
import { writeFolder } from "./publish-tree.ts";
import { type CliResult, Publisher, run } from "./publisher.ts";

const network = inject("network");
let publisher: Publisher;
let trees = 0;

beforeAll(async () => {
  publisher = await Publisher.create(network);
});

const folderOf = (files: Record<string, string>) => writeFolder(publisher, files);

async function put(dir: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), text);
}

const newPrefix = () => `tree-${++trees}`;
const jsonOf = (result: CliResult) => JSON.parse(result.stdout);
const publish = async (dir: string, prefix: string, ...options: string[]) => {
  const result = await publisher.publish(dir, prefix, "--json", ...options);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return jsonOf(result);
};
const textAt = async (path: string) => {
  const response = await fetch(publisher.objectUrl(path));
  return response.ok ? response.text() : response.status;
};

async function contentOf(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const contents = await Promise.all(
    files.map(async (file) => [file.slice(dir.length + 1), await readFile(file, "utf8")]),
  );
  return Object.fromEntries(contents);
}

const FILES = {
  "README.txt": "read me",
  "dists/stable/InRelease": "signed 1",
  "pool/a.deb": "package a",
  "pool/ü b.deb": "b",
};

describe("a folder", () => {
  test("is published file by file, with the types of their names, and an index of all", async () => {
    const prefix = newPrefix();
    expect(await publish(await folderOf(FILES), prefix)).toMatchObject({
      status: "published",
      entries: 4,
      new: 4,
    });
    expect(await textAt(`${prefix}/pool/${encodeURIComponent("ü b.deb")}`)).toBe("b");
    const readme = await fetch(publisher.objectUrl(`${prefix}/README.txt`));
    expect(readme.headers.get("Content-Type")).toBe("text/plain; charset=utf-8");
    const index = await fetch(publisher.objectUrl(`${prefix}/.holdfast-index`));
    const parsed = parseTreeIndex(
      new Uint8Array(await index.arrayBuffer()),
      parseTreeRoot(`${publisher.domain}/${prefix}`),
    );
    expect(parsed.entries.map(({ name, size }) => [name, size])).toEqual(
      Object.entries(FILES).map(([name, text]) => [name, text.length]),
    );
  });

  test("published again is only read: no Version is made, not of the index either", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    const first = await publish(dir, prefix);
    expect(await publish(dir, prefix)).toMatchObject({
      status: "unchanged",
      unchanged: 4,
      new: 0,
      index: first.index,
    });
  });

  test("that changed gets Versions for what changed; what vanished stays until --delete", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    await publish(dir, prefix);
    await put(dir, "pool/a.deb", "package A");
    await put(dir, "pool/c.deb", "package c");
    await rm(join(dir, "README.txt"));
    expect(await publish(dir, prefix)).toMatchObject({
      entries: 5,
      new: 1,
      changed: 1,
      unchanged: 2,
      deleted: [],
    });
    expect(await publish(dir, prefix, "--delete")).toMatchObject({
      entries: 4,
      unchanged: 4,
      deleted: ["README.txt"],
    });
    const listed = jsonOf(await publisher.holdfast("ls", `${publisher.domain}/${prefix}`, "-r", "--json"));
    expect(listed.entries.map(({ name }: { name: string }) => name)).toEqual([
      ...["dists/stable/InRelease", "pool/a.deb", "pool/c.deb", "pool/ü b.deb"],
    ]);
  });

  test("is looked at by --dry-run, which publishes nothing", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    expect(await publish(dir, prefix, "--dry-run")).toHaveLength(4);
    expect(await textAt(`${prefix}/README.txt`)).toBe(404);
    await publish(dir, prefix);
    await put(dir, "README.txt", "READ ME");
    await put(dir, "new", "new");
    await rm(join(dir, "pool/a.deb"));
    const { stdout, stderr } = await publisher.publish(dir, prefix, "--dry-run", "--delete");
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ["changed", "7 B", "README.txt"],
      ["new", "3 B", "new"],
      ["deleted", "pool/a.deb"],
    ]);
    expect(stderr).toContain("3 changes, 2 unchanged; nothing was sent");
    expect(await textAt(`${prefix}/README.txt`)).toBe("read me");
  });

  test("whose Versions have run out is published anew, though its bytes are the same", async () => {
    const prefix = newPrefix();
    const dir = await folderOf({ "a.txt": "a" });
    await publish(dir, prefix, "--expires", inSeconds(4));
    await vi.waitUntil(async () => (await textAt(`${prefix}/a.txt`)) === 422, {
      timeout: 20_000,
      interval: 200,
    });
    expect(await publish(dir, prefix)).toMatchObject({ changed: 1, unchanged: 0 });
    expect(await textAt(`${prefix}/a.txt`)).toBe("a");
  });

  test("has an index that runs out with its files, and goes on from it", async () => {
    const prefix = newPrefix();
    const ls = () => publisher.holdfast("ls", `${publisher.domain}/${prefix}`);
    await publish(await folderOf({ "a.txt": "a" }), prefix, "--expires", inSeconds(6));
    expect(await ls()).toMatchObject({ code: 0, stdout: expect.stringContaining("a.txt") });
    await vi.waitUntil(async () => (await ls()).code === 4, { timeout: 20_000, interval: 500 });
    expect((await ls()).stderr).toContain("statement-expired");
    await publish(await folderOf({ "b.txt": "b" }), prefix);
    expect(await ls()).toMatchObject({ code: 0, stdout: expect.stringMatching(/a\.txt.*b\.txt/s) });
  });

  test("touched by another publisher since its index was written is looked at again, not taken for unchanged", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    await publish(dir, prefix);
    await publisher.publish(await publisher.writeFile("other", "another's"), `${prefix}/README.txt`);
    expect(await publish(dir, prefix)).toMatchObject({ changed: 1, unchanged: 3 });
    expect(await textAt(`${prefix}/README.txt`)).toBe("read me");
  });

  test("may be a whole domain, and a file may lie outside of every folder", async () => {
    const whole = await Publisher.create(network);
    const result = await whole.holdfast(
      ...["publish", await folderOf(FILES), whole.domain, "--key", whole.keyFile, "--author", whole.author],
    );
    expect(result).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${whole.domain}: 4 files; 4 new`),
    });
    const { stdout } = await whole.holdfast("ls", `${whole.domain}/pool`);
    expect(stdout).toMatch(/^9 B +[0-9a-f]{12} {2}a\.deb\n1 B +[0-9a-f]{12} {2}ü b\.deb\n$/);
  });
});

describe("--last", () => {
  test("holds files back until all others are accepted: one that is refused keeps them from appearing", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    await publish(dir, prefix, "--last", "dists/**");
    await put(dir, "dists/stable/InRelease", "signed 2");
    await put(dir, "pool/a.deb", "package A");
    // More replicas than there are nodes: the first phase cannot be stored.
    const failed = await publisher.publish(dir, prefix, "--last", "dists/**", "--replicas", "9");
    expect(failed).toMatchObject({ code: 5, stderr: expect.stringContaining("too-few-nodes") });
    expect(await textAt(`${prefix}/dists/stable/InRelease`)).toBe("signed 1");
    expect(await publish(dir, prefix, "--last", "dists/**")).toMatchObject({ changed: 2 });
    expect(await textAt(`${prefix}/dists/stable/InRelease`)).toBe("signed 2");
  });

  test("orders by glob, so that the Version that names the others is signed after them", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    await publish(dir, prefix, "--last", "pool/**", "--last", "README*");
    const timeOf = async (path: string) =>
      jsonOf(await publisher.holdfast("log", `${publisher.domain}/${prefix}/${path}`, "--json"))[0].time;
    const times = [
      await timeOf("dists/stable/InRelease"),
      await timeOf("pool/a.deb"),
      await timeOf("README.txt"),
    ];
    expect(times).toEqual([...times].sort());
    expect(new Set(times).size).toBe(3);
  });

  test("that matches nothing is told of, since it may be a mistake", async () => {
    const result = await publisher.publish(await folderOf(FILES), newPrefix(), "--last", "nothing/**");
    expect(result).toMatchObject({ code: 0, stderr: expect.stringContaining("--last nothing/**: no file") });
  });
});

describe("several publishers", () => {
  test("of different files of one tree do not hinder each other, and the index has all", async () => {
    const prefix = newPrefix();
    const one = (i: number) => folderOf({ [`part-${i}/file`]: `file ${i}` });
    const dirs = await Promise.all([1, 2, 3, 4].map(one));
    await Promise.all(dirs.map((dir) => publish(dir, prefix)));
    const { stdout } = await publisher.holdfast("ls", `${publisher.domain}/${prefix}`);
    expect(stdout.match(/part-\d/g)).toEqual(["part-1", "part-2", "part-3", "part-4"]);
  });

  test("with --if-match: one wins, the other is told what is there now", async () => {
    const name = `${newPrefix()}/app.conf`;
    const file = (text: string) => publisher.writeFile(`conf-${text}`, text);
    const first = jsonOf(await publisher.publish(await file("one"), name, "--json", "--if-match", "none"));
    const again = await publisher.publish(await file("two"), name, "--if-match", "none");
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining(first.version) });
    const results = await Promise.all(
      ["three", "four"].map(async (text) =>
        publisher.publish(await file(text), name, "--if-match", first.version),
      ),
    );
    expect(results.map(({ code }) => code).sort()).toEqual([0, 1]);
    expect(results.find(({ code }) => code === 1)?.stderr).toMatch(/precondition-failed|fork/);
  });

  test("of a tree, with --if-match: refused before anything is sent where the index is another", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    const { index } = await publish(dir, prefix, "--if-match", "none");
    await put(dir, "README.txt", "mine");
    expect(await publish(dir, prefix, "--if-match", index)).toMatchObject({ changed: 1 });
    await put(dir, "README.txt", "late");
    expect(await publisher.publish(dir, prefix, "--if-match", index)).toMatchObject({ code: 1 });
    expect(await textAt(`${prefix}/README.txt`)).toBe("mine");
  });
});

describe("a snapshot", () => {
  test("is fetched whole; an older one by its index's id, exactly as it was", async () => {
    const prefix = newPrefix();
    const dir = await folderOf(FILES);
    const { index } = await publish(dir, prefix);
    await put(dir, "pool/a.deb", "package A");
    await rm(join(dir, "README.txt"));
    await publish(dir, prefix, "--delete");
    const target = `${publisher.domain}/${prefix}`;
    const out = join(publisher.folder, `out-${prefix}`);
    expect(await publisher.holdfast("get", "-r", target, "-o", out)).toMatchObject({ code: 0 });
    const { "README.txt": _, ...left } = FILES;
    expect(await contentOf(out)).toEqual({ ...left, "pool/a.deb": "package A" });
    const back = await publisher.holdfast(
      "get",
      "-r",
      target,
      "-o",
      out,
      "--version",
      index,
      "--delete",
      "--json",
    );
    expect(jsonOf(back)).toMatchObject({ fetched: 2, kept: 2, deleted: [] });
    expect(await contentOf(out)).toEqual(FILES);
  });

  test("mends files that were changed, removes others with --delete, and touches nothing unasked", async () => {
    const prefix = newPrefix();
    await publish(await folderOf(FILES), prefix);
    const out = await folderOf({
      ...FILES,
      "pool/a.deb": "package x",
      "pool/own": "own",
      "empty/own": "own",
    });
    const get = (...options: string[]) =>
      publisher.holdfast("get", "-r", `${publisher.domain}/${prefix}`, "-o", out, "--json", ...options);
    expect(await get()).toMatchObject({ code: 2, stderr: expect.stringContaining("not empty") });
    expect(jsonOf(await get("--force"))).toMatchObject({ fetched: 1, kept: 3, deleted: [] });
    expect(jsonOf(await get("--delete"))).toMatchObject({
      fetched: 0,
      kept: 4,
      deleted: ["empty/own", "pool/own"],
    });
    expect(await contentOf(out)).toEqual(FILES);
    expect(await readdir(out)).not.toContain("empty");
  });

  test("of a folder of the tree has paths from there", async () => {
    const prefix = newPrefix();
    await publish(await folderOf(FILES), prefix);
    const out = join(publisher.folder, `out-${prefix}`);
    await publisher.holdfast("get", "-r", `${publisher.domain}/${prefix}/pool`, "-o", out);
    expect(Object.keys(await contentOf(out)).sort()).toEqual(["a.deb", "ü b.deb"]);
  });

  test("never follows a link out of the folder", async () => {
    const prefix = newPrefix();
    await publish(await folderOf(FILES), prefix);
    const elsewhere = await folderOf({});
    const out = await folderOf({});
    await symlink(elsewhere, join(out, "pool"));
    const result = await publisher.holdfast(
      "get",
      "-r",
      `${publisher.domain}/${prefix}`,
      "-o",
      out,
      "--force",
    );
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("is a link") });
    expect(await readdir(elsewhere)).toEqual([]);
  });

  test("that is not there, or has no such folder, is not found", async () => {
    const prefix = newPrefix();
    await publish(await folderOf(FILES), prefix);
    const codes = [`${publisher.domain}/none`, `${publisher.domain}/${prefix}/none`].map(async (target) => [
      (await publisher.holdfast("ls", target)).code,
      (await publisher.holdfast("get", "-r", target, "-o", join(publisher.folder, "none"))).code,
    ]);
    expect(await Promise.all(codes)).toEqual([
      [3, 3],
      [3, 3],
    ]);
  });
});

describe("what cannot be published", () => {
  test.each([
    ["a name that is kept for indexes", ".holdfast-index"],
    ["a name that is not in NFC", "u\u0308"],
    ["a name with a control character", "a\u0007b"],
  ])("%s is refused before anything is sent", async (_, path) => {
    const prefix = newPrefix();
    const result = await publisher.publish(await folderOf({ ...FILES, [path]: "x" }), prefix);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining("invalid-name") });
    expect(await textAt(`${prefix}/README.txt`)).toBe(404);
  });

  test("links that lead nowhere or to folders, sockets and the like are left out, and told of", async () => {
    const dir = await folderOf(FILES);
    await symlink("/nowhere", join(dir, "dangling"));
    await symlink(join(dir, "pool"), join(dir, "again"));
    await symlink(join(dir, "README.txt"), join(dir, "LINK.txt"));
    await run("mkfifo", [join(dir, "pipe")]);
    const { stdout, stderr } = await publisher.publish(dir, newPrefix());
    expect(stdout).toContain("5 files; 5 new");
    expect(stderr.match(/is no file/g)).toHaveLength(3);
  });

  test.each([
    ["--content-type for a tree", ["--content-type", "text/plain"]],
    ["a malformed --if-match", ["--if-match", "yes"]],
  ])("%s is a usage error", async (_, options) => {
    expect(await publisher.publish(await folderOf(FILES), newPrefix(), ...options)).toMatchObject({
      code: 2,
    });
  });
});

function inSeconds(seconds: number): string {
  return new Date(Date.now() + 1000 * seconds).toISOString();
}
