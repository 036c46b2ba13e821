// What an operator blocks on an edge: a hash, a name or a domain, each under one hash; and the signed statements by which
// an operator says so, or has shards split, each good for one edge, once, for a few minutes.

import * as v from "valibot";
import { HoldfastError } from "./error.ts";
import { type Hash, isHash } from "./hash.ts";
import { domainHashOf, nameHashOf, parseDomain, parseFullName } from "./names.ts";
import { hashSchema, parseWith, shardPrefixSchema, timeSchema } from "./schema.ts";
import { type SignedStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";

/** Subjects blocked on one edge: each isolate keeps them in memory. */
export const DENIALS_MAX = 20_000;
export const DENIAL_REASON_MAX = 200;
/** `<domain>/<name>`. */
const SUBJECT_MAX = 1300;
/** A statement's time may differ from the edge's by so much. */
export const OPERATOR_WINDOW_MS = 5 * 60 * 1000;
export const DENIALS_ANSWER_MAX = 64 * 1024 * 1024;
/** 410 Gone, and 451 Unavailable For Legal Reasons (RFC 7725). */
export const DENIAL_STATUSES = [410, 451] as const;
export type DenialStatus = (typeof DENIAL_STATUSES)[number];

const subjectSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(SUBJECT_MAX));
const reasonSchema = v.pipe(v.string(), v.maxLength(DENIAL_REASON_MAX), v.regex(/^\P{Cc}*$/u));
const denialSchemas = [
  v.strictObject({
    action: v.literal("deny"),
    /** A hash (of a chunk, a Manifest, a Version or a name), `<domain>/<name>`, or a domain. */
    subject: subjectSchema,
    status: v.picklist(DENIAL_STATUSES),
    /** For whoever asks for it. */
    reason: reasonSchema,
  }),
  v.strictObject({ action: v.literal("allow"), subject: subjectSchema }),
  v.strictObject({ action: v.literal("list") }),
] as const;
const changeSchema = v.variant("action", [
  ...denialSchemas,
  /** Null: every shard. */
  v.strictObject({ action: v.literal("split"), prefix: v.nullable(shardPrefixSchema) }),
]);
export type OperatorChange = v.InferOutput<typeof changeSchema>;
export type DenialChange = v.InferOutput<(typeof denialSchemas)[number]>;

const operatorSchema = v.strictObject({
  type: v.literal("holdfast-operator-1"),
  /** The edge's id: another edge of the same operator takes no statement of this one's. */
  edge: hashSchema,
  time: timeSchema,
  /** Random: two statements that ask for the same are two. */
  nonce: hashSchema,
  change: changeSchema,
});
export type OperatorStatement = v.InferOutput<typeof operatorSchema>;

export const operatorKind = {
  type: "holdfast-operator-1",
  namespace: "holdfast-operator",
  schema: operatorSchema,
} as const;

const denialSchema = v.strictObject({
  hash: hashSchema,
  subject: subjectSchema,
  status: v.picklist(DENIAL_STATUSES),
  reason: reasonSchema,
  time: timeSchema,
});
export type Denial = v.InferOutput<typeof denialSchema>;

const denialsAnswerSchema = v.object({
  /** False where the edge had it so already, and for a list. */
  changed: v.boolean(),
  /** For a list: all that is blocked, oldest first. */
  denials: v.pipe(v.array(denialSchema), v.maxLength(DENIALS_MAX)),
});
export type DenialsAnswer = v.InferOutput<typeof denialsAnswerSchema>;

export const parseDenialsAnswer = (value: unknown): DenialsAnswer =>
  parseWith(denialsAnswerSchema, value, "bad-answer");

/** The hash under which a subject is blocked. Throws `invalid-domain` or `invalid-name`. */
export function subjectHash(subject: string): Hash {
  if (isHash(subject)) return subject;
  if (!subject.includes("/")) return domainHashOf(parseDomain(subject));
  const { domain, name } = parseFullName(subject);
  return nameHashOf(domain, name);
}

/** What a reader is told. */
export function denialError({
  status,
  subject,
  reason,
}: Pick<Denial, "status" | "subject" | "reason">): HoldfastError {
  const why = reason === "" ? "" : `: ${reason}`;
  return status === 451
    ? new HoldfastError("unavailable-for-legal-reasons", `this edge may not give ${subject}${why}`)
    : new HoldfastError("gone", `this edge does not give ${subject}${why}`);
}

/**
 * Verifies that one of `operators` (public key blobs, base64) said this, to this edge and now. That it was not said
 * before is for whoever remembers the statements' ids.
 */
export async function verifyOperatorStatement(
  signed: SignedStatement,
  { edge, isOperator, nowMs }: { edge: Hash; isOperator: (key: Uint8Array) => boolean; nowMs: number },
): Promise<VerifiedStatement<OperatorStatement>> {
  const statement = await verifyStatement(operatorKind, signed);
  if (!isOperator(statement.key)) {
    throw new HoldfastError("key-not-authorized", "the key is not among this edge's OPERATOR_KEYS");
  }
  if (statement.body.edge !== edge) {
    throw new HoldfastError("statement-replayed", "the statement was made for another edge");
  }
  if (Math.abs(Date.parse(statement.body.time) - nowMs) > OPERATOR_WINDOW_MS) {
    throw new HoldfastError("time-order", "the statement's time is not now: check the clock, and sign again");
  }
  return statement;
}
