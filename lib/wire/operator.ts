// The JSON of what an operator asks of an edge's shards.

import * as v from "valibot";
import { PARTITION_COUNT } from "../hash.ts";
import { countSchema, parseWith, shardPrefixSchema } from "../schema.ts";

// POST /operator/split
export const SPLIT_ANSWER_MAX = 256 * 1024;
const splitAnswerSchema = v.object({
  /** The shards that were asked to split; `leaf`: it is as deep as shards can be. Copied, of so many rows. */
  shards: v.pipe(
    v.array(
      v.object({
        prefix: shardPrefixSchema,
        state: v.picklist(["leaf", "splitting", "split"]),
        copied: countSchema,
        rows: countSchema,
      }),
    ),
    v.maxLength(PARTITION_COUNT),
  ),
});
export type SplitAnswer = v.InferOutput<typeof splitAnswerSchema>;
export const parseSplitAnswer = (value: unknown): SplitAnswer =>
  parseWith(splitAnswerSchema, value, "bad-answer");
