// Statements on their way: base64 of their exact bytes beside their armored signature, in JSON and in headers.

import * as v from "valibot";
import { base64, decodeBase64 } from "../base64.ts";
import { HoldfastError } from "../error.ts";
import { MANIFEST_BYTES_MAX } from "../manifest.ts";
import { parseWith } from "../schema.ts";
import { SSHSIG_TEXT_MAX } from "../sshsig.ts";
import type { SignedStatement } from "../statement.ts";

/** Witnesses that travel with one statement. */
export const WITNESSES_MAX = 8;
export const RECEIPTS_PER_POST_MAX = 1000;
const STATEMENT_TEXT_MAX = 128 * 1024;
const GRANT_HEADER_MAX = 12 * 1024;

export const base64Text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));
/** A Manifest's bytes. */
export const manifestText = base64Text(Math.ceil(MANIFEST_BYTES_MAX / 3) * 4);

export const signedSchema = v.strictObject({
  statement: base64Text(STATEMENT_TEXT_MAX),
  signature: v.pipe(v.string(), v.maxLength(SSHSIG_TEXT_MAX)),
});
/** A signed statement in JSON: `statement` is base64 of the bytes, `signature` the armored SSHSIG. */
export type SignedJson = v.InferOutput<typeof signedSchema>;

export const witnessesSchema = v.pipe(v.array(signedSchema), v.maxLength(WITNESSES_MAX));
/** A Version or a Removal as servers give it: with the witnesses, and the delegation that it rests on, if it does. */
export const listedSchema = v.strictObject({
  ...signedSchema.entries,
  witnesses: witnessesSchema,
  delegation: v.optional(signedSchema),
});
export type ListedJson = v.InferOutput<typeof listedSchema>;

export const parseListed = (value: unknown): ListedJson => parseWith(listedSchema, value, "bad-answer");
export const parseSignedJson = (value: unknown): SignedJson => parseWith(signedSchema, value, "bad-answer");

export function formatSigned(signed: SignedStatement): SignedJson {
  return { statement: base64.encode(signed.bytes), signature: signed.signature };
}

/** Throws `invalid-statement` where the base64 is not. */
export function parseSigned(json: SignedJson): SignedStatement {
  return { bytes: decodeBase64(json.statement), signature: json.signature };
}

/** A signed statement in one header value: base64 of the bytes, a dot, base64 of the armored signature. */
export function formatSignedHeader(signed: SignedStatement): string {
  return `${base64.encode(signed.bytes)}.${base64.encode(new TextEncoder().encode(signed.signature))}`;
}

export function parseSignedHeader(value: string): SignedStatement {
  const [statement, signature, ...rest] = value.split(".");
  if (
    value.length > GRANT_HEADER_MAX ||
    statement === undefined ||
    signature === undefined ||
    rest.length > 0
  ) {
    throw new HoldfastError("invalid-request", "expected base64(statement).base64(signature)");
  }
  const text = new TextDecoder().decode(decodeBase64(signature));
  return { bytes: decodeBase64(statement), signature: text };
}

/** Request headers of PUT /chunk. */
export const GRANT_HEADER = "Holdfast-Grant";
export const UPLOAD_HEADER = "Holdfast-Upload";
