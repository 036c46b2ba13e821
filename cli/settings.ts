// What a command works with, put together once: flag before environment before configuration file.

import { dirname, join } from "node:path";
import { CHUNK_LIMITS, createChunkFetch } from "../lib/client/chunk-fetch.ts";
import { ChunkSource, type HolderFailure } from "../lib/client/chunk-source.ts";
import type { ClientHost } from "../lib/client/host.ts";
import { createKnownDomainsResolver } from "../lib/client/known-domains.ts";
import { Overlay } from "../lib/client/overlay.ts";
import { createRememberingResolver } from "../lib/client/remembered-answers.ts";
import type { SeenVersions } from "../lib/client/seen.ts";
import { Server } from "../lib/client/server.ts";
import { HOLDER_OPTIONS, type VersionsOptions } from "../lib/client/versions.ts";
import { AGREEMENT } from "../lib/dns-quorum.ts";
import { createDomainKeyResolver, type DomainKeyResolver, type DomainKeyUse } from "../lib/domain-keys.ts";
import type { TrustedEdges } from "../lib/earlier-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { type Config, type Environment, loadConfig } from "./config.ts";
import { answersFolder, DomainAnswerFiles } from "./domain-answers.ts";
import { KnownDomainsFile, knownDomainsPath } from "./known-domains.ts";
import { trustedEdgesFrom } from "./known-edges.ts";
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
  delegation?: string;
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
  /** The path of a delegation; null where none is set. */
  delegation: string | null;
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
    delegation: options.delegation ?? nonEmpty(env.HOLDFAST_DELEGATION) ?? null,
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

/**
 * The domain's keys in DNS, held against what is known of it. Commands that read go on where one of several resolvers
 * fails; those that write ask for "write".
 */
export function domainKeysOf(settings: Settings, use: DomainKeyUse = "read"): DomainKeyResolver {
  const { now } = nodeHost;
  const agreementMin = Math.min(AGREEMENT, new Set(settings.dohUrls).size);
  const answers = new DomainAnswerFiles({ folder: answersFolder(settings.seenFolder), warn });
  const common = { use, agreementMin, now, tell: warn };
  return createKnownDomainsResolver({
    resolver: createRememberingResolver({ resolver: dnsOf(settings, use), answers, ...common }),
    known: knownDomainsOf(settings),
    ...common,
  });
}

/** The domain's keys in DNS, whatever is known of it: for the commands about domains. */
export function dnsOf({ dohUrls }: Settings, use: DomainKeyUse): DomainKeyResolver {
  return createDomainKeyResolver({ fetch: nodeHost.fetch, dohUrls, now: nodeHost.now, use });
}

export function knownDomainsOf({ seenFolder: folder }: Settings): KnownDomainsFile {
  return new KnownDomainsFile({ path: knownDomainsPath(folder), warn });
}

/** Whose witnesses count where DNS shows a key no longer. They are asked for only then. */
export function trustedEdgesOf(settings: Settings): () => Promise<TrustedEdges> {
  const edges = settings.edgeUrls.map((url) => new Server(url, nodeHost.fetch));
  let trusted: Promise<TrustedEdges> | null = null;
  return () => {
    trusted ??= trustedEdgesFrom(join(dirname(settings.seenFolder), "known_edges"), edges);
    return trusted;
  };
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

/** How home nodes are asked that servers tell of. */
export function nodeAt(servers: readonly Server[]): (url: string) => Server {
  const { fetch } = hostFor(servers);
  return (url) => new Server(url, fetch, { ...HOLDER_OPTIONS, isEdge: false });
}

/**
 * Whoever names servers with --from has reason to look beyond the edges: from there on the overlay is searched for what none
 * of the servers knows. Null where only edges are asked.
 */
export function overlayOf({ fromUrls }: Settings, servers: readonly Server[]): Overlay | null {
  const entries = servers.filter(({ url }) => fromUrls.includes(url));
  return entries.length === 0 ? null : new Overlay({ entries, nodeAt: nodeAt(servers) });
}

export function chunkSourceOf(
  servers: readonly Server[],
  onHolderFailed: (failure: HolderFailure) => void,
  overlay: Overlay | null = null,
): ChunkSource {
  const { fetch, hasher } = hostFor(servers);
  const fetchChunk = createChunkFetch(fetch, CHUNK_LIMITS, (bytes) => chunkMemory.take(bytes));
  const finding = overlay === null ? {} : { holdersOf: (hash: Hash) => overlay.holdersOf(hash) };
  return new ChunkSource({ servers, hasher, fetchChunk, onHolderFailed, ...finding });
}

/** As an option of what reads names. */
export function findingNames(overlay: Overlay | null): Pick<VersionsOptions, "serversKnowing"> {
  return overlay === null ? {} : { serversKnowing: (nameHash) => overlay.serversKnowing(nameHash) };
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
