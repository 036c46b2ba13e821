// The limit for publishing a tree that has not changed: one process that reads every file and hashes it.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inputOf, report, secondsOf } from "./program.ts";

async function hashTree(dir: string): Promise<void> {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (entry.isFile())
      createHash("sha256")
        .update(readFileSync(join(entry.parentPath, entry.name)))
        .digest();
  }
}

const { dir } = inputOf<{ dir: string }>();
report({ seconds: await secondsOf(() => hashTree(dir)) });
