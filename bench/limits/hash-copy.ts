// Publishing has to read, hash, and store durably. This is what one process takes for that, with nobody to talk to.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Contestant } from "../measure.ts";
import { timeBenchProgram } from "../processes.ts";
import type { Rig } from "../rig.ts";

export const HASH_COPY = "hash + copy in Node";

export function hashCopy(rig: Rig, file: string): Contestant {
  const copy = join(rig.dir, "copy");
  return new Contestant(async () => {
    const seconds = await timeBenchProgram(rig, "hash-copy", { from: file, to: copy });
    await rm(copy);
    return seconds;
  });
}
