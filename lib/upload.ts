// Uploads. A domain key signs a grant that names a short-lived session key; the session key signs, for one node,
// which chunks it sends there; the node signs a receipt for what it keeps. So a stranger cannot fill a volunteer's
// disk, and a grant that leaks cannot be used on another node or for other chunks.

import * as v from "valibot";
import type { Claim } from "./authority.ts";
import { decodeBase64 } from "./base64.ts";
import { DELEGATION_BYTES_MAX } from "./delegation.ts";
import { HoldfastError } from "./error.ts";
import type { Hash, NodeId } from "./hash.ts";
import { CHUNK_BYTES_MAX } from "./manifest.ts";
import { formatPublicKeyText, nodeIdOf } from "./openssh-key.ts";
import {
  countSchema,
  domainSchema,
  emailSchema,
  hashSchema,
  keyTextSchema,
  nodeIdSchema,
  positiveSchema,
  timeSchema,
} from "./schema.ts";
import { SSHSIG_TEXT_MAX } from "./sshsig.ts";
import { type SignedStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";
import { CLOCK_SKEW_MAX_MS } from "./version.ts";

export const GRANT_LIFETIME_MAX_MS = 24 * 60 * 60 * 1000;
export const RECEIPT_AGE_MAX_MS = 24 * 60 * 60 * 1000;
/** Chunks that one upload statement or one receipt may name. */
export const CHUNKS_PER_UPLOAD_MAX = 128;

/** Base64. */
const DELEGATION_TEXT_MAX = Math.ceil(DELEGATION_BYTES_MAX / 3) * 4;

const grantSchema = v.strictObject({
  type: v.literal("holdfast-upload-grant-1"),
  domain: domainSchema,
  author: emailSchema,
  session: keyTextSchema,
  bytes: positiveSchema,
  /** By which the grant's key signs, where that is neither the domain's nor its author's own. */
  delegation: v.optional(
    v.strictObject({
      statement: v.pipe(v.string(), v.maxLength(DELEGATION_TEXT_MAX)),
      signature: v.pipe(v.string(), v.maxLength(SSHSIG_TEXT_MAX)),
    }),
  ),
  time: timeSchema,
  expires: timeSchema,
});
const uploadSchema = v.strictObject({
  type: v.literal("holdfast-upload-1"),
  grant: hashSchema,
  node: nodeIdSchema,
  chunks: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(CHUNKS_PER_UPLOAD_MAX)),
  time: timeSchema,
});
const receiptSchema = v.strictObject({
  type: v.literal("holdfast-receipt-1"),
  node: nodeIdSchema,
  domain: domainSchema,
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, size: v.pipe(countSchema, v.maxValue(CHUNK_BYTES_MAX)) })),
    v.minLength(1),
    v.maxLength(CHUNKS_PER_UPLOAD_MAX),
  ),
  time: timeSchema,
});

export type UploadGrant = v.InferOutput<typeof grantSchema>;
export type Upload = v.InferOutput<typeof uploadSchema>;
export type Receipt = v.InferOutput<typeof receiptSchema>;

/** Signed by whoever may publish for the domain: "this session key may upload `bytes` bytes for `domain` until `expires`". */
export const grantKind = {
  type: "holdfast-upload-grant-1",
  namespace: "holdfast-upload",
  schema: grantSchema,
} as const;
/** Signed by the session key: "these chunks are sent to this node under this grant". */
export const uploadKind = {
  type: "holdfast-upload-1",
  namespace: "holdfast-upload",
  schema: uploadSchema,
} as const;
/** Signed by a home node: "I keep these chunks for this domain". */
export const receiptKind = {
  type: "holdfast-receipt-1",
  namespace: "holdfast-node",
  schema: receiptSchema,
} as const;

/** Signature, form and dates. The caller still asks DNS whether the grant's key is the domain's. */
export async function verifyGrant(
  signed: SignedStatement,
  nowMs: number,
): Promise<VerifiedStatement<UploadGrant>> {
  const grant = await verifyStatement(grantKind, signed);
  checkGrantTimes(grant.body, nowMs);
  return grant;
}

/** What a grant claims: that its key may publish for the domain, whatever the names. */
export function claimOfGrant({ body, key }: VerifiedStatement<UploadGrant>, nowMs: number): Claim {
  return { domain: body.domain, author: body.author, key, name: undefined, timeMs: nowMs };
}

/** Throws `invalid-statement` where its base64 is not. */
export function delegationOfGrant({ body }: VerifiedStatement<UploadGrant>): SignedStatement | null {
  const { delegation } = body;
  if (delegation === undefined) return null;
  return { bytes: decodeBase64(delegation.statement), signature: delegation.signature };
}

export function checkGrantTimes(grant: UploadGrant, nowMs: number): void {
  const [time, expires] = [Date.parse(grant.time), Date.parse(grant.expires)];
  if (expires <= nowMs)
    throw new HoldfastError("grant-expired", `the upload grant expired at ${grant.expires}`);
  if (time > nowMs + CLOCK_SKEW_MAX_MS || expires - time > GRANT_LIFETIME_MAX_MS || expires <= time) {
    throw new HoldfastError(
      "grant-mismatch",
      "the upload grant's dates are not usable: at most 24 h, from now",
    );
  }
}

/** Checks that `upload` was signed by the grant's session key, for this node and this chunk. Throws `grant-mismatch`. */
export function checkUpload(
  grant: VerifiedStatement<UploadGrant>,
  upload: VerifiedStatement<Upload>,
  node: NodeId,
  chunk: Hash,
): void {
  const { body } = upload;
  if (body.grant !== grant.id || formatPublicKeyText(upload.key) !== grant.body.session) {
    throw new HoldfastError("grant-mismatch", "the upload is not signed under this grant");
  }
  if (body.node !== node) throw new HoldfastError("grant-mismatch", "the upload is meant for another node");
  if (!body.chunks.includes(chunk))
    throw new HoldfastError("grant-mismatch", "the upload does not name this chunk");
}

/** Signature, age, and that the signing key is the node's own. Throws `receipt-invalid`. */
export async function verifyReceipt(
  signed: SignedStatement,
  nowMs: number,
): Promise<VerifiedStatement<Receipt>> {
  const receipt = await verifyStatement(receiptKind, signed);
  const age = nowMs - Date.parse(receipt.body.time);
  if (nodeIdOf(receipt.key) !== receipt.body.node) {
    throw new HoldfastError("receipt-invalid", "the receipt is not signed by the node that it names");
  }
  if (age > RECEIPT_AGE_MAX_MS || age < -CLOCK_SKEW_MAX_MS) {
    throw new HoldfastError("receipt-invalid", "the receipt is too old, or dated in the future");
  }
  return receipt;
}
