// POST /chunk/needed and POST /chunk/kept: what home nodes ask about the chunks that they hold, by statements of their own
// keys: what is not needed loses the node as its holder, and what is short without one that leaves is copied.

import type { Member } from "../durable-objects/members-table.ts";
import { type KeptAnswer, keptKind } from "../lib/durability/kept.ts";
import { type InventoryAnswer, inventoryKind } from "../lib/inventory.ts";
import { parseQuestion, verifyQuestion } from "../lib/node-question.ts";
import { parseSigned } from "../lib/wire/signed.ts";
import { type AppContext, edgeKeyOf, found, indexOf } from "./app.ts";

/** Throws what verifyQuestion throws, and `not-found` where the node is not registered here. */
export async function answerInventory(c: AppContext, body: unknown): Promise<InventoryAnswer> {
  const signed = parseSigned(parseQuestion(body));
  const { node, chunks } = (await verifyQuestion(inventoryKind, signed, await hereAndNow(c))).body;
  await memberOf(c, node);
  const states = await indexOf(c).takeInventory(node, chunks);
  return { chunks: chunks.map(({ hash }, i) => ({ hash, state: states[i] ?? "needed" })) };
}

/** Throws as answerInventory. */
export async function answerKept(c: AppContext, body: unknown): Promise<KeptAnswer> {
  const signed = parseSigned(parseQuestion(body));
  const { node, chunks } = (await verifyQuestion(keptKind, signed, await hereAndNow(c))).body;
  const { leaving } = await memberOf(c, node);
  const kept = await indexOf(c).kept(chunks, node, leaving);
  return { chunks: chunks.flatMap((hash) => kept.get(hash) ?? []) };
}

async function hereAndNow(c: AppContext) {
  return { edge: (await edgeKeyOf(c)).id, nowMs: Date.now() };
}

async function memberOf(c: AppContext, node: Member["id"]): Promise<Member> {
  const member = (await indexOf(c).members([node])).get(node) ?? null;
  return found(member, `no home node ${node} is registered here`);
}
