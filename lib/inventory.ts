// POST /chunk/needed: what a home node asks an edge before it lets chunks go, and the answer, which of them the edge still
// needs.

import * as v from "valibot";
import type { Hash } from "./hash.ts";
import { checkAbout } from "./node-question.ts";
import { hashSchema, nodeIdSchema, parseWith, timeSchema } from "./schema.ts";

/** As many as fit into a statement. */
export const CHUNKS_PER_INVENTORY_MAX = 800;
const INVENTORY_BYTES_MAX = 96 * 1024;
export const INVENTORY_BODY_MAX = 256 * 1024;

const inventoryChunkSchema = v.strictObject({
  hash: hashSchema,
  /** Since when the node has held it for this edge: the edge knows nothing of what was before it began itself. */
  since: timeSchema,
});
export type InventoryChunk = v.InferOutput<typeof inventoryChunkSchema>;

const inventorySchema = v.strictObject({
  type: v.literal("holdfast-inventory-1"),
  node: nodeIdSchema,
  /** The edge's id: no other edge may be asked with it. */
  edge: hashSchema,
  chunks: v.pipe(
    v.array(inventoryChunkSchema),
    v.minLength(1),
    v.maxLength(CHUNKS_PER_INVENTORY_MAX),
    v.check(
      (chunks) => new Set(chunks.map(({ hash }) => hash)).size === chunks.length,
      "a chunk comes twice",
    ),
  ),
  time: timeSchema,
});
export type Inventory = v.InferOutput<typeof inventorySchema>;

/** Signed by a home node: "I hold these chunks; which of them do you still need?" */
export const inventoryKind = {
  type: "holdfast-inventory-1",
  namespace: "holdfast-node",
  schema: inventorySchema,
  bytesMax: INVENTORY_BYTES_MAX,
} as const;

/**
 * needed: something refers to the chunk, or will, and the node is listed as its holder. unlisted: the same, and it is not.
 * released: nothing does, and the node is no holder of it any more.
 */
export const INVENTORY_STATES = ["needed", "unlisted", "released"] as const;
export type InventoryState = (typeof INVENTORY_STATES)[number];

const answerSchema = v.object({
  /** As they were asked for, and in that order. */
  chunks: v.pipe(
    v.array(v.object({ hash: hashSchema, state: v.picklist(INVENTORY_STATES) })),
    v.maxLength(CHUNKS_PER_INVENTORY_MAX),
  ),
});
export type InventoryAnswer = v.InferOutput<typeof answerSchema>;

/** The answer about `asked`. Throws `bad-answer` where it is about anything else. */
export function parseInventoryAnswer(value: unknown, asked: readonly Hash[]): InventoryAnswer {
  const answer = parseWith(answerSchema, value, "bad-answer");
  checkAbout(answer.chunks, asked);
  return answer;
}
