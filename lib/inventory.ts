// What a home node asks an edge before it lets chunks go: a statement of what it holds, signed for this edge and now, and
// the answer, which of it the edge still needs.

import * as v from "valibot";
import { HoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { nodeIdOf } from "./openssh-key.ts";
import { hashSchema, nodeIdSchema, parseWith, timeSchema } from "./schema.ts";
import { type SignedStatement, type VerifiedStatement, verifyStatement } from "./statement.ts";
import { CLOCK_SKEW_MAX_MS } from "./version.ts";
import { type SignedJson, signedSchema } from "./wire/signed.ts";

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

/** Throws `invalid-request`. */
export const parseInventoryRequest = (value: unknown): SignedJson =>
  parseWith(signedSchema, value, "invalid-request");

/** The answer about `asked`. Throws `bad-answer` where it is about anything else. */
export function parseInventoryAnswer(value: unknown, asked: readonly Hash[]): InventoryAnswer {
  const answer = parseWith(answerSchema, value, "bad-answer");
  const isWhole =
    answer.chunks.length === asked.length && answer.chunks.every(({ hash }, i) => hash === asked[i]);
  if (!isWhole)
    throw new HoldfastError("bad-answer", "the answer is not about the chunks that were asked for");
  return answer;
}

/**
 * Verifies that the node itself says this, to this edge and now. Throws `key-not-authorized`, `statement-replayed`,
 * `time-order`, and what verifyStatement throws.
 */
export async function verifyInventory(
  signed: SignedStatement,
  { edge, nowMs }: { edge: Hash; nowMs: number },
): Promise<VerifiedStatement<Inventory>> {
  const inventory = await verifyStatement(inventoryKind, signed);
  const { body, key } = inventory;
  if (nodeIdOf(key) !== body.node)
    throw new HoldfastError("key-not-authorized", "the inventory is not signed by the node that it names");
  if (body.edge !== edge)
    throw new HoldfastError("statement-replayed", "the inventory was made for another edge");
  if (Math.abs(Date.parse(body.time) - nowMs) > CLOCK_SKEW_MAX_MS)
    throw new HoldfastError("time-order", "the inventory's time is not now: set the home node's clock");
  return inventory;
}
