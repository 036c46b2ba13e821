// apt reads a signed archive at /obj as at any mirror: what has not changed is not sent again, indices are asked for by
// hash, and a package that came in part is gone on with.

import { randomBytes } from "node:crypto";
import { readFile, rename, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { publishTree } from "../publish-tree.ts";
import { Publisher } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";
import { ARCHIVE_PROGRAMS, DebianArchive } from "./debian-archive.ts";
import { DebianMachine, MACHINE_PROGRAMS } from "./debian-machine.ts";

const network = inject("network");
const { missing } = requirePrograms({ ...ARCHIVE_PROGRAMS, ...MACHINE_PROGRAMS });
/** What an archive's publisher gives last: it names the indices. */
const LAST = ["dists/*/InRelease"];
const IN_RELEASE = "dists/stable/InRelease";
const GREETING = "usr/share/greeting/greeting";
/** Versions of packages have these characters, and apt percent-encodes them. */
const FIRST = { name: "greeting", version: "1.0~rc1+b1", files: { [GREETING]: "good morning" } };
const SECOND = { name: "greeting", version: "1.0", files: { [GREETING]: "good evening" } };
/** Enough for apt to ask for several before the first has come. */
const SMALL = Array.from({ length: 12 }, (_, i) => `small-${i}`);
const smallFile = (name: string) => `usr/share/small/${name}`;
const LARGE = { name: "large", version: "1", files: { "usr/share/large": randomBytes(5_000_000) } };

/** Paths below the archive that apt asked for, in its debug output. */
function pathsAsked(output: string): string[] {
  return [...output.matchAll(/^GET \S*?\/debian\/(\S+) HTTP/gm)].map(([, path = ""]) => path);
}

function statusesIn(output: string): string[] {
  return [...output.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status = ""]) => status);
}

describe.skipIf(missing.length > 0)("apt", () => {
  let publisher: Publisher;
  let archive: DebianArchive;
  let machine: DebianMachine;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    archive = new DebianArchive(publisher.folder);
    machine = new DebianMachine(join(publisher.folder, "machine"));
    await archive.start();
    await archive.add(FIRST);
    for (const name of SMALL) await archive.add({ name, version: "1", files: { [smallFile(name)]: name } });
    await archive.index();
    await publishTree(publisher, archive.root, "debian", { last: LAST });
    await machine.create(`deb [signed-by=${archive.keyring}] ${publisher.objectUrl("debian")} stable main`);
  });

  afterAll(() => archive.stop());

  const headOf = (path: string) => fetch(publisher.objectUrl(`debian/${path}`), { method: "HEAD" });

  test("fetches the signed Release, and the index by its hash", async () => {
    const output = await machine.apt("update");
    const [release, index, ...others] = pathsAsked(output);
    expect(release).toBe(IN_RELEASE);
    expect(index).toMatch(/^dists\/stable\/main\/binary-amd64\/by-hash\/SHA\d+\/[0-9a-f]+$/);
    expect(others).toEqual([]);
    expect((await headOf("dists/stable/main/binary-amd64/Packages.gz")).status).toBe(404);
  });

  test("has nothing to fetch the second time", async () => {
    const output = await machine.apt("update");
    expect(output).toMatch(/^Hit:1 .* stable InRelease$/m);
    expect(output).not.toMatch(/^(Get|Ign|Err):/m);
    expect(statusesIn(output)).toEqual(["304"]);
  });

  test("installs a package", async () => {
    await machine.apt("install", "greeting");
    expect(await machine.versionOf("greeting")).toBe(FIRST.version);
    expect(await readFile(machine.path(GREETING), "utf8")).toBe("good morning");
  });

  test("installs many at once", async () => {
    const output = await machine.apt("install", ...SMALL);
    expect(pathsAsked(output)).toHaveLength(SMALL.length);
    const texts = await Promise.all(SMALL.map((name) => readFile(machine.path(smallFile(name)), "utf8")));
    expect(texts).toEqual(SMALL);
  });

  test("sees nothing of a publish until the last file", async () => {
    await archive.add(SECOND);
    await archive.add(LARGE);
    await archive.index();
    const [aside, inRelease] = [join(publisher.folder, "InRelease"), join(archive.root, IN_RELEASE)];
    await rename(inRelease, aside);
    await publishTree(publisher, archive.root, "debian", { last: LAST });
    await rename(aside, inRelease);
    expect(await machine.apt("update")).toMatch(/^Hit:1 /m);
    expect(await machine.apt("upgrade")).toContain("0 upgraded");
  });

  test("upgrades to what is published later", async () => {
    await delay(1000); // apt knows a file by its date, to the second
    const published = await publishTree(publisher, archive.root, "debian", { last: LAST });
    expect(published).toEqual([`debian/${IN_RELEASE}`]);
    expect(await machine.apt("update")).toMatch(/^Get:2 .* Packages/m);
    expect(await machine.apt("upgrade")).toContain("1 upgraded");
    expect(await machine.versionOf("greeting")).toBe(SECOND.version);
    expect(await readFile(machine.path(GREETING), "utf8")).toBe("good evening");
  });

  test("goes on with a package of which it has the beginning", async () => {
    const path = "pool/main/large/large_1_all.deb";
    const begun = machine.path("var/cache/apt/archives/partial/large_1_all.deb");
    const modified = (await headOf(path)).headers.get("Last-Modified") ?? "";
    await writeFile(begun, (await readFile(join(archive.root, path))).subarray(0, 3_000_000));
    await utimes(begun, new Date(modified), new Date(modified));
    const output = await machine.apt("install", "large");
    expect(output).toContain("Range: bytes=3000000-");
    expect(output).toContain(`If-Range: ${modified}`);
    expect(statusesIn(output)).toEqual(["206"]);
    expect(LARGE.files["usr/share/large"].equals(await readFile(machine.path("usr/share/large")))).toBe(true);
  });
});
