// A witness: an edge's signed record of having accepted a Version or a Removal, with the DNS evidence and the time. With
// it, a statement outlives the rotation of the key that signed it.

import * as v from "valibot";
import type { Authority } from "./authority.ts";
import type { DnsEvidence } from "./domain-keys.ts";
import { HoldfastError } from "./error.ts";
import { hashBytes } from "./hash.ts";
import type { Domain } from "./names.ts";
import { formatPublicKeyText } from "./openssh-key.ts";
import { countSchema, domainSchema, hashSchema, keyTextSchema, timeSchema } from "./schema.ts";
import type { StatementSigner } from "./sshsig.ts";
import { type SignedStatement, signStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";

export const EVIDENCE_RECORDS_MAX = 16;

const evidenceSchema = v.strictObject({
  records: v.pipe(v.array(v.pipe(v.string(), v.maxLength(4096))), v.maxLength(EVIDENCE_RECORDS_MAX)),
  ad: v.boolean(),
  ttlSeconds: countSchema,
});

const witnessSchema = v.strictObject({
  type: v.literal("holdfast-witness-1"),
  /** The id of the accepted Version, or Removal. */
  version: hashSchema,
  domain: domainSchema,
  /** The key that signed it: an SSH public key blob in base64. */
  key: keyTextSchema,
  /** The accepting edge's id. */
  edge: hashSchema,
  time: timeSchema,
  /** By what right, where that was not a key of the domain. */
  right: v.optional(v.picklist(["author-key", "delegation"])),
  dns: evidenceSchema,
  /** What DNS showed of the author whose own key the right rests on. */
  authorDns: v.optional(evidenceSchema),
});

export type Witness = v.InferOutput<typeof witnessSchema>;

export const witnessKind = {
  type: "holdfast-witness-1",
  namespace: "holdfast-edge",
  schema: witnessSchema,
  bytesMax: 96 * 1024,
} as const;

/** What an edge accepts: a Version or a Removal. */
export type Witnessed = VerifiedStatement<{ domain: Domain }>;

/** Signs that `statement` was accepted at `nowMs`, by `authority` as DNS showed it. */
export async function signWitness(
  statement: Witnessed,
  { right, domainKeys, authorKeys }: Authority,
  edge: Witness["edge"],
  nowMs: number,
  signer: StatementSigner,
): Promise<SignedStatement> {
  const { bytes, signature } = await signStatement(
    witnessKind,
    {
      type: "holdfast-witness-1",
      version: statement.id,
      domain: statement.body.domain,
      key: formatPublicKeyText(statement.key),
      edge,
      time: new Date(nowMs).toISOString(),
      ...(right.by === "author-key" || right.by === "delegation" ? { right: right.by } : {}),
      dns: formatEvidence(domainKeys.evidence, statement.key),
      ...(authorKeys === null ? {} : { authorDns: formatEvidence(authorKeys.evidence, statement.key) }),
    },
    signer,
  );
  return { bytes, signature };
}

function formatEvidence({ records, ad, ttlSeconds }: DnsEvidence, key: Uint8Array): Witness["dns"] {
  return { records: keyRecordsFirst(records, key).slice(0, EVIDENCE_RECORDS_MAX), ad, ttlSeconds };
}

/**
 * Verifies that `signed` is a witness of `statement` under its key, signed by the edge that it names. Throws
 * `witness-mismatch`, and what verifyStatement throws.
 */
export async function verifyWitness(
  signed: SignedStatement,
  statement: Witnessed,
): Promise<VerifiedStatement<Witness>> {
  const witness = await verifyStatement(witnessKind, signed);
  const { body } = witness;
  const isOfIt =
    body.version === statement.id &&
    body.domain === statement.body.domain &&
    body.key === formatPublicKeyText(statement.key) &&
    body.edge === hashBytes(witness.key);
  if (isOfIt) return witness;
  throw new HoldfastError("witness-mismatch", "the witness is of something else, or not signed by its edge");
}

/** The records that hold the signing key come first: they are the evidence that must not be cut off. */
function keyRecordsFirst(records: readonly string[], key: Uint8Array): string[] {
  const text = formatPublicKeyText(key);
  const holdsKey = (record: string) => record.replace(/\s/g, "").includes(text);
  return [...records.filter(holdsKey), ...records.filter((record) => !holdsKey(record))];
}
