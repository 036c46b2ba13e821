// zsync brings a file up to date from /obj: it asks for the blocks that its old file does not have, twenty ranges at a
// time, and reads them out of multipart/byteranges.

import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { publishTree } from "../publish-tree.ts";
import { Publisher, run } from "../publisher.ts";
import { requirePrograms } from "../requires.ts";

const network = inject("network");
const { missing } = requirePrograms({ zsync: "zsync", zsyncmake: "zsync" });
const OLD = randomBytes(4_000_000);
const CHANGES = 50;
const CHANGED_BYTES = 3000;
const BLOCK_BYTES = 2048;
/** Where it gets wrong ranges, it asks again without end. */
const ZSYNC_MS = 60_000;
/** A change touches two blocks beside the ones that it fills. zsync counts the framing of each part too. */
const FETCHED_MAX = CHANGES * (CHANGED_BYTES + 2 * BLOCK_BYTES + 200);

/** Some bytes put in at the front, so that all others have moved, and changes all over. */
function changed(old: Buffer): Buffer {
  const bytes = Buffer.concat([randomBytes(100), old]);
  const distance = Math.floor(bytes.length / CHANGES);
  for (let i = 0; i < CHANGES; i++) randomBytes(CHANGED_BYTES).copy(bytes, i * distance + distance / 2);
  return bytes;
}

describe.skipIf(missing.length > 0)("zsync", () => {
  let publisher: Publisher;
  let reader: string;

  beforeAll(async () => {
    publisher = await Publisher.create(network);
    reader = join(publisher.folder, "reader");
    await mkdir(reader);
  });

  /** Publishes an image with its list of blocks, which is said last: it must not speak of bytes to come. */
  async function publish(bytes: Buffer): Promise<void> {
    const folder = join(publisher.folder, "images");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "app.img"), bytes);
    const options = ["-b", String(BLOCK_BYTES), "-u", "app.img", "-o", "app.img.zsync", "app.img"];
    await run("zsyncmake", options, { cwd: folder });
    await publishTree(publisher, folder, "images", { last: ["*.zsync"] });
  }

  /** Runs zsync, which takes what it can from the file that is there. */
  async function fetchImage(): Promise<{ local: number; fetched: number }> {
    const url = publisher.objectUrl("images/app.img.zsync");
    const { stdout } = await run("zsync", [url], { cwd: reader, timeout: ZSYNC_MS });
    expect(stdout).toContain("checksum matches OK");
    const [, local, fetched] = /used (\d+) local, fetched (\d+)/.exec(stdout) ?? [];
    return { local: Number(local), fetched: Number(fetched) };
  }

  test("fetches a file of which it has nothing", async () => {
    await publish(OLD);
    const { local, fetched } = await fetchImage();
    expect(local).toBe(0);
    expect(fetched).toBeGreaterThan(OLD.length);
    expect(OLD.equals(await readFile(join(reader, "app.img")))).toBe(true);
  });

  test("fetches of the next version only what has changed", async () => {
    const next = changed(OLD);
    await publish(next);
    const { local, fetched } = await fetchImage();
    expect(fetched).toBeGreaterThan(CHANGES * CHANGED_BYTES);
    expect(fetched).toBeLessThan(FETCHED_MAX);
    expect(local).toBeGreaterThan(next.length - FETCHED_MAX);
    expect(next.equals(await readFile(join(reader, "app.img")))).toBe(true);
  });
});
