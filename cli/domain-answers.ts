// The last answers of DNS, as one small file for each domain: a file that is torn, damaged or not there counts as none,
// and readers then need DNS.

import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseJson } from "../lib/canonical-json.ts";
import { type DomainAnswers, parseDnsEvidence } from "../lib/client/remembered-answers.ts";
import type { DnsEvidence } from "../lib/domain-keys.ts";
import { isHoldfastError } from "../lib/error.ts";
import type { Domain } from "../lib/names.ts";

/** More than an answer of DNS can hold. */
const FILE_BYTES_MAX = 256 * 1024;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Beside the folder of the newest Versions seen. */
export function answersFolder(seenFolder: string): string {
  return join(dirname(seenFolder), "answers");
}

export class DomainAnswerFiles implements DomainAnswers {
  readonly #folder: string;
  readonly #warn: (text: string) => void;

  /** `warn` is told where nothing can be kept: commands go on without. */
  constructor({ folder, warn }: { folder: string; warn: (text: string) => void }) {
    this.#folder = folder;
    this.#warn = warn;
  }

  async find(domain: Domain): Promise<DnsEvidence | null> {
    try {
      return parseDnsEvidence(parseJson(await readFile(this.#path(domain)), FILE_BYTES_MAX));
    } catch (error) {
      if (isHoldfastError(error) || isSystemError(error)) return null;
      throw error;
    }
  }

  async keep(domain: Domain, answer: DnsEvidence): Promise<void> {
    const path = this.#path(domain);
    const temporary = `${path}.${randomUUID()}`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE });
      await writeFile(temporary, `${JSON.stringify(answer)}\n`, { mode: FILE_MODE });
      await rename(temporary, path);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      await rm(temporary, { force: true }).catch(() => undefined); // the file system refuses: that is being told
      this.#warn(`the answer of DNS is not kept (${error.message})`);
    }
  }

  /** By hash: a domain can be as long as a file's name may be. */
  #path(domain: Domain): string {
    return join(this.#folder, createHash("sha256").update(domain).digest("hex"));
  }
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error && "code" in error;
}
