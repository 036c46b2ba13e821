// What a home node signs when it says that it keeps something: to one node, about exactly these hashes, now. Its card goes
// from hand to hand, and would let anybody speak in its name.

import * as v from "valibot";
import { CARD_SKEW_MAX_MS, verifyContactCard } from "./contact-card.ts";
import { HoldfastError } from "./error.ts";
import { hashBytes, type NodeId } from "./hash.ts";
import { formatPublicKeyText } from "./openssh-key.ts";
import { hashSchema, nodeIdSchema, timeSchema } from "./schema.ts";
import { type SignedStatement, verifyStatement } from "./statement.ts";
import type { Contact } from "./wire/nodes.ts";

const providedSchema = v.strictObject({
  type: v.literal("holdfast-provided-1"),
  node: nodeIdSchema,
  /** Who is told. */
  to: nodeIdSchema,
  /** SHA-256 of the hashes' bytes, one after the other. */
  hashes: hashSchema,
  time: timeSchema,
});
export type Provided = v.InferOutput<typeof providedSchema>;

export const providedKind = {
  type: "holdfast-provided-1",
  namespace: "holdfast-node",
  schema: providedSchema,
} as const;

/** What a node says to another. */
export interface ProvidedWord {
  card: SignedStatement;
  provided: SignedStatement;
  /** Their bytes, one after the other. */
  hashes: Uint8Array;
}

/**
 * Whose word it is, and of when. Throws what verifyContactCard throws, and `contact-invalid` where another node signed the
 * word, or where it was given to another node, about other hashes or at another time.
 */
export async function verifyProvided(
  { card, provided, hashes }: ProvidedWord,
  to: NodeId,
  nowMs: number,
): Promise<{ contact: Contact; timeMs: number }> {
  const contact = await verifyContactCard(card, nowMs);
  const { body, key } = await verifyStatement(providedKind, provided);
  if (body.node !== contact.id || formatPublicKeyText(key) !== contact.key)
    throw new HoldfastError("contact-invalid", "another node says so than the one of the card");
  if (body.to !== to || body.hashes !== hashBytes(hashes))
    throw new HoldfastError("contact-invalid", "that was said to another node, or of other hashes");
  const timeMs = Date.parse(body.time);
  if (Math.abs(nowMs - timeMs) > CARD_SKEW_MAX_MS)
    throw new HoldfastError("contact-expired", `that was said at ${body.time}: sign it anew`);
  return { contact, timeMs };
}
