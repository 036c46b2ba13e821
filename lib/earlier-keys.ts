// Statements by keys that may sign no longer. What an edge that is trusted accepted while the key still stood in DNS stays
// valid, by that edge's witness; a signature that is merely dated back has none.

import type { Right } from "./authority.ts";
import { delegationKind } from "./delegation.ts";
import { type DomainKey, parseDomainRecords } from "./domain-records.ts";
import { isHoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { type SignedStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";
import { CLOCK_SKEW_MAX_MS } from "./version.ts";
import { verifyWitness, type Witness, type Witnessed } from "./witness.ts";

/** Whose witnesses count, by the edges' ids. */
export interface TrustedEdges {
  /** One is enough: a server's own edge, or the ones that a reader has chosen. */
  own: ReadonlySet<Hash>;
  /** Two of them are. */
  peers: ReadonlySet<Hash>;
}

export const PEER_WITNESSES_NEEDED = 2;
export const NO_TRUSTED_EDGES: TrustedEdges = { own: new Set(), peers: new Set() };

/** A statement with what came along. */
export interface Evidenced<T extends Witnessed> {
  statement: T;
  witnesses: readonly SignedStatement[];
  delegation: SignedStatement | null;
}

/** As in Authority. */
export interface WitnessedRight {
  right: Right;
  isAuthorVerified: boolean;
  /** The witness that shows it, and its edge and time in milliseconds. */
  witness: SignedStatement;
  edge: Hash;
  atMs: number;
}

/** By what right edges that are trusted saw `statement` signed; null where too few of them did. */
export async function witnessedRight<T extends Witnessed & VerifiedStatement<{ time: string }>>(
  { statement, witnesses, delegation }: Evidenced<T>,
  trusted: TrustedEdges,
): Promise<WitnessedRight | null> {
  const rights = new Map<Hash, WitnessedRight>();
  for (const signed of witnesses) {
    const witness = await genuineWitness(signed, statement);
    const shown = witness === null ? null : keyIn(witness);
    if (witness === null || shown === null) continue;
    const right = await rightIn(witness, delegation);
    const isAuthorVerified = right?.by !== "domain-key" || shown.emails.length > 0;
    if (right === null) continue;
    const { edge, time } = witness;
    rights.set(edge, { right, isAuthorVerified, witness: signed, edge, atMs: Date.parse(time) });
  }
  const own = [...rights].find(([edge]) => trusted.own.has(edge));
  if (own !== undefined) return own[1];
  const peers = [...rights].filter(([edge]) => trusted.peers.has(edge));
  return peers.length < PEER_WITNESSES_NEEDED ? null : (peers[0]?.[1] ?? null);
}

/** When the first of the edges that count accepted it, in milliseconds; null where none did. */
export async function witnessedAt<T extends Witnessed & VerifiedStatement<{ time: string }>>(
  { statement, witnesses }: Pick<Evidenced<T>, "statement" | "witnesses">,
  trusted: TrustedEdges,
): Promise<number | null> {
  const times: number[] = [];
  for (const signed of witnesses) {
    const witness = await genuineWitness(signed, statement);
    if (witness !== null && (trusted.own.has(witness.edge) || trusted.peers.has(witness.edge)))
      times.push(Date.parse(witness.time));
  }
  return times.length === 0 ? null : Math.min(...times);
}

/** Null for one that is false, of something else, or from before the statement's own time. */
async function genuineWitness(
  signed: SignedStatement,
  statement: Witnessed & VerifiedStatement<{ time: string }>,
): Promise<Witness | null> {
  try {
    const { body } = await verifyWitness(signed, statement);
    return Date.parse(statement.body.time) <= Date.parse(body.time) + CLOCK_SKEW_MAX_MS ? body : null;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** The key that a witness is about, as its evidence has it; by a delegation, that of who delegates is there instead. */
function keyIn({ right, key, dns, authorDns }: Witness): Pick<DomainKey, "emails"> | null {
  if (right === "delegation") return { emails: [] };
  const records = right === "author-key" ? authorDns?.records : dns.records;
  try {
    return parseDomainRecords(records ?? []).keys.find(({ text }) => text === key) ?? null;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

async function rightIn({ right, key }: Witness, delegation: SignedStatement | null): Promise<Right | null> {
  if (right === undefined) return { by: "domain-key" };
  if (right === "author-key") return { by: "author-key" };
  if (delegation === null) return null;
  try {
    const { id, body } = await verifyStatement(delegationKind, delegation);
    return body.key === key ? { by: "delegation", delegation: id, from: body.by ?? null } : null;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}
