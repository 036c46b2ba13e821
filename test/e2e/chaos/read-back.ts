// Every acknowledged object is had again, by curl from /obj and as `get` has it, and compared with the digest that its
// publisher took. Some are fetched by the command itself, in a process of its own.

import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pLimit from "p-limit";
import type { Hash } from "../../../lib/hash.ts";
import { newPath, readOrNull, sha256 } from "../object-reads.ts";
import type { Publisher } from "../publisher.ts";
import type { Acknowledged } from "./acknowledged.ts";
import type { Load } from "./load.ts";

const AT_ONCE = 4;
/** Nodes come back to an edge that was just started some seconds after it: what cannot be had at once is asked for again. */
const ATTEMPTS_MAX = 3;
const ATTEMPT_PAUSE_MS = 5000;
const CURL_TIMEOUT_SECONDS = 120;
const REASON_CHARACTERS_MAX = 300;
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export interface ReadBack {
  byCurl: number;
  byGet: number;
  byCommand: number;
  /** What could not be had again, or came otherwise: one line for each Version. */
  lost: string[];
}

export interface ReadBackOptions {
  publisher: Publisher;
  load: Load;
  /** How many are fetched by the command too. */
  gets: number;
}

export async function readBack(
  acknowledged: readonly Acknowledged[],
  { publisher, load, gets }: ReadBackOptions,
): Promise<ReadBack> {
  const found = { byCurl: 0, byGet: 0, byCommand: 0 };
  const lost = new Map<Hash, string>();
  const limit = pLimit(AT_ONCE);
  const check = (
    entry: Acknowledged,
    way: "byCurl" | "byGet" | "byCommand",
    digestOf: () => Promise<string>,
  ): Promise<void> =>
    limit(async () => {
      const what = await problemOf(entry, digestOf);
      if (what === null) found[way] += 1;
      else lost.set(entry.version, `${entry.name}?version=${entry.version} ${way}: ${what}`);
    });
  const step = Math.max(1, Math.floor(acknowledged.length / Math.max(1, gets)));
  await Promise.all(
    acknowledged.flatMap((entry, i) => [
      check(entry, "byCurl", () => curl(publisher, entry)),
      check(entry, "byGet", () => load.get(entry)),
      ...(gets > 0 && i % step === 0 ? [check(entry, "byCommand", () => command(publisher, entry))] : []),
    ]),
  );
  return { ...found, lost: [...lost.values()] };
}

async function problemOf(
  entry: Acknowledged,
  digestOf: () => Promise<string>,
  attempt = 1,
): Promise<string | null> {
  try {
    const digest = await digestOf();
    return digest === entry.sha256 ? null : `it has the digest ${digest}`;
  } catch (error) {
    if (attempt < ATTEMPTS_MAX) {
      await delay(ATTEMPT_PAUSE_MS);
      return problemOf(entry, digestOf, attempt + 1);
    }
    const text = error instanceof Error ? error.message : String(error);
    return text.slice(0, REASON_CHARACTERS_MAX).replaceAll("\n", " ");
  }
}

async function curl(publisher: Publisher, { name, version }: Acknowledged): Promise<string> {
  const { stdout } = await promisify(execFile)(
    "curl",
    ["-sSf", "--max-time", String(CURL_TIMEOUT_SECONDS), `${publisher.objectUrl(name)}?version=${version}`],
    { encoding: "buffer", maxBuffer: BODY_BYTES_MAX },
  ).catch((error: Error & { stderr?: Buffer }) => {
    throw new Error(error.stderr?.toString() ?? error.message, { cause: error });
  });
  return sha256(stdout);
}

async function command(publisher: Publisher, { domain, name, version }: Acknowledged): Promise<string> {
  const path = newPath(publisher);
  try {
    const { code, stderr } = await publisher.holdfast(
      "get",
      `${domain}/${name}`,
      "--version",
      version,
      "-o",
      path,
    );
    const bytes = await readOrNull(path);
    if (code !== 0 || bytes === null) throw new Error(`holdfast get: ${code} ${stderr}`);
    return sha256(bytes);
  } finally {
    await rm(path, { force: true });
  }
}
