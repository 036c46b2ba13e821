// POST /pull: an edge's order to a home node to copy a chunk from its holders, and the node's answer. It goes through the
// tunnel only: a node takes it from an edge that it has registered at, and from nobody else.

import * as v from "valibot";
import { CHUNK_BYTES_MAX, STRIPE_DATA_MAX, STRIPE_PARITY_MAX } from "../manifest.ts";
import { domainSchema, hashSchema, nodeIdSchema, parseWith, positiveSchema } from "../schema.ts";
import { URL_TEXT_MAX } from "../wire/nodes.ts";
import { signedSchema } from "../wire/signed.ts";

/** Holders that one order names. */
export const PULL_SOURCES_MAX = 8;
/** Holders that it names of each other chunk of a stripe. */
export const PULL_MEMBER_SOURCES_MAX = 2;
export const PULL_BODY_MAX = 128 * 1024;
/** A node stops trying holders after this long, */
export const PULL_TIMEOUT_MS = 45_000;
/** and its edge waits a little longer. Nothing passes until the node has the chunk. */
export const PULL_PATIENCE_MS = PULL_TIMEOUT_MS + 15_000;

const sourceSchema = v.strictObject({
  id: nodeIdSchema,
  /** Where it is reached directly, or null: then by the edge's /via. */
  url: v.nullable(v.pipe(v.string(), v.maxLength(URL_TEXT_MAX))),
});

const memberSchema = v.strictObject({
  hash: hashSchema,
  size: v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX)),
  sources: v.pipe(v.array(sourceSchema), v.maxLength(PULL_MEMBER_SOURCES_MAX)),
});

const pullOrderSchema = v.strictObject({
  chunk: hashSchema,
  /** In bytes; null where the edge does not know. */
  size: v.nullable(v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX))),
  /** For whom it is kept: the pledge is asked, and the receipt says it. */
  domain: domainSchema,
  /** In the order in which to try them; where one takes long, the next is tried beside it. */
  sources: v.pipe(v.array(sourceSchema), v.maxLength(PULL_SOURCES_MAX)),
  /** The stripe that it is in, with holders of the others: where no source gives the chunk, it is made anew from these. */
  stripe: v.optional(
    v.strictObject({
      data: v.pipe(v.array(memberSchema), v.minLength(1), v.maxLength(STRIPE_DATA_MAX)),
      parity: v.pipe(v.array(memberSchema), v.minLength(1), v.maxLength(STRIPE_PARITY_MAX)),
    }),
  ),
});

const pullAnswerSchema = v.object({
  /** Given for what is on disk; null where no source gave the chunk. */
  receipt: v.nullable(signedSchema),
  failed: v.pipe(
    v.array(v.object({ id: nodeIdSchema, code: v.picklist(["missing", "corrupt", "unreachable"]) })),
    v.maxLength(PULL_SOURCES_MAX),
  ),
});

export type PullOrder = v.InferOutput<typeof pullOrderSchema>;
export type PullSource = PullOrder["sources"][number];
export type PullAnswer = v.InferOutput<typeof pullAnswerSchema>;
export type PullFailure = PullAnswer["failed"][number];

export const parsePullOrder = (value: unknown): PullOrder =>
  parseWith(pullOrderSchema, value, "invalid-request");
export const parsePullAnswer = (value: unknown): PullAnswer =>
  parseWith(pullAnswerSchema, value, "bad-answer");
