// POST /chunk/kept: what others keep of a node's chunks, for a node that is about to go.

import type { IndexClient } from "../durable-objects/index-client.ts";
import { type KeptAnswer, parseKeptRequest, verifyKeptQuestion } from "../lib/durability/kept.ts";
import { parseSigned } from "../lib/wire/signed.ts";
import { type AppContext, edgeKeyOf, found } from "./app.ts";

/** Throws `not-found` where the node is not registered here, and what verifyKeptQuestion throws. */
export async function answerKept(c: AppContext, index: IndexClient, body: unknown): Promise<KeptAnswer> {
  const { id: edge } = await edgeKeyOf(c);
  const question = await verifyKeptQuestion(parseSigned(parseKeptRequest(body)), {
    edge,
    nowMs: Date.now(),
  });
  const { node, chunks } = question.body;
  const member = (await index.members([node])).get(node) ?? null;
  const { leaving } = found(member, `no home node ${node} is registered here`);
  const kept = await index.kept(chunks, node, leaving);
  return { chunks: chunks.flatMap((hash) => kept.get(hash) ?? []) };
}
