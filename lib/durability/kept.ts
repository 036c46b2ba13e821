// POST /chunk/kept: a home node that is about to go asks an edge on how many failure domains its chunks are without it.
// Signed by the node for this edge and now: strangers neither learn who keeps what, nor set off repairs.

import * as v from "valibot";
import { HoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { REPLICAS_MAX } from "../manifest.ts";
import { nodeIdOf } from "../openssh-key.ts";
import { countSchema, hashSchema, nodeIdSchema, parseWith, timeSchema } from "../schema.ts";
import { type SignedStatement, type VerifiedStatement, verifyStatement } from "../statement.ts";
import { CLOCK_SKEW_MAX_MS } from "../version.ts";
import { type SignedJson, signedSchema } from "../wire/signed.ts";

/** As many as fit into a statement. */
export const CHUNKS_PER_KEPT_MAX = 256;
export const KEPT_BODY_MAX = 64 * 1024;

const keptSchema = v.strictObject({
  type: v.literal("holdfast-kept-1"),
  node: nodeIdSchema,
  /** The edge's id: no other edge may be asked with it. */
  edge: hashSchema,
  chunks: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(CHUNKS_PER_KEPT_MAX)),
  time: timeSchema,
});
export type KeptQuestion = v.InferOutput<typeof keptSchema>;

/** Signed by a home node: "I hold these chunks; who keeps them without me?" */
export const keptKind = {
  type: "holdfast-kept-1",
  namespace: "holdfast-node",
  schema: keptSchema,
} as const;

const keptAnswerSchema = v.object({
  /** As they were asked for, and in that order. */
  chunks: v.pipe(
    v.array(
      v.object({
        hash: hashSchema,
        /** Failure domains without the node's own, and how many there are to be; 0: nobody needs it. */
        copies: v.pipe(countSchema, v.maxValue(REPLICAS_MAX)),
        target: v.pipe(countSchema, v.maxValue(REPLICAS_MAX)),
      }),
    ),
    v.maxLength(CHUNKS_PER_KEPT_MAX),
  ),
});
export type KeptAnswer = v.InferOutput<typeof keptAnswerSchema>;
export type KeptChunk = KeptAnswer["chunks"][number];

/** Throws `invalid-request`. */
export const parseKeptRequest = (value: unknown): SignedJson =>
  parseWith(signedSchema, value, "invalid-request");

/** The answer about `asked`. Throws `bad-answer` where it is about anything else. */
export function parseKeptAnswer(value: unknown, asked: readonly Hash[]): KeptAnswer {
  const answer = parseWith(keptAnswerSchema, value, "bad-answer");
  if (answer.chunks.length === asked.length && answer.chunks.every(({ hash }, i) => hash === asked[i]))
    return answer;
  throw new HoldfastError("bad-answer", "the answer is not about the chunks that were asked for");
}

/** Throws `key-not-authorized`, `statement-replayed`, `time-order`, and what verifyStatement throws. */
export async function verifyKeptQuestion(
  signed: SignedStatement,
  { edge, nowMs }: { edge: Hash; nowMs: number },
): Promise<VerifiedStatement<KeptQuestion>> {
  const question = await verifyStatement(keptKind, signed);
  const { body, key } = question;
  if (nodeIdOf(key) !== body.node)
    throw new HoldfastError("key-not-authorized", "the question is not signed by the node that it names");
  if (body.edge !== edge)
    throw new HoldfastError("statement-replayed", "the question was meant for another edge");
  if (Math.abs(Date.parse(body.time) - nowMs) > CLOCK_SKEW_MAX_MS)
    throw new HoldfastError("time-order", "the question's time is not now: set the home node's clock");
  return question;
}
