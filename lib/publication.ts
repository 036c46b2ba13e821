// A publication: a signed Version together with its Manifest, as POST /names carries it. The checks that every
// server makes before it keeps one, whatever else it asks for.

import type { DomainKeyResolver, DomainKeys } from "./domain-keys.ts";
import { authorizeKey } from "./domain-keys.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import { hashBytes } from "./hash.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import type { Domain } from "./names.ts";
import { checkAge, type VerifiedVersion, verifyVersion } from "./version.ts";
import { decodeBase64, type PublishedJson, parseSigned } from "./wire.ts";

export interface Publication {
  version: VerifiedVersion;
  manifest: Manifest;
  manifestBytes: Uint8Array<ArrayBuffer>;
  domainKeys: DomainKeys;
  /** Whether it is to be refused where the Version that it follows is not the newest. */
  ifMatch: boolean;
}

/** Verifies signature, form, dates, Manifest and the domain's leave. Throws the code of the first thing wrong. */
export async function verifyPublication(
  published: PublishedJson,
  resolver: DomainKeyResolver,
  nowMs: number,
): Promise<Publication> {
  const version = await verifyVersion(parseSigned(published.version));
  checkAge(version.body, nowMs);
  const manifestBytes = decodeBase64(published.manifest);
  const manifest = checkManifest(version, manifestBytes);
  const domainKeys = await authorizeFor(resolver, version.body.domain, version.key, version.body.author);
  return { version, manifest, manifestBytes, domainKeys, ifMatch: published.ifMatch ?? false };
}

/** The domain's keys, after `key` was found among them. Asks DNS again before it refuses: a record may be new. */
export async function authorizeFor(
  resolver: DomainKeyResolver,
  domain: Domain,
  key: Uint8Array,
  author: string,
): Promise<DomainKeys> {
  try {
    return await authorize(resolver, domain, key, author, false);
  } catch (error) {
    if (!isHoldfastError(error, "key-not-authorized", "author-mismatch", "no-domain-key", "domain-not-found"))
      throw error;
    return authorize(resolver, domain, key, author, true);
  }
}

async function authorize(
  resolver: DomainKeyResolver,
  domain: Domain,
  key: Uint8Array,
  author: string,
  fresh: boolean,
): Promise<DomainKeys> {
  const keys = await resolver.resolve(domain, { fresh });
  authorizeKey(keys, key, author);
  return keys;
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
