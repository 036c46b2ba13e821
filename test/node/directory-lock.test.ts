import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lockDirectory } from "../../home-node/store/directory-lock.ts";

describe("a folder's lock", () => {
  let dir: string;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "holdfast-lock-"));
  });

  afterEach(() => rm(dir, { recursive: true }));

  test("keeps others out until it is released, and says who has it", async () => {
    const release = await lockDirectory(dir);
    await expect(lockDirectory(dir)).rejects.toThrow(`in use by process ${process.pid}`);
    await release();
    await (await lockDirectory(dir))();
  });

  test("is taken over where its process is gone, or its file was cut short", async () => {
    const child = spawn("true");
    await once(child, "exit");
    for (const left of [`${child.pid}\n`, "", "not a number"]) {
      await writeFile(join(dir, "lock"), left);
      const release = await lockDirectory(dir);
      expect(await readFile(join(dir, "lock"), "utf8")).toMatch(new RegExp(`^${process.pid}\\b.*\n$`));
      await release();
    }
  });

  test("is respected where it has no more than the id of a process that runs", async () => {
    await writeFile(join(dir, "lock"), `${process.pid}\n`);
    await expect(lockDirectory(dir)).rejects.toThrow(`in use by process ${process.pid}`);
  });

  // What a power cut, or the end of a container, leaves behind: there the next process often has the same id.
  test.runIf(process.platform === "linux")(
    "is taken over where its process id has come again, in this boot or after another",
    async () => {
      const release = await lockDirectory(dir);
      const own = await readFile(join(dir, "lock"), "utf8");
      await release();
      const [, pid, boot, start] = own.match(/^(\d+) (\S+) (\d+)\n$/) ?? [];
      expect(pid).toBe(String(process.pid));
      for (const left of [`${pid} ${boot} 1`, `${pid} ${randomUUID()} ${start}`]) {
        await writeFile(join(dir, "lock"), `${left}\n`);
        const takenOver = await lockDirectory(dir);
        expect(await readFile(join(dir, "lock"), "utf8")).toBe(own);
        await takenOver();
      }
    },
  );

  test("goes to one of many who want it at once", async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockDirectory(dir)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });
});
