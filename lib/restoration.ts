// Statements that a home node gives back to an edge which has none of them, or not these: a Version or a Removal as it was once
// accepted, there or elsewhere. Each is checked as if nobody had before. What is not asked of it is that it is new: it may
// have run out, and its key may have left DNS since an edge that counts accepted it.

import { type Authority, authorizeFor, type Claim, type Right } from "./authority.ts";
import type { DomainKeyResolver } from "./domain-keys.ts";
import { type TrustedEdges, witnessedRight } from "./earlier-keys.ts";
import { isHoldfastError } from "./error.ts";
import { claimOf, removalClaimOf } from "./publication.ts";
import { removalKind, type VerifiedRemoval, verifyRemoval } from "./removal.ts";
import { parseStatement, type SignedStatement, type VerifiedStatement } from "./statement.ts";
import { checkNotAhead, type VerifiedVersion, verifyVersion } from "./version.ts";
import { type ListedJson, parseSigned } from "./wire/signed.ts";

/** By what right a statement stands, and since when. */
export type Restored<T> = {
  statement: T;
  delegation: SignedStatement | null;
  right: Right;
} & (
  | {
      /** Of an edge that counts. */
      witness: SignedStatement;
      edge: string;
      atMs: number;
    }
  | {
      /** Nobody's who counts: DNS shows the right now. */
      witness: null;
      authority: Authority;
    }
);

export interface RestorationOptions {
  resolver: DomainKeyResolver;
  trusted: TrustedEdges;
  nowMs: number;
}

/** What a node gave, in its kind: its signature and form have been checked. */
export type Offered =
  | { kind: "version"; statement: VerifiedVersion; evidence: Evidence }
  | { kind: "removal"; statement: VerifiedRemoval; evidence: Evidence };

export interface Evidence {
  witnesses: SignedStatement[];
  delegation: SignedStatement | null;
}

/** Verifies signature, form and date. Throws the code of the first thing wrong. */
export async function verifyOffered(listed: ListedJson, nowMs: number): Promise<Offered> {
  const signed = parseSigned(listed);
  const evidence = {
    witnesses: listed.witnesses.map(parseSigned),
    delegation: listed.delegation === undefined ? null : parseSigned(listed.delegation),
  };
  const offered: Offered = isRemoval(signed)
    ? { kind: "removal", statement: await verifyRemoval(signed), evidence }
    : { kind: "version", statement: await verifyVersion(signed), evidence };
  checkNotAhead(offered.statement.body, nowMs);
  return offered;
}

export function restoreVersion(
  statement: VerifiedVersion,
  evidence: Evidence,
  options: RestorationOptions,
): Promise<Restored<VerifiedVersion>> {
  return restore(statement, claimOf(statement), evidence, options);
}

export function restoreRemoval(
  statement: VerifiedRemoval,
  evidence: Evidence,
  options: RestorationOptions,
): Promise<Restored<VerifiedRemoval>> {
  return restore(statement, removalClaimOf(statement), evidence, options);
}

/** A witness that counts costs DNS no question. Throws what authorizeFor throws where there is none. */
async function restore<T extends VerifiedStatement<VerifiedVersion["body"] | VerifiedRemoval["body"]>>(
  statement: T,
  claim: Claim,
  { witnesses, delegation }: Evidence,
  { resolver, trusted }: RestorationOptions,
): Promise<Restored<T>> {
  const witnessed = await witnessedRight({ statement, witnesses, delegation }, trusted);
  if (witnessed !== null) {
    const { right, witness, edge, atMs } = witnessed;
    return { statement, delegation: delegationOf(right, delegation), right, witness, edge, atMs };
  }
  const authority = await authorizeFor(resolver, claim, delegation);
  const { right } = authority;
  return { statement, delegation: delegationOf(right, delegation), right, witness: null, authority };
}

/** One that the right does not rest on is no part of it. */
function delegationOf({ by }: Right, delegation: SignedStatement | null): SignedStatement | null {
  return by === "delegation" ? delegation : null;
}

function isRemoval({ bytes }: SignedStatement): boolean {
  try {
    parseStatement(removalKind, bytes);
    return true;
  } catch (error) {
    if (isHoldfastError(error)) return false;
    throw error;
  }
}
