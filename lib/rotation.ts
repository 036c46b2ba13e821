// Rotations: an old domain key signs which key follows it. Published in DNS beside the keys, they let whoever knows
// only the old key find the way to the present one. Whether a domain's keys may change is the asker's question.

import * as v from "valibot";
import { HoldfastError, isHoldfastError } from "./error.ts";
import type { Domain } from "./names.ts";
import { fingerprintOf, formatPublicKeyText, parsePublicKeyText } from "./openssh-key.ts";
import { domainSchema, keyTextSchema, timeSchema } from "./schema.ts";
import type { StatementSigner } from "./sshsig.ts";
import { type SignedStatement, signStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";

/** Of one domain; each costs a verification. */
export const ROTATIONS_MAX = 32;

const rotationSchema = v.strictObject({
  type: v.literal("holdfast-rotation-1"),
  domain: domainSchema,
  /** The old key, which signs: an SSH public key blob in base64. */
  from: keyTextSchema,
  /** The key that follows it. */
  to: keyTextSchema,
  time: timeSchema,
});

export type Rotation = v.InferOutput<typeof rotationSchema>;
export type VerifiedRotation = VerifiedStatement<Rotation>;

export const rotationKind = {
  type: "holdfast-rotation-1",
  namespace: "holdfast-domain",
  schema: rotationSchema,
  bytesMax: 2048,
} as const;

/** From one key to the next, by their fingerprints. */
export interface RotationStep {
  from: string;
  to: string;
}

/** `signer` is the old key. Throws `invalid-statement` where `to` is the same key. */
export async function signRotation(
  { domain, to, time }: { domain: Domain; to: Uint8Array; time: string },
  signer: StatementSigner,
): Promise<VerifiedRotation> {
  const [from, next] = [formatPublicKeyText(signer.key), formatPublicKeyText(to)];
  const rotation = await signStatement(
    rotationKind,
    { type: "holdfast-rotation-1", domain, from, to: next, time },
    signer,
  );
  checkKeys(rotation);
  return rotation;
}

/** Throws what is wrong with the signature or the form, `key-not-authorized` where another key than the old one signed. */
export async function verifyRotation(signed: SignedStatement): Promise<VerifiedRotation> {
  const rotation = await verifyStatement(rotationKind, signed);
  checkKeys(rotation);
  return rotation;
}

/** The rotations of `domain` among the published ones, and one sentence for each that counts for nothing. */
export async function verifyRotations(
  domain: Domain,
  published: readonly SignedStatement[],
): Promise<{ rotations: VerifiedRotation[]; problems: string[] }> {
  const rotations: VerifiedRotation[] = [];
  const problems: string[] = [];
  if (published.length > ROTATIONS_MAX)
    problems.push(`of ${published.length} rotations ${ROTATIONS_MAX} are read`);
  for (const signed of published.slice(0, ROTATIONS_MAX)) {
    try {
      const rotation = await verifyRotation(signed);
      if (rotation.body.domain === domain) rotations.push(rotation);
      else problems.push(`a rotation is ignored: it is of ${rotation.body.domain}`);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      problems.push(`a rotation is ignored: ${error.message}`);
    }
  }
  return { rotations, problems };
}

export function stepOf({ body }: VerifiedRotation): RotationStep {
  return {
    from: fingerprintOf(parsePublicKeyText(body.from)),
    to: fingerprintOf(parsePublicKeyText(body.to)),
  };
}

/** `known` and every key that a chain of steps leads to from there, by their fingerprints. */
export function followRotations(known: Iterable<string>, steps: readonly RotationStep[]): Set<string> {
  const reached = new Set(known);
  // A set is walked in the order of its growth, so each key's own steps are followed in turn, each key once.
  for (const fingerprint of reached) {
    for (const { from, to } of steps) if (from === fingerprint) reached.add(to);
  }
  return reached;
}

/** The keys from which `steps` lead to one of `present`, by their fingerprints. */
export function predecessorsOf(present: readonly string[], steps: readonly RotationStep[]): Set<string> {
  const back = steps.map(({ from, to }) => ({ from: to, to: from }));
  const reached = followRotations(present, back);
  for (const fingerprint of present) reached.delete(fingerprint);
  return reached;
}

function checkKeys({ body, key }: VerifiedRotation): void {
  if (body.from !== formatPublicKeyText(key))
    throw new HoldfastError("key-not-authorized", "the rotation is not signed by the key that it leads from");
  if (body.from === body.to)
    throw new HoldfastError("invalid-statement", "the rotation leads from a key to itself");
}
