// The JSON of /chunk: plans, holders of many chunks, and complaints.

import * as v from "valibot";
import type { Hash } from "../hash.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNKS_PER_MANIFEST_MAX,
  REPLICAS_MAX,
  STRIPE_DATA_MAX,
  STRIPE_PARITY_MAX,
} from "../manifest.ts";
import { countSchema, hashSchema, nodeIdSchema, parseWith, positiveSchema, timeSchema } from "../schema.ts";
import { type Contact, contactSchema } from "./nodes.ts";
import { RECEIPTS_PER_POST_MAX, signedSchema } from "./signed.ts";

export const CHUNKS_PER_PLAN_MAX = 256;
/** Positions of all stripes of a plan's chunks: the first and the last stripe may reach past the chunks. */
export const STRIPED_PER_PLAN_MAX = 4 * CHUNKS_PER_PLAN_MAX;
export const AVOIDED_NODES_MAX = 64;
export const PLAN_BODY_MAX = 2 * 1024 * 1024;

const chunkRefSchema = v.strictObject({
  hash: hashSchema,
  size: v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX)),
});

// POST /chunk/plan
const planRequestSchema = v.strictObject({
  grant: signedSchema,
  replicas: v.pipe(positiveSchema, v.maxValue(REPLICAS_MAX)),
  chunks: v.pipe(v.array(chunkRefSchema), v.maxLength(CHUNKS_PER_PLAN_MAX)),
  /**
   * The stripes that some of the chunks are in, as far as they are known: the chunk at each position. Each position goes to a
   * failure domain of its own, whatever `replicas` says. Those that are not among `chunks` were sent before, or come later.
   */
  stripes: v.optional(
    v.pipe(
      v.array(v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(STRIPE_DATA_MAX + STRIPE_PARITY_MAX))),
      v.check((stripes) => stripes.flat().length <= STRIPED_PER_PLAN_MAX, "too many chunks in stripes"),
    ),
  ),
  /** Nodes that failed this publisher and are not to be offered again. */
  avoid: v.pipe(v.array(nodeIdSchema), v.maxLength(AVOIDED_NODES_MAX)),
  /** Receipts of earlier uploads, recorded before the plan is made. */
  receipts: v.pipe(v.array(signedSchema), v.maxLength(RECEIPTS_PER_POST_MAX)),
});
const planAnswerSchema = v.strictObject({
  chunks: v.array(
    v.strictObject({
      hash: hashSchema,
      /** Nodes that keep it already, for this domain; of a stripe's chunk, those that stand for its positions. */
      held: v.array(nodeIdSchema),
      /** Nodes to send it to, so that it is held as often as asked. */
      send: v.array(nodeIdSchema),
    }),
  ),
  /** How to reach the nodes of `send`. */
  nodes: v.array(contactSchema),
});
export type PlanRequest = v.InferOutput<typeof planRequestSchema>;
export type PlanAnswer = v.InferOutput<typeof planAnswerSchema>;
export const parsePlanRequest = (value: unknown): PlanRequest =>
  parseWith(planRequestSchema, value, "invalid-request");
export const parsePlanAnswer = (value: unknown): PlanAnswer =>
  parseWith(planAnswerSchema, value, "bad-answer");

// GET /chunk/<contentHash> as a referral
export const REFERRAL_TYPE = "application/vnd.holdfast.referral+json";
export interface Referral {
  hash: Hash;
  holders: Contact[];
}

// POST /chunk/locate: holders of many chunks in one call
const locateRequestSchema = v.strictObject({
  chunks: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(CHUNKS_PER_PLAN_MAX)),
});
export const locateAnswerSchema = v.object({
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, holders: v.pipe(v.array(nodeIdSchema), v.maxLength(64)) })),
    v.maxLength(CHUNKS_PER_PLAN_MAX),
  ),
  nodes: v.pipe(v.array(contactSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX)),
  /** Those of them that are connected to the edge now: for people, because a client tries them all. */
  online: v.optional(v.pipe(v.array(nodeIdSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX))),
  /** For each chunk, when each of its holders was last seen to have it, or null: for people too. */
  checked: v.optional(
    v.pipe(
      v.array(v.pipe(v.array(v.nullable(timeSchema)), v.maxLength(64))),
      v.maxLength(CHUNKS_PER_PLAN_MAX),
    ),
  ),
  /** Those of them that do not serve at this hour: to be asked last. */
  resting: v.optional(v.pipe(v.array(nodeIdSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX))),
});
export type LocateRequest = v.InferOutput<typeof locateRequestSchema>;
export type LocateAnswer = v.InferOutput<typeof locateAnswerSchema>;
export const parseLocateRequest = (value: unknown): LocateRequest =>
  parseWith(locateRequestSchema, value, "invalid-request");
export const parseLocateAnswer = (value: unknown): LocateAnswer =>
  parseWith(locateAnswerSchema, value, "bad-answer");

// POST /chunk/suspect: holders that did not give a chunk, or gave something else
export const SUSPECTS_PER_POST_MAX = 64;
const suspectRequestSchema = v.strictObject({
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, node: nodeIdSchema })),
    v.minLength(1),
    v.maxLength(SUSPECTS_PER_POST_MAX),
  ),
});
/** How many of them are holders here that will be read next. */
const suspectAnswerSchema = v.object({ noted: countSchema });
export type SuspectRequest = v.InferOutput<typeof suspectRequestSchema>;
export type SuspectAnswer = v.InferOutput<typeof suspectAnswerSchema>;
export const parseSuspectRequest = (value: unknown): SuspectRequest =>
  parseWith(suspectRequestSchema, value, "invalid-request");
export const parseSuspectAnswer = (value: unknown): SuspectAnswer =>
  parseWith(suspectAnswerSchema, value, "bad-answer");
