import { randomBytes } from "node:crypto";
import { appendFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WriteLog } from "../../home-node/store/write-log.ts";
import { Cleanup } from "./home-node-fixture.ts";

const cleanup = new Cleanup();
let dir: string;
let log: WriteLog;

beforeEach(async () => {
  dir = await cleanup.directory();
  log = await started(dir);
});
afterEach(async () => {
  await log.stop();
  await cleanup.run();
});

async function started(folder: string): Promise<WriteLog> {
  const created = new WriteLog({ dir: folder, log: pino({ level: "silent" }) });
  await created.start();
  return created;
}

const pathOf = (i: number, folder = dir) => join(folder, "chunks", String(i % 7), `file${i}`);
const filesOf = (count: number) => Array.from({ length: count }, () => new Uint8Array(randomBytes(100)));

/** The folder as a power cut leaves it that lost every file outside the log. */
async function afterPowerCut(): Promise<string> {
  const copy = await cleanup.directory();
  await cp(join(dir, "log"), join(copy, "log"), { recursive: true });
  return copy;
}

async function expectFiles(files: Uint8Array[], folder: string): Promise<void> {
  for (const [i, bytes] of files.entries()) {
    expect(new Uint8Array(await readFile(pathOf(i, folder)))).toEqual(bytes);
  }
}

test("what was written is in its place, whether written at once or one after the other", async () => {
  const files = filesOf(50);
  await Promise.all(files.map((bytes, i) => log.write(pathOf(i), bytes)));
  const later = new Uint8Array(randomBytes(10));
  await log.write(pathOf(3), later);
  await expectFiles(files.with(3, later), dir);
});

test("what was acknowledged is there again after a power cut that lost every file", async () => {
  const files = filesOf(50);
  await Promise.all(files.map((bytes, i) => log.write(pathOf(i), bytes)));
  await log.write(pathOf(0), files[1] ?? new Uint8Array());
  const copy = await afterPowerCut();
  const recovered = await started(copy);
  await expectFiles(files.with(0, files[1] ?? new Uint8Array()), copy);
  expect(await readdir(join(copy, "log"))).toEqual([]);
  await recovered.stop();
});

test("a record that the cut tore is left out, and those before it are there", async () => {
  const files = filesOf(3);
  for (const [i, bytes] of files.entries()) await log.write(pathOf(i), bytes);
  const copy = await afterPowerCut();
  const [name = ""] = await readdir(join(copy, "log"));
  const whole = await readFile(join(copy, "log", name));
  for (const cut of [1, 50, 101, 150]) {
    await mkdir(join(copy, "log"), { recursive: true });
    await writeFile(join(copy, "log", name), whole);
    await truncate(join(copy, "log", name), whole.length - cut);
    await rm(join(copy, "chunks"), { recursive: true, force: true });
    await (await started(copy)).stop();
    await expectFiles(files.slice(0, 2), copy);
    await expect(readFile(pathOf(2, copy))).rejects.toMatchObject({ code: "ENOENT" });
  }
});

test("a log whose bytes rotted writes nothing that does not match", async () => {
  await log.write(pathOf(0), filesOf(1)[0] ?? new Uint8Array());
  const copy = await afterPowerCut();
  const [name = ""] = await readdir(join(copy, "log"));
  const bytes = await readFile(join(copy, "log", name));
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
  await writeFile(join(copy, "log", name), bytes);
  await (await started(copy)).stop();
  await expect(readFile(pathOf(0, copy))).rejects.toMatchObject({ code: "ENOENT" });
});

test("a log cannot write outside the folder", async () => {
  const copy = await cleanup.directory();
  await mkdir(join(copy, "log"));
  const head = {
    path: "../../escaped",
    bytes: 0,
    sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  };
  await appendFile(join(copy, "log", "0"), `${JSON.stringify(head)}\n`);
  await (await started(copy)).stop();
  await expect(readFile(join(copy, "../../escaped"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("a stop leaves files and no log", async () => {
  const files = filesOf(5);
  await Promise.all(files.map((bytes, i) => log.write(pathOf(i), bytes)));
  expect(await readdir(join(dir, "log"))).toHaveLength(1);
  await log.stop();
  expect(await readdir(join(dir, "log"))).toEqual([]);
  await expectFiles(files, dir);
});

test("a write that fails fails alone in time: those after it are kept", async () => {
  await writeFile(join(dir, "blocked"), "a file where a folder is wanted");
  await expect(log.write(join(dir, "blocked", "file"), Uint8Array.of(1))).rejects.toMatchObject({
    code: "ENOTDIR",
  });
  const files = filesOf(3);
  await Promise.all(files.map((bytes, i) => log.write(pathOf(i), bytes)));
  await expectFiles(files, dir);
  const copy = await afterPowerCut();
  await rm(join(copy, "blocked"), { force: true });
  await (await started(copy)).stop();
  await expectFiles(files, copy);
});
