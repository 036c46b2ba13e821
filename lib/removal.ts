// A Removal takes Versions of a name back. What it names stays as a tombstone: its sequence is not used again, so a
// removal cannot pass for a rollback, nor a Removal that is replayed hit a later Version.

import * as v from "valibot";
import type { Right } from "./authority.ts";
import type { Hash } from "./hash.ts";
import { domainSchema, emailSchema, hashSchema, positiveSchema, timeSchema } from "./schema.ts";
import type { SignedStatement, VerifiedStatement } from "./statement.ts";
import { verifyStatement } from "./statement.ts";

export const VERSIONS_PER_REMOVAL_MAX = 100;
export const REMOVAL_REASON_MAX = 500;
/** Removals of one name that a server keeps and answers with: one can take back everything through a sequence. */
export const REMOVALS_PER_NAME_MAX = 64;
/** It is shown in terminals and pages. */
const REASON = /^[^\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]*$/u;

const headSchema = {
  type: v.literal("holdfast-removal-1"),
  domain: domainSchema,
  nameHash: hashSchema,
  /** Who removes: what they published themselves, or anything where the domain's key signs. */
  author: emailSchema,
  reason: v.pipe(v.string(), v.maxLength(REMOVAL_REASON_MAX), v.regex(REASON, "expected plain text")),
  time: timeSchema,
};
const removalSchema = v.union([
  v.strictObject({
    ...headSchema,
    versions: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(VERSIONS_PER_REMOVAL_MAX)),
  }),
  /** Everything up to this sequence, it included. */
  v.strictObject({ ...headSchema, through: positiveSchema }),
]);

export type Removal = v.InferOutput<typeof removalSchema>;
export type VerifiedRemoval = VerifiedStatement<Removal>;

export const removalKind = {
  type: "holdfast-removal-1",
  namespace: "holdfast",
  schema: removalSchema,
} as const;

/** Signature and form. Whether the key may remove what it names is rightToRemove's question. */
export function verifyRemoval(signed: SignedStatement): Promise<VerifiedRemoval> {
  return verifyStatement(removalKind, signed);
}

/** Whether the Removal names this Version of its name. */
export function removes(removal: Removal, version: { id: Hash; sequence: number }): boolean {
  return "through" in removal ? version.sequence <= removal.through : removal.versions.includes(version.id);
}

/** Whether a Removal by this right may take back a Version: anything by the domain's key, else what its author published. */
export function mayRemove(
  removal: { right: Right; author: string },
  version: { right: Right; author: string },
): boolean {
  if (removal.right.by === "domain-key") return true;
  return version.right.by !== "domain-key" && version.author === removal.author;
}
