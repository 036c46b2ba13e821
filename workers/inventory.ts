// POST /chunk/needed: a home node says what it holds, and is told what of it this edge still needs. By a statement of the
// node's own key, because what is not needed loses the node as its holder.

import type { EdgeKey } from "../durable-objects/edge-key.ts";
import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError } from "../lib/error.ts";
import { type InventoryAnswer, verifyInventory } from "../lib/inventory.ts";
import { parseSigned, type SignedJson } from "../lib/wire/signed.ts";

export async function answerInventory(
  index: IndexClient,
  edge: EdgeKey,
  signed: SignedJson,
): Promise<InventoryAnswer> {
  const { body } = await verifyInventory(parseSigned(signed), { edge: edge.id, nowMs: Date.now() });
  const { node, chunks } = body;
  if (!(await index.members([node])).has(node))
    throw new HoldfastError("key-not-authorized", `node ${node} is not registered here`);
  const states = await index.takeInventory(node, chunks);
  return { chunks: chunks.map(({ hash }, i) => ({ hash, state: states[i] ?? "needed" })) };
}
