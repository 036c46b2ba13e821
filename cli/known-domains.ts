// known_domains: one text file, one line for each domain, that a person may read and edit, as ssh has it. Changed under a
// lock and replaced as a whole, so that several commands at once lose nothing of each other's.

import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KnownDomain, KnownDomains } from "../lib/client/known-domains.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import { type Domain, parseDomain } from "../lib/names.ts";
import { parseWith, timeSchema } from "../lib/schema.ts";

export const KNOWN_DOMAINS_MAX = 10_000;
/** Keys of one domain: more than an answer of DNS can hold. */
const FINGERPRINTS_MAX = 256;
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const LOCK_ATTEMPTS = 250;
const LOCK_PAUSE_MS = 20;
/** Nobody holds the lock longer than it takes to write the file: whose it is must have been killed. */
const LOCK_AGE_MAX_MS = 10_000;
const HEADER = "# holdfast known_domains: domain, last seen, dnssec or -, fingerprints of the keys";
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/;

export interface KnownDomainsFileOptions {
  path: string;
  /** Told where nothing can be kept, or a line says nothing: commands go on without. */
  warn: (text: string) => void;
}

/** Beside the folder of the newest Versions seen: it goes with a local network as they do. */
export function knownDomainsPath(seenFolder: string): string {
  return join(dirname(seenFolder), "known_domains");
}

export class KnownDomainsFile implements KnownDomains {
  readonly #path: string;
  readonly #warn: (text: string) => void;

  constructor({ path, warn }: KnownDomainsFileOptions) {
    this.#path = path;
    this.#warn = warn;
  }

  /** Throws `invalid-record` where the file cannot be read: what was known must not be forgotten by a mishap. */
  async find(domain: Domain): Promise<KnownDomain | null> {
    return (await this.#read()).get(domain) ?? null;
  }

  async remember(domain: Domain, known: KnownDomain): Promise<void> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: FOLDER_MODE });
      await this.#locked(async () => {
        const domains = await this.#read();
        domains.delete(domain);
        domains.set(domain, known);
        await this.#write(domains);
      });
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#warn(`the keys of ${domain} are not remembered (${error.message})`);
    }
  }

  async #read(): Promise<Map<Domain, KnownDomain>> {
    const domains = new Map<Domain, KnownDomain>();
    for (const [i, line] of (await this.#text()).split("\n").entries()) {
      if (line.trim() === "" || line.startsWith("#")) continue;
      const { domain, known } = this.#parse(line, i + 1);
      domains.set(domain, known);
    }
    return domains;
  }

  #parse(line: string, number: number): { domain: Domain; known: KnownDomain } {
    try {
      return parseKnownLine(line);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      throw new HoldfastError(
        "invalid-record",
        `${this.#path}: line ${number} is damaged (${error.message}): mend it, or remove it to forget its domain`,
      );
    }
  }

  async #text(): Promise<string> {
    try {
      const { size } = await stat(this.#path);
      if (size <= FILE_BYTES_MAX) return await readFile(this.#path, "utf8");
    } catch (error) {
      if (isSystemError(error, "ENOENT", "ENOTDIR")) return "";
      if (!isSystemError(error)) throw error;
      throw new HoldfastError("invalid-record", `what is known of domains cannot be read: ${error.message}`);
    }
    throw new HoldfastError("invalid-record", `${this.#path} is larger than ${FILE_BYTES_MAX} bytes`);
  }

  async #write(domains: Map<Domain, KnownDomain>): Promise<void> {
    const lines = [...domains]
      .sort(([, a], [, b]) => (a.seenAt < b.seenAt ? 1 : -1))
      .slice(0, KNOWN_DOMAINS_MAX)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([domain, known]) => formatKnownLine(domain, known));
    const temporary = `${this.#path}.${randomUUID()}`;
    try {
      await writeFile(temporary, `${[HEADER, ...lines].join("\n")}\n`, { mode: FILE_MODE });
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #locked(work: () => Promise<void>): Promise<void> {
    const lock = `${this.#path}.lock`;
    for (let attempt = 0; !(await tryLock(lock)); attempt++) {
      if (attempt === LOCK_ATTEMPTS) {
        this.#warn(`${lock} does not go away: what is known of domains is not changed`);
        return;
      }
      await sleep(LOCK_PAUSE_MS);
    }
    try {
      await work();
    } finally {
      await rm(lock, { force: true });
    }
  }
}

/** Throws a HoldfastError that says what is wrong. */
export function parseKnownLine(line: string): { domain: Domain; known: KnownDomain } {
  const [domain = "", seenAt, dnssec, ...fingerprints] = line.trim().split(/\s+/);
  if (dnssec !== "dnssec" && dnssec !== "-")
    throw new HoldfastError("invalid-record", "the third word is dnssec or -");
  if (fingerprints.length > FINGERPRINTS_MAX || !fingerprints.every((text) => FINGERPRINT.test(text)))
    throw new HoldfastError("invalid-record", `fingerprints are ${FINGERPRINTS_MAX} at most, like SHA256:…`);
  const known = {
    fingerprints,
    dnssec: dnssec === "dnssec",
    seenAt: parseWith(timeSchema, seenAt, "invalid-record"),
  };
  return { domain: parseDomain(domain), known };
}

export function formatKnownLine(domain: Domain, { seenAt, dnssec, fingerprints }: KnownDomain): string {
  return [domain, seenAt, dnssec ? "dnssec" : "-", ...fingerprints.slice(0, FINGERPRINTS_MAX)].join(" ");
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx", FILE_MODE)).close();
    return true;
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
  }
  const info = await stat(path).catch(() => null); // gone meanwhile: the next attempt has it
  if (info !== null && info.mtimeMs < Date.now() - LOCK_AGE_MAX_MS) await rm(path, { force: true });
  return false;
}

function isSystemError(error: unknown, ...codes: string[]): error is Error & { code: string } {
  return (
    error instanceof Error &&
    "syscall" in error &&
    "code" in error &&
    (codes.length === 0 || codes.includes(String(error.code)))
  );
}
