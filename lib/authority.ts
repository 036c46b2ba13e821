// By what right a key signs for a domain: as a key of the domain, or in a moderated domain as an author's own key, or by a
// delegation. And whose a name of a moderated domain is.

import {
  checkDelegatedUse,
  type DelegatedUse,
  delegationKind,
  type VerifiedDelegation,
} from "./delegation.ts";
import { type AuthorKeys, authorizeKey, type DomainKeyResolver, type DomainKeys } from "./domain-keys.ts";
import { admitsAuthor } from "./domain-records.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { formatPublicKeyText } from "./openssh-key.ts";
import { type SignedStatement, verifyStatement } from "./statement.ts";

/** By what right something was signed. */
export type Right =
  | { by: "domain-key" }
  /** An author's own key, in a moderated domain. */
  | { by: "author-key" }
  /** A delegation, by the domain (null) or by an author whose names it is about. */
  | { by: "delegation"; delegation: Hash; from: string | null }
  /** Not seen itself, but in the history of a Version that is: whoever signed that one vouches for what it follows. */
  | { by: "successor"; version: Hash };

/** A right, and what it was seen by. */
export interface Authority {
  right: Right;
  /** Whether something says that the key is the author's: a record of the domain's key with an address has to. */
  isAuthorVerified: boolean;
  domainKeys: DomainKeys;
  /** Where an author's own key had to be asked for. */
  authorKeys: AuthorKeys | null;
}

export type Claim = DelegatedUse;

/** Codes that another answer of DNS might mend. */
const PERHAPS_NEW = [
  "key-not-authorized",
  "author-mismatch",
  "delegation-mismatch",
  "no-domain-key",
  "domain-not-found",
  "no-author-key",
] as const;

/**
 * By what right `claim` is made. Asks DNS again before it refuses: a record may be new. Throws `key-not-authorized`,
 * `author-mismatch`, `delegation-mismatch`, what is wrong with the delegation itself, and what the resolver throws.
 */
export async function authorizeFor(
  resolver: DomainKeyResolver,
  claim: Claim,
  delegation: SignedStatement | null = null,
): Promise<Authority> {
  try {
    return await authorize(resolver, claim, delegation, false);
  } catch (error) {
    if (!isHoldfastError(error, ...PERHAPS_NEW)) throw error;
    return authorize(resolver, claim, delegation, true);
  }
}

async function authorize(
  resolver: DomainKeyResolver,
  claim: Claim,
  delegation: SignedStatement | null,
  fresh: boolean,
): Promise<Authority> {
  const domainKeys = await resolver.resolve(claim.domain, { fresh });
  const isDomainKey = holdsKey(domainKeys.keys, claim.key);
  if (isDomainKey || domainKeys.policy === "exclusive") {
    const { emails } = authorizeKey(domainKeys, claim.key, claim.author);
    return {
      right: { by: "domain-key" },
      isAuthorVerified: emails.length > 0,
      domainKeys,
      authorKeys: null,
    };
  }
  const asking = { resolver, domainKeys, fresh };
  return delegation === null ? byAuthorKey(claim, asking) : byDelegation(claim, delegation, asking);
}

interface Asking {
  resolver: DomainKeyResolver;
  domainKeys: DomainKeys;
  fresh: boolean;
}

async function byAuthorKey(claim: Claim, asking: Asking): Promise<Authority> {
  const { domainKeys } = asking;
  const authorKeys = await keysOfAdmitted(claim.author, asking);
  if (holdsKey(authorKeys.keys, claim.key))
    return { right: { by: "author-key" }, isAuthorVerified: true, domainKeys, authorKeys };
  throw new HoldfastError(
    "key-not-authorized",
    `the key is neither one of ${domainKeys.domain}'s nor one that ${claim.author} has published in DNS`,
  );
}

async function byDelegation(claim: Claim, signed: SignedStatement, asking: Asking): Promise<Authority> {
  const { domainKeys } = asking;
  const delegation = await verifyStatement(delegationKind, signed);
  checkDelegatedUse(delegation, claim);
  if (domainKeys.revoked.includes(delegation.id)) throw mismatch("was revoked by the domain");
  const { by } = delegation.body;
  const right = { by: "delegation", delegation: delegation.id, from: by ?? null } as const;
  if (by === undefined) {
    if (holdsKey(domainKeys.keys, delegation.key))
      return { right, isAuthorVerified: true, domainKeys, authorKeys: null };
    throw mismatch(`is signed by a key that is not one of ${domainKeys.domain}'s`);
  }
  const authorKeys = await keysOfAdmitted(by, asking);
  if (holdsKey(authorKeys.keys, delegation.key))
    return { right, isAuthorVerified: true, domainKeys, authorKeys };
  throw mismatch(`is signed by a key that ${by} has not published`);
}

/** DNS is asked about nobody whom the domain does not admit: a stranger's address costs no question. */
async function keysOfAdmitted(email: string, { resolver, domainKeys, fresh }: Asking): Promise<AuthorKeys> {
  if (admitsAuthor(domainKeys.authors, email)) return resolver.resolveAuthor(email, { fresh });
  throw new HoldfastError(
    "key-not-authorized",
    `${domainKeys.domain} admits ${describeAuthors(domainKeys.authors)}, and not ${email} by a key of their own`,
  );
}

function describeAuthors(authors: readonly string[] | null): string {
  if (authors === null) return "any author";
  return authors.length === 0 ? "authors by delegation only" : authors.join(", ");
}

function holdsKey(keys: readonly { text: string }[], blob: Uint8Array): boolean {
  const text = formatPublicKeyText(blob);
  return keys.some((key) => key.text === text);
}

function mismatch(what: string): HoldfastError {
  return new HoldfastError("delegation-mismatch", `the delegation ${what}`);
}

/** Parses and verifies a delegation that somebody was given. Throws what is wrong with its form or signature. */
export function verifyDelegation(signed: SignedStatement): Promise<VerifiedDelegation> {
  return verifyStatement(delegationKind, signed);
}

/** Whose a name is that a Version created by this right: an author's, by address, or the domain's, null. */
export function ownerBy(right: Right, author: string): string | null {
  if (right.by === "author-key") return author;
  return right.by === "delegation" ? right.from : null;
}

/** Whether a Version may be added to a name that `owner` has. Throws `name-owned`. */
export function checkOwner(owner: string | null, right: Right, author: string): void {
  const writer = ownerBy(right, author);
  if (writer === null || writer === owner) return;
  throw new HoldfastError(
    "name-owned",
    `the name belongs to ${owner ?? "the domain"}: only by their delegation or the domain's may others add to it`,
  );
}
