// A statement is canonical JSON with a type, and an SSHSIG beside it. Received bytes are hashed and verified
// as they came; a statement's id is the SHA-256 of its bytes.

import type * as v from "valibot";
import { encodeCanonical, parseCanonical } from "./canonical-json.ts";
import { HoldfastError } from "./error.ts";
import { type Hash, hashBytes } from "./hash.ts";
import { parseWith } from "./schema.ts";
import { type Namespace, type StatementSigner, verifySshSignature } from "./sshsig.ts";

export const STATEMENT_BYTES_MAX = 16 * 1024;

/** A statement as it travels: the exact bytes, and the armored signature over them. */
export interface SignedStatement {
  bytes: Uint8Array<ArrayBuffer>;
  signature: string;
}

/** What a kind of statement is: its `type` field, its namespace, its schema. */
export interface StatementKind<S extends v.GenericSchema<unknown, { type: string }>> {
  type: string;
  namespace: Namespace;
  schema: S;
  bytesMax?: number;
}

/** A statement after its bytes were parsed and its signature was found to be made by `key` (SSH public key blob). */
export interface VerifiedStatement<T> extends SignedStatement {
  id: Hash;
  body: T;
  key: Uint8Array;
}

type Body<S extends v.GenericSchema<unknown, { type: string }>> = v.InferOutput<S>;

/** Parses a statement's bytes, without looking at any signature. */
export function parseStatement<S extends v.GenericSchema<unknown, { type: string }>>(
  kind: StatementKind<S>,
  bytes: Uint8Array,
): Body<S> {
  const value = parseCanonical(bytes, kind.bytesMax ?? STATEMENT_BYTES_MAX);
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (type !== kind.type) throw new HoldfastError("wrong-type", `expected a ${kind.type} statement`);
  return parseWith(kind.schema, value, "invalid-statement");
}

/** Encodes and signs a statement. Throws `invalid-statement` for a body that its own parser would refuse. */
export async function signStatement<S extends v.GenericSchema<unknown, { type: string }>>(
  kind: StatementKind<S>,
  body: Body<S>,
  signer: StatementSigner,
): Promise<VerifiedStatement<Body<S>>> {
  // What its own parser would ask of the bytes: that they are canonical, they are by construction.
  parseWith(kind.schema, body, "invalid-statement");
  const bytes = encodeCanonical(body);
  checkLength(kind, bytes);
  const signature = await signer.sign(kind.namespace, bytes);
  return { bytes, signature, id: hashBytes(bytes), body, key: signer.key };
}

/** Verifies the signature over the received bytes, then parses them. Whether `key` may say this is the caller's question. */
export async function verifyStatement<S extends v.GenericSchema<unknown, { type: string }>>(
  kind: StatementKind<S>,
  signed: SignedStatement,
): Promise<VerifiedStatement<Body<S>>> {
  checkLength(kind, signed.bytes);
  const key = await verifySshSignature(signed.signature, kind.namespace, signed.bytes);
  return { ...signed, id: hashBytes(signed.bytes), body: parseStatement(kind, signed.bytes), key };
}

function checkLength(
  { bytesMax = STATEMENT_BYTES_MAX }: { bytesMax?: number },
  { length }: Uint8Array,
): void {
  if (length > bytesMax) throw new HoldfastError("body-too-large", `the statement has ${length} bytes`);
}
