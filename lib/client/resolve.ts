// From a name to a verified Version and its Manifest: the newest valid answer of all servers asked, or the Version
// that the caller names. An older Version never stands in for a newest one that has expired.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import type { Manifest } from "../manifest.ts";
import type { Domain } from "../names.ts";
import { checkManifest } from "../publication.ts";
import { checkExpiry, type VerifiedVersion } from "../version.ts";
import type { ChunkSource } from "./chunk-source.ts";
import { collectVersions, type NameKnowledge, type ServerProblem, type VersionsOptions } from "./versions.ts";

export interface ResolveRequest {
  domain: Domain;
  nameHash: Hash;
  /** This Version instead of the newest; its expiry is then not looked at. */
  versionId?: Hash;
}

export interface ResolveOptions extends VersionsOptions {
  source: ChunkSource;
  now(): number;
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
  const knowledge = await collectVersions({ ...request, depth }, options);
  const version = chooseVersion(request, knowledge);
  if (request.versionId === undefined) checkExpiry(version.body, options.now());
  const manifestBytes =
    knowledge.manifests.get(version.body.manifest) ??
    (await options.source.get({ hash: version.body.manifest, sizeBytes: null }));
  const manifest = checkManifest(version, manifestBytes);
  return { version, manifest, manifestBytes, problems: knowledge.problems };
}

/** The Version asked for, or the newest valid one. Throws as resolveObject does. */
export function chooseVersion(request: ResolveRequest, knowledge: NameKnowledge): VerifiedVersion {
  const { versionId } = request;
  const candidates = knowledge.versions.filter(
    ({ version }) => versionId === undefined || version.id === versionId,
  );
  const chosen = candidates.find(({ unverified }) => unverified === null);
  if (chosen !== undefined) return chosen.version;
  throw candidates[0]?.unverified ?? reasonForNone(request, knowledge);
}

function reasonForNone(request: ResolveRequest, knowledge: NameKnowledge): HoldfastError {
  const { problems } = knowledge;
  const falsehood = problems.find(({ error }) => !isHoldfastError(error, "unreachable", "timeout"));
  if (falsehood !== undefined && knowledge.versions.length === 0) return falsehood.error;
  const silent = problems[0];
  if (silent !== undefined && knowledge.answered === 0) return silent.error;
  return notFound(request);
}

function notFound({ domain, nameHash, versionId }: ResolveRequest): HoldfastError {
  const what =
    versionId === undefined ? `a Version of this name (Name Hash ${nameHash})` : `Version ${versionId}`;
  return new HoldfastError(
    "not-found",
    `no server asked knows ${what} in ${domain}; check the spelling, or ask another server`,
  );
}
