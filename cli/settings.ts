// What a command works with, put together once: flag before environment before configuration file.

import { CHUNK_LIMITS, createChunkFetch } from "../lib/client/chunk-fetch.ts";
import { ChunkSource, type HolderFailure } from "../lib/client/chunk-source.ts";
import type { ClientHost } from "../lib/client/host.ts";
import type { SeenVersions } from "../lib/client/seen.ts";
import { Server } from "../lib/client/server.ts";
import { createDomainKeyResolver, type DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { type Config, type Environment, loadConfig } from "./config.ts";
import { chunkMemory, nodeHost } from "./node-host.ts";
import { warn } from "./output.ts";
import { SeenFiles, seenFolder } from "./seen-files.ts";
import { createStrangerFetch } from "./stranger-fetch.ts";

export const DEFAULT_DOH_URLS = ["https://cloudflare-dns.com/dns-query", "https://dns.google/dns-query"];

/** Options that commands share, as commander hands them over. */
export interface CommonOptions {
  edge?: string;
  from?: string[];
  key?: string;
  author?: string;
  json?: boolean;
  allowOlder?: boolean;
}

export interface Settings {
  /** Edges, the preferred one first. */
  edgeUrls: string[];
  /** Further servers of the protocol to ask. */
  fromUrls: string[];
  dohUrls: string[];
  /** A path, or the text of a private key; null where none is set. */
  key: string | null;
  author: string | null;
  /** Where the newest Versions seen are kept. */
  seenFolder: string;
}

export const processEnvironment: Environment = { env: process.env, cwd: process.cwd() };

export async function loadSettings(
  options: CommonOptions,
  environment: Environment = processEnvironment,
): Promise<Settings> {
  return mergeSettings(options, environment.env, await loadConfig(environment));
}

export function mergeSettings(options: CommonOptions, env: Environment["env"], config: Config): Settings {
  const edge = options.edge ?? nonEmpty(env.HOLDFAST_EDGE);
  const doh = listOf(env.HOLDFAST_DOH) ?? config.doh;
  return {
    edgeUrls: edge === undefined ? config.edges : [edge],
    fromUrls: options.from ?? [],
    dohUrls: doh.length === 0 ? DEFAULT_DOH_URLS : doh,
    key: options.key ?? nonEmpty(env.HOLDFAST_KEY) ?? config.key ?? null,
    author: options.author ?? config.author ?? null,
    seenFolder: seenFolder(env, config.file),
  };
}

/** The edge that writes go to. */
export function edgeOf(settings: Settings): Server {
  const [url] = settings.edgeUrls;
  if (url === undefined) throw noServer("no edge is set");
  return new Server(url, nodeHost.fetch);
}

/** Everyone who is asked when reading: the servers named with --from, then the edges. */
export function serversOf(settings: Settings): Server[] {
  const urls = [...new Set([...settings.fromUrls, ...settings.edgeUrls])];
  if (urls.length === 0) throw noServer("no server is set");
  return urls.map((url) => new Server(url, nodeHost.fetch));
}

export function domainKeysOf(settings: Settings): DomainKeyResolver {
  return createDomainKeyResolver({ fetch: nodeHost.fetch, dohUrls: settings.dohUrls, now: nodeHost.now });
}

/** What was seen before counts, unless the user says otherwise. */
export function seenVersionsOf(
  { seenFolder: folder }: Settings,
  { allowOlder }: CommonOptions,
): SeenVersions {
  return new SeenFiles({ folder, warn, forgets: allowOlder === true });
}

/** What lib gets to reach the nodes that these servers tell of. */
export function hostFor(servers: readonly Pick<Server, "url">[]): ClientHost {
  return { ...nodeHost, fetch: createStrangerFetch(servers.map(({ url }) => url)) };
}

export function chunkSourceOf(
  servers: readonly Server[],
  onHolderFailed: (failure: HolderFailure) => void,
): ChunkSource {
  const { fetch, hasher } = hostFor(servers);
  const fetchChunk = createChunkFetch(fetch, CHUNK_LIMITS, (bytes) => chunkMemory.take(bytes));
  return new ChunkSource({ servers, hasher, fetchChunk, onHolderFailed });
}

function noServer(what: string): HoldfastError {
  return new HoldfastError(
    "invalid-request",
    `${what}: give --edge URL, set HOLDFAST_EDGE, or write {"edges": ["URL"]} into .holdfast/config.json`,
  );
}

function listOf(text: string | undefined): string[] | undefined {
  const entries = nonEmpty(text)
    ?.split(",")
    .map((entry) => entry.trim());
  return entries?.filter((entry) => entry !== "");
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
