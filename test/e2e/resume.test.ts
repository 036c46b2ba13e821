// Downloads that are killed in the middle and taken up again, by the programs that people use: what they end up with
// is the object.

import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { access, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test, vi } from "vitest";
import { Publisher, run } from "./publisher.ts";
import { requirePrograms } from "./requires.ts";

const network = inject("network");
const MiB = 1024 * 1024;
const CONTENT = randomBytes(48 * MiB + 321);
/** Slow enough to be met in the middle. */
const FIRST_RATE = "16M";
const KILLED_AFTER = 8 * MiB;
const DISK_BLOCK = 512;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Downloader {
  program: string;
  package: string;
  /** The first run, slowed down. */
  begin: (file: string, url: string) => string[];
  resume: (file: string, url: string) => string[];
  /** Files beside the download that the second run needs. */
  notes: string[];
}

const aria = (file: string, url: string, ...options: string[]) => [
  ...["--no-conf", "-q", "-x8", "-s8", "-k1M", "--file-allocation=none", "--auto-save-interval=1"],
  ...[...options, "-d", "/", "-o", file, url],
];

const DOWNLOADERS: Downloader[] = [
  {
    program: "curl",
    package: "curl",
    begin: (file, url) => ["-fsS", "--limit-rate", FIRST_RATE, "-C", "-", "-o", file, url],
    resume: (file, url) => ["-fsS", "-C", "-", "-o", file, url],
    notes: [],
  },
  {
    program: "wget",
    package: "wget",
    begin: (file, url) => ["-q", `--limit-rate=${FIRST_RATE}`, "-c", "-O", file, url],
    resume: (file, url) => ["-q", "-c", "-O", file, url],
    notes: [],
  },
  {
    program: "aria2c",
    package: "aria2",
    begin: (file, url) => aria(file, url, `--max-overall-download-limit=${FIRST_RATE}`),
    resume: (file, url) => aria(file, url, "-c"),
    notes: [".aria2"],
  },
];

/** Bytes that a file really has on disk: aria2c writes it in eight places at once. */
async function bytesOnDisk(file: string): Promise<number> {
  try {
    return (await stat(file)).blocks * DISK_BLOCK;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

describe("a download that is killed in the middle", () => {
  let publisher: Publisher;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    const file = await publisher.writeFile("big", CONTENT);
    expect(await publisher.publish(file, "big")).toMatchObject({ code: 0 });
  });

  describe.each(DOWNLOADERS)("$program", (downloader) => {
    const { program } = downloader;
    const isMissing = requirePrograms({ [program]: downloader.package }).missing.length > 0;

    test.skipIf(isMissing)("goes on, and has the object in the end", async () => {
      const file = join(publisher.folder, program);
      const url = publisher.objectUrl("big");
      const child = spawn(program, downloader.begin(file, url), { stdio: "inherit" });
      const ended = once(child, "exit");
      const isReady = async () => {
        const notes = await Promise.all(downloader.notes.map((suffix) => isThere(file + suffix)));
        return !notes.includes(false) && (await bytesOnDisk(file)) > KILLED_AFTER;
      };
      await vi.waitUntil(isReady, { timeout: 60_000, interval: 20 });
      child.kill("SIGKILL");
      expect(await ended).toEqual([null, "SIGKILL"]);
      expect(await bytesOnDisk(file)).toBeLessThan(CONTENT.length);
      await run(program, downloader.resume(file, url));
      expect(sha256(await readFile(file))).toBe(sha256(CONTENT));
    });
  });
});
