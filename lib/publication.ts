// A publication: a signed Version together with its Manifest, as POST /names carries it. The checks that every
// server makes before it keeps one, whatever else it asks for.

import { type Authority, authorizeFor, type Claim } from "./authority.ts";
import { decodeBase64 } from "./base64.ts";
import type { DomainKeyResolver } from "./domain-keys.ts";
import { HoldfastError } from "./error.ts";
import { hashBytes } from "./hash.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { type VerifiedRemoval, verifyRemoval } from "./removal.ts";
import type { SignedStatement } from "./statement.ts";
import { checkAge, checkNotAhead, type VerifiedVersion, verifyVersion } from "./version.ts";
import type { PostedRemovalJson, PublishedJson } from "./wire/names.ts";
import { parseSigned } from "./wire/signed.ts";

export interface Publication {
  version: VerifiedVersion;
  manifest: Manifest;
  manifestBytes: Uint8Array<ArrayBuffer>;
  authority: Authority;
  delegation: SignedStatement | null;
  /** Whether it is to be refused where the Version that it follows is not the newest. */
  ifMatch: boolean;
}

/**
 * Verifies signature, form, dates, Manifest and the domain's leave; `acceptsExpired`: of what has been accepted elsewhere, and
 * may have run out since. Throws the code of the first thing wrong.
 */
export async function verifyPublication(
  published: PublishedJson,
  resolver: DomainKeyResolver,
  nowMs: number,
  { acceptsExpired = false }: { acceptsExpired?: boolean } = {},
): Promise<Publication> {
  const version = await verifyVersion(parseSigned(published.version));
  if (acceptsExpired) checkNotAhead(version.body, nowMs);
  else checkAge(version.body, nowMs);
  const manifestBytes = decodeBase64(published.manifest);
  const manifest = checkManifest(version, manifestBytes);
  const delegation = published.delegation === undefined ? null : parseSigned(published.delegation);
  const authority = await authorizeFor(resolver, claimOf(version), delegation);
  const { right } = authority;
  return {
    version,
    manifest,
    manifestBytes,
    authority,
    // One that its right does not rest on is no part of it.
    delegation: right.by === "delegation" ? delegation : null,
    ifMatch: published.ifMatch ?? false,
  };
}

/** A Removal as POST /names carries it, after every check that a server makes. */
export interface PublishedRemoval {
  removal: VerifiedRemoval;
  authority: Authority;
  delegation: SignedStatement | null;
}

/** Verifies signature, form, date and the domain's leave. Throws the code of the first thing wrong. */
export async function verifyPublishedRemoval(
  posted: PostedRemovalJson,
  resolver: DomainKeyResolver,
  nowMs: number,
): Promise<PublishedRemoval> {
  const removal = await verifyRemoval(parseSigned(posted.removal));
  checkNotAhead(removal.body, nowMs);
  const delegation = posted.delegation === undefined ? null : parseSigned(posted.delegation);
  const authority = await authorizeFor(resolver, removalClaimOf(removal), delegation);
  return { removal, authority, delegation: authority.right.by === "delegation" ? delegation : null };
}

/** What a Version claims: that its key may sign it. */
export function claimOf({ body, key }: VerifiedVersion): Claim {
  const { domain, author, name = null, time } = body;
  return { domain, author, key, name, timeMs: Date.parse(time) };
}

/** What a Removal claims; of which names a delegation is about is not asked for it. */
export function removalClaimOf({ body, key }: VerifiedRemoval): Claim {
  const { domain, author, time } = body;
  return { domain, author, key, name: undefined, timeMs: Date.parse(time) };
}

/** A Manifest's bytes against the Version that names it. Throws `content-hash-mismatch` or `invalid-manifest`. */
export function checkManifest(version: VerifiedVersion, bytes: Uint8Array): Manifest {
  if (hashBytes(bytes) !== version.body.manifest) {
    throw new HoldfastError("content-hash-mismatch", "the Manifest is not the one that the Version names");
  }
  const manifest = parseManifest(bytes);
  if (manifest.size !== version.body.size) {
    throw new HoldfastError("invalid-manifest", "the Manifest's size is not the Version's");
  }
  return manifest;
}
