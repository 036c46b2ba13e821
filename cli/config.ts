// The configuration file: the nearest .holdfast/config.json from the working directory upward, else the one in the
// home directory; HOLDFAST_CONFIG names another. `npm start` writes one for the local network.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { parseJson } from "../lib/canonical-json.ts";
import { HoldfastError } from "../lib/error.ts";
import { emailSchema, parseWith } from "../lib/schema.ts";

const CONFIG_BYTES_MAX = 64 * 1024;
const URLS_MAX = 16;
const CONFIG_NAME = join(".holdfast", "config.json");

const urlsSchema = v.pipe(v.array(v.string()), v.maxLength(URLS_MAX));
const configSchema = v.strictObject({
  /** Edges, the preferred one first. */
  edges: v.optional(urlsSchema, []),
  /** DNS-over-HTTPS resolvers (RFC 8484). */
  doh: v.optional(urlsSchema, []),
  author: v.optional(emailSchema),
  /** Path of the signing key; relative to the configuration file. */
  key: v.optional(v.string()),
});

export type Config = v.InferOutput<typeof configSchema> & {
  /** Where it was read from; null where there is no file. */
  file: string | null;
};

export interface Environment {
  env: Record<string, string | undefined>;
  cwd: string;
}

const EMPTY: Config = { edges: [], doh: [], file: null };

/** The configuration in force; an empty one where there is no file. Throws `invalid-request` for one that is wrong. */
export async function loadConfig({ env, cwd }: Environment): Promise<Config> {
  const named = env.HOLDFAST_CONFIG;
  if (named !== undefined && named !== "") return readConfig(resolve(cwd, named), "required");
  for (const path of configPaths(cwd)) {
    const config = await readConfig(path, "optional");
    if (config !== EMPTY) return config;
  }
  return EMPTY;
}

function configPaths(cwd: string): string[] {
  const paths: string[] = [];
  for (let dir = resolve(cwd); ; dir = dirname(dir)) {
    paths.push(join(dir, CONFIG_NAME));
    if (dir === dirname(dir)) break;
  }
  return [...paths, join(homedir(), ".config", "holdfast", "config.json")];
}

async function readConfig(path: string, presence: "required" | "optional"): Promise<Config> {
  const bytes = await readIfThere(path);
  if (bytes === null && presence === "optional") return EMPTY;
  if (bytes === null)
    throw new HoldfastError("invalid-request", `HOLDFAST_CONFIG names ${path}, which does not exist`);
  const config = parseConfig(bytes, path);
  return config.key === undefined ? config : { ...config, key: resolve(dirname(path), config.key) };
}

function parseConfig(bytes: Uint8Array, path: string): Config {
  try {
    const config = parseWith(configSchema, parseJson(bytes, CONFIG_BYTES_MAX), "invalid-request");
    return { ...config, file: path };
  } catch (cause) {
    if (!(cause instanceof HoldfastError)) throw cause;
    throw new HoldfastError("invalid-request", `${path}: ${cause.message}`, { cause });
  }
}

async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return null;
    throw error;
  }
}
