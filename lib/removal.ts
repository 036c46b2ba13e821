// A Removal takes Versions of a name back. What it names stays as a tombstone: its sequence is not used again, so a
// removal cannot pass for a rollback, nor a Removal that is replayed hit a later Version.

import * as v from "valibot";
import type { Right } from "./authority.ts";
import { HoldfastError } from "./error.ts";
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

const removalSchema = v.pipe(
  v.strictObject({
    type: v.literal("holdfast-removal-1"),
    domain: domainSchema,
    nameHash: hashSchema,
    /** Who removes: what they published themselves, or anything where the domain's key signs. */
    author: emailSchema,
    reason: v.pipe(v.string(), v.maxLength(REMOVAL_REASON_MAX), v.regex(REASON, "expected plain text")),
    time: timeSchema,
    versions: v.optional(v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(VERSIONS_PER_REMOVAL_MAX))),
    /** Everything up to this sequence, it included. */
    through: v.optional(positiveSchema),
  }),
  v.check(
    ({ versions, through }) => (versions === undefined) !== (through === undefined),
    "expected either versions or through",
  ),
);

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
export function removes(
  { versions = [], through = 0 }: Removal,
  version: { id: Hash; sequence: number },
): boolean {
  return version.sequence <= through || versions.includes(version.id);
}

/** A reason as a Removal gives it. Throws `invalid-request`. */
export function parseReason(text: string): string {
  if (text.length <= REMOVAL_REASON_MAX && REASON.test(text)) return text;
  throw new HoldfastError(
    "invalid-request",
    `a reason is plain text on one line, of at most ${REMOVAL_REASON_MAX} characters`,
  );
}

/** By what right something was signed, and as whose it was. */
export interface Claimed {
  right: Right["by"];
  author: string;
}

/** Whether a Removal may take back a Version: anything by the domain's key, else what its author published. */
export function mayRemove(removal: Claimed, version: Claimed): boolean {
  if (removal.right === "domain-key") return true;
  const isAuthors = version.right === "author-key" || version.right === "delegation";
  return isAuthors && version.author === removal.author;
}
