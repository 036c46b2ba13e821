// The newest Versions seen, as one small file for each name: several commands at once need no lock, and a file that was
// torn or damaged counts as nothing seen of its name.

import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { parseJson } from "../lib/canonical-json.ts";
import { isNewer, type SeenVersion, type SeenVersions } from "../lib/client/seen.ts";
import { isHoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { hashSchema, parseWith, positiveSchema, timeSchema } from "../lib/schema.ts";

const FILE_BYTES_MAX = 1024;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const LOCAL_FOLDER = ".holdfast";
const seenSchema = v.strictObject({ version: hashSchema, sequence: positiveSchema, time: timeSchema });

/**
 * Where they lie: beside the configuration of a local network, since they are about its names, and go with it; else in the
 * user's state folder.
 */
export function seenFolder(env: Record<string, string | undefined>, configFile: string | null): string {
  const beside = configFile === null ? null : dirname(configFile);
  if (beside !== null && basename(beside) === LOCAL_FOLDER) return join(beside, "seen");
  const state = env.XDG_STATE_HOME ?? "";
  return join(isAbsolute(state) ? state : join(homedir(), ".local", "state"), "holdfast", "seen");
}

export interface SeenFilesOptions {
  folder: string;
  /** Told where nothing can be kept: commands go on without. */
  warn: (text: string) => void;
  /** The user takes what there is: nothing was seen before, and what comes now takes its place. */
  forgets?: boolean;
}

export class SeenFiles implements SeenVersions {
  readonly #folder: string;
  readonly #warn: (text: string) => void;
  readonly #forgets: boolean;

  constructor({ folder, warn, forgets = false }: SeenFilesOptions) {
    this.#folder = folder;
    this.#warn = warn;
    this.#forgets = forgets;
  }

  async newestOf(domain: Domain, nameHash: Hash): Promise<SeenVersion | null> {
    if (this.#forgets) return null;
    try {
      return parseSeen(await readFile(this.#path(domain, nameHash)));
    } catch (error) {
      if (isSystemError(error, "ENOENT")) return null;
      if (!isHoldfastError(error) && !isSystemError(error)) throw error;
      this.#warn(
        `what was seen of this name before cannot be read (${error.message}): an older Version may be taken`,
      );
      return null;
    }
  }

  async note(domain: Domain, nameHash: Hash, seen: SeenVersion): Promise<void> {
    const known = await this.newestOf(domain, nameHash);
    if (known !== null && !isNewer(seen, known)) return;
    const path = this.#path(domain, nameHash);
    const temporary = `${path}.${randomUUID()}`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      await writeFile(temporary, `${JSON.stringify(seen)}\n`, { mode: FILE_MODE });
      await rename(temporary, path);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      await rm(temporary, { force: true }).catch(() => undefined); // the file system refuses: that is being told
      this.#warn(`the newest Version seen is not kept (${error.message})`);
    }
  }

  #path(domain: Domain, nameHash: Hash): string {
    const id = createHash("sha256").update(`${domain}\n${nameHash}`).digest("hex");
    return join(this.#folder, id);
  }
}

function parseSeen(bytes: Uint8Array): SeenVersion {
  return parseWith(seenSchema, parseJson(bytes, FILE_BYTES_MAX), "invalid-request");
}

function isSystemError(error: unknown, code?: string): error is Error & { code: string } {
  return (
    error instanceof Error &&
    "syscall" in error &&
    "code" in error &&
    (code === undefined || error.code === code)
  );
}
