// What a home node asks an edge about chunks that it holds: a statement, signed for this edge and now, so that strangers
// neither learn who keeps what nor set anything off; and an answer about exactly these chunks.

import type * as v from "valibot";
import { HoldfastError } from "./error.ts";
import type { Hash, NodeId } from "./hash.ts";
import { nodeIdOf } from "./openssh-key.ts";
import { parseWith } from "./schema.ts";
import {
  type SignedStatement,
  type StatementKind,
  type VerifiedStatement,
  verifyStatement,
} from "./statement.ts";
import { CLOCK_SKEW_MAX_MS } from "./version.ts";
import { type SignedJson, signedSchema } from "./wire/signed.ts";

/** What every question says, whatever else it asks. */
interface NodeQuestion {
  type: string;
  node: NodeId;
  /** The edge's id: no other edge may be asked with it. */
  edge: Hash;
  time: string;
}

/** Throws `invalid-request`. */
export const parseQuestion = (value: unknown): SignedJson =>
  parseWith(signedSchema, value, "invalid-request");

/**
 * Verifies that the node itself asks this, this edge and now. Throws `key-not-authorized`, `statement-replayed`,
 * `time-order`, and what verifyStatement throws.
 */
export async function verifyQuestion<S extends v.GenericSchema<unknown, NodeQuestion>>(
  kind: StatementKind<S>,
  signed: SignedStatement,
  { edge, nowMs }: { edge: Hash; nowMs: number },
): Promise<VerifiedStatement<v.InferOutput<S>>> {
  const question = await verifyStatement(kind, signed);
  const { body, key } = question;
  if (nodeIdOf(key) !== body.node)
    throw new HoldfastError("key-not-authorized", "the question is not signed by the node that it names");
  if (body.edge !== edge)
    throw new HoldfastError("statement-replayed", "the question was meant for another edge");
  if (Math.abs(Date.parse(body.time) - nowMs) > CLOCK_SKEW_MAX_MS)
    throw new HoldfastError("time-order", "the question's time is not now: set the home node's clock");
  return question;
}

/** Throws `bad-answer` where the answer is about anything but the chunks that were asked for, in their order. */
export function checkAbout(chunks: readonly { hash: Hash }[], asked: readonly Hash[]): void {
  if (chunks.length === asked.length && chunks.every(({ hash }, i) => hash === asked[i])) return;
  throw new HoldfastError("bad-answer", "the answer is not about the chunks that were asked for");
}
