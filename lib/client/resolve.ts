// From a name to a verified Version and its Manifest: the newest valid answer of all servers asked, or the Version
// that the caller names. An older Version never stands in for a newest one that has expired.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { type Manifest, namedHashes } from "../manifest.ts";
import type { Domain } from "../names.ts";
import { formatPublicKeyText } from "../openssh-key.ts";
import { handled } from "../promise.ts";
import { checkManifest } from "../publication.ts";
import type { VerifiedRemoval } from "../removal.ts";
import { checkExpiry, type VerifiedVersion } from "../version.ts";
import { type ChunkSource, LOCATE_BATCH } from "./chunk-source.ts";
import { type KnownVersion, type NameKnowledge, type ServerProblem, stands } from "./name-knowledge.ts";
import { checkNotOlder, noteSeen, type SeenVersions } from "./seen.ts";
import type { Server } from "./server.ts";
import { askHolders, collectNewest, collectVersions, type VersionsOptions } from "./versions.ts";

export interface ResolveRequest {
  domain: Domain;
  nameHash: Hash;
  /** This Version instead of the newest; its expiry is then not looked at. */
  versionId?: Hash;
}

export interface ResolveOptions extends VersionsOptions {
  source: ChunkSource;
  now(): number;
  /** What was seen before: an older newest Version is refused with `rolled-back`. */
  seen?: SeenVersions | undefined;
  /** Opens a home node as a server: those that hold the newest Version are then asked what they know of the name. */
  holderAt?: (url: string) => Server;
  /** For who is about to publish the next one: the newest Version may have expired. */
  acceptsExpired?: boolean;
}

export interface ResolvedObject {
  version: VerifiedVersion;
  manifest: Manifest;
  manifestBytes: Uint8Array<ArrayBuffer>;
  /** What was wrong with servers whose answers were not used. */
  problems: ServerProblem[];
}

/**
 * Throws `not-found`; `statement-expired`; where no valid Version was among the answers, what was wrong with them;
 * where no server answered, why the first did not.
 */
export async function resolveObject(
  request: ResolveRequest,
  options: ResolveOptions,
): Promise<ResolvedObject> {
  const depth = request.versionId === undefined ? "newest" : "all";
  const query = { ...request, depth } as const;
  const knowledge = await collectVersions(query, options);
  const { holderAt } = options;
  const isAsked = holderAt !== undefined && request.versionId === undefined;
  const all = isAsked ? await askHolders(query, knowledge, { ...options, holderAt }) : knowledge;
  return resolveFrom(request, all, options);
}

/** Names that are resolved together: the chunks of that many small objects are located in one request. */
export const RESOLVE_BATCH = 100;

/** What became of one name: its object, or why there is none. */
export type Resolution = ResolvedObject | HoldfastError;

/**
 * Resolves the newest Versions of many names of a domain, in their order. A batch is asked for while the one before it is
 * used; the holders of its chunks, up to LOCATE_BATCH, are located with it.
 */
export async function* resolveMany(
  domain: Domain,
  nameHashes: readonly Hash[],
  options: ResolveOptions,
): AsyncGenerator<Resolution[]> {
  let ahead: Promise<Resolution[]> | null = null;
  for (let at = 0; at < nameHashes.length; at += RESOLVE_BATCH) {
    const next = handled(resolveBatch(domain, nameHashes.slice(at, at + RESOLVE_BATCH), options));
    if (ahead !== null) yield await ahead;
    ahead = next;
  }
  if (ahead !== null) yield await ahead;
}

async function resolveBatch(
  domain: Domain,
  nameHashes: readonly Hash[],
  options: ResolveOptions,
): Promise<Resolution[]> {
  const knowledge = await collectNewest(
    domain,
    nameHashes.map((nameHash) => ({ nameHash })),
    options,
  );
  const resolved = await Promise.all(
    knowledge.map(async (known, i) => {
      const nameHash = nameHashes[i];
      if (nameHash === undefined) throw new TypeError("an answer without a name");
      return resolveFrom({ domain, nameHash }, known, options).catch((error: unknown) => {
        if (isHoldfastError(error)) return error;
        throw error;
      });
    }),
  );
  const chunks = resolved.flatMap((one) => (one instanceof HoldfastError ? [] : namedHashes(one.manifest)));
  await options.source.locate([...new Set(chunks)].slice(0, LOCATE_BATCH));
  return resolved;
}

