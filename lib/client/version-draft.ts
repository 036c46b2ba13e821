// A new Version before it is signed: which one it follows, whether it would say anything new, and its body.

import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import type { Domain, ObjectName } from "../names.ts";
import type { StatementSigner } from "../sshsig.ts";
import { signStatement } from "../statement.ts";
import { type VerifiedVersion, versionKind } from "../version.ts";
import type { Ingested } from "./ingest.ts";
import { type KnownVersion, type NameKnowledge, stands } from "./name-knowledge.ts";

export interface VersionDraft {
  request: { domain: Domain; name: ObjectName; author: string; expires?: string };
  nameHash: Hash;
  ingested: Ingested;
  parent: KnownVersion | null;
  nowMs: number;
}

export function signVersion(draft: VersionDraft, signer: StatementSigner): Promise<VerifiedVersion> {
  const { request, nameHash, ingested, parent, nowMs } = draft;
  const parentMs = parent === null ? 0 : Date.parse(parent.version.body.time);
  return signStatement(
    versionKind,
    {
      type: "holdfast-version-1",
      domain: request.domain,
      nameHash,
      name: request.name,
      sequence: (parent?.version.body.sequence ?? 0) + 1,
      previous: parent?.version.id ?? null,
      time: new Date(Math.max(nowMs, parentMs)).toISOString(),
      manifest: ingested.manifest,
      size: ingested.sizeBytes,
      author: request.author,
      ...(request.expires === undefined ? {} : { expires: request.expires }),
    },
    signer,
  );
}

/**
 * The Version to follow: the newest valid one, though it was taken back, so that no sequence comes twice; after a change of
 * keys, when none is valid any more, the newest.
 */
export function parentOf({ versions }: NameKnowledge): KnownVersion | null {
  return versions.find(({ unverified }) => unverified === null) ?? versions[0] ?? null;
}

/** A Version that must be the newest, or "none": the name must not have any. */
export type IfMatch = Hash | "none";

/** Why a Version after `parent` would not be what the publisher means; null where it is, or where nothing was said. */
export function checkIfMatch(
  parent: KnownVersion | null,
  ifMatch: IfMatch | undefined,
): HoldfastError | null {
  const newest = parent?.version.id ?? "none";
  if (ifMatch === undefined || ifMatch === newest) return null;
  return new HoldfastError(
    "precondition-failed",
    newest === "none"
      ? `the name has no Version, and ${ifMatch} was to be the newest`
      : `the newest Version is ${newest}: look at it, then publish with --if-match ${newest}`,
  );
}

/** True where the parent already says what the draft would: a new Version would be noise. */
export function isUnchanged({ parent, ingested, request, nowMs }: VersionDraft): boolean {
  if (parent === null || !stands(parent) || request.expires !== undefined) return false;
  const { expires, manifest } = parent.version.body;
  const isCurrent = expires === undefined || Date.parse(expires) > nowMs;
  return isCurrent && manifest === ingested.manifest;
}
