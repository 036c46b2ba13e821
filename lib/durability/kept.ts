// POST /chunk/kept: a home node that is about to go asks an edge on how many failure domains its chunks are without it.

import * as v from "valibot";
import type { Hash } from "../hash.ts";
import { REPLICAS_MAX } from "../manifest.ts";
import { checkAbout } from "../node-question.ts";
import { countSchema, hashSchema, nodeIdSchema, parseWith, timeSchema } from "../schema.ts";

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

/** The answer about `asked`. Throws `bad-answer` where it is about anything else. */
export function parseKeptAnswer(value: unknown, asked: readonly Hash[]): KeptAnswer {
  const answer = parseWith(keptAnswerSchema, value, "bad-answer");
  checkAbout(answer.chunks, asked);
  return answer;
}