async function resolveFrom(
  request: ResolveRequest,
  knowledge: NameKnowledge,
  options: ResolveOptions,
): Promise<ResolvedObject> {
  const version = chooseVersion(request, knowledge);
  if (request.versionId === undefined) {
    await checkNotOlder(version.body, version, knowledge, options.seen);
    if (options.acceptsExpired !== true) checkExpiry(version.body, options.now());
  }
  const manifestBytes =
    knowledge.manifests.get(version.body.manifest) ??
    (await options.source.get({ hash: version.body.manifest, sizeBytes: null }));
  const manifest = checkManifest(version, manifestBytes);
  await noteSeen(version, options.seen);
  return { version, manifest, manifestBytes, problems: knowledge.problems };
}

/** The Version asked for, or the newest valid one. Throws as resolveObject does. */
export function chooseVersion(request: ResolveRequest, knowledge: NameKnowledge): VerifiedVersion {
  const { versionId } = request;
  const candidates = knowledge.versions.filter(
    ({ version }) => versionId === undefined || version.id === versionId,
  );
  const chosen = candidates.find(stands);
  if (chosen === undefined) throw reasonForNone(request, candidates, knowledge);
  if (versionId === undefined) checkNoFork(chosen, candidates);
  return chosen.version;
}

/** One key that signs two Versions at one sequence: which of them is meant, nobody can tell. Throws `fork`. */
export function checkNoFork(chosen: KnownVersion, all: readonly KnownVersion[]): void {
  const [twin] = twinsOf(chosen, all);
  if (twin === undefined) return;
  const { version } = chosen;
  throw new HoldfastError(
    "fork",
    `one key signed two Versions at sequence ${version.body.sequence}: ${version.id} and ${twin.version.id}. ` +
      "Ask its publisher which is meant, then name it with --version",
  );
}

/** The other standing Versions that the same key signed at the same sequence. */
export function twinsOf({ version }: KnownVersion, all: readonly KnownVersion[]): KnownVersion[] {
  return all.filter(
    (other) =>
      other.version.id !== version.id &&
      stands(other) &&
      other.version.body.sequence === version.body.sequence &&
      isSameKey(other.version.key, version.key),
  );
}

function isSameKey(a: Uint8Array, b: Uint8Array): boolean {
  return formatPublicKeyText(a) === formatPublicKeyText(b);
}

function reasonForNone(
  request: ResolveRequest,
  candidates: readonly KnownVersion[],
  knowledge: NameKnowledge,
): HoldfastError {
  const removal = candidates.find((known) => known.removal !== null)?.removal ?? null;
  if (removal !== null) return removed(removal);
  const unverified = candidates[0]?.unverified ?? null;
  if (unverified !== null) return unverified;
  const { problems } = knowledge;
  const falsehood = problems.find(({ error }) => !isHoldfastError(error, "unreachable", "timeout"));
  if (falsehood !== undefined && knowledge.versions.length === 0) return falsehood.error;
  const silent = problems[0];
  if (silent !== undefined && knowledge.answered === 0) return silent.error;
  return notFound(request);
}

function removed({ body }: VerifiedRemoval): HoldfastError {
  const why = body.reason === "" ? "" : `: ${body.reason}`;
  return new HoldfastError("removed", `it was taken back by ${body.author} at ${body.time}${why}`);
}

function notFound({ domain, nameHash, versionId }: ResolveRequest): HoldfastError {
  const what =
    versionId === undefined ? `a Version of this name (Name Hash ${nameHash})` : `Version ${versionId}`;
  return new HoldfastError(
    "not-found",
    `no server asked knows ${what} in ${domain}; check the spelling, or ask another server`,
  );
}
