// A witness: an edge's signed record of having accepted a Version, with the DNS evidence and the time. With it,
// a Version outlives the rotation of the key that signed it.

import * as v from "valibot";
import type { DomainKeys } from "./domain-keys.ts";
import { formatPublicKeyText } from "./openssh-key.ts";
import { countSchema, domainSchema, hashSchema, keyTextSchema, timeSchema } from "./schema.ts";
import type { StatementSigner } from "./sshsig.ts";
import { type SignedStatement, signStatement } from "./statement.ts";
import type { VerifiedVersion } from "./version.ts";

export const EVIDENCE_RECORDS_MAX = 16;

const witnessSchema = v.strictObject({
  type: v.literal("holdfast-witness-1"),
  /** The accepted Version's id. */
  version: hashSchema,
  domain: domainSchema,
  /** The key that signed the Version: an SSH public key blob in base64. */
  key: keyTextSchema,
  /** The accepting edge's id. */
  edge: hashSchema,
  time: timeSchema,
  dns: v.strictObject({
    records: v.pipe(v.array(v.pipe(v.string(), v.maxLength(4096))), v.maxLength(EVIDENCE_RECORDS_MAX)),
    ad: v.boolean(),
    ttlSeconds: countSchema,
  }),
});

export type Witness = v.InferOutput<typeof witnessSchema>;

export const witnessKind = {
  type: "holdfast-witness-1",
  namespace: "holdfast-edge",
  schema: witnessSchema,
  bytesMax: 96 * 1024,
} as const;

/** Signs that `version` was accepted at `nowMs`, under the keys that DNS showed. */
export async function signWitness(
  version: VerifiedVersion,
  domainKeys: DomainKeys,
  edge: Witness["edge"],
  nowMs: number,
  signer: StatementSigner,
): Promise<SignedStatement> {
  const { records, ad, ttlSeconds } = domainKeys.evidence;
  const { bytes, signature } = await signStatement(
    witnessKind,
    {
      type: "holdfast-witness-1",
      version: version.id,
      domain: version.body.domain,
      key: formatPublicKeyText(version.key),
      edge,
      time: new Date(nowMs).toISOString(),
      dns: { records: keyRecordsFirst(records, version.key).slice(0, EVIDENCE_RECORDS_MAX), ad, ttlSeconds },
    },
    signer,
  );
  return { bytes, signature };
}

/** The records that hold the signing key come first: they are the evidence that must not be cut off. */
function keyRecordsFirst(records: readonly string[], key: Uint8Array): string[] {
  const text = formatPublicKeyText(key);
  const holdsKey = (record: string) => record.replace(/\s/g, "").includes(text);
  return [...records.filter(holdsKey), ...records.filter((record) => !holdsKey(record))];
}
