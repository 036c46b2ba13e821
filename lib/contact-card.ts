// A home node's card: where it is reached, signed by its identity key. Nodes hand each other cards when they meet, and with
// what they say that they hold, so that nobody can put a node at an address that the node does not call its own.

import * as v from "valibot";
import { HoldfastError } from "./error.ts";
import { formatPublicKeyText, nodeIdOf } from "./openssh-key.ts";
import { nodeIdSchema, timeSchema } from "./schema.ts";
import { type SignedStatement, verifyStatement } from "./statement.ts";
import { type Contact, RELAYS_MAX, URL_TEXT_MAX } from "./wire/nodes.ts";

/** A card older than that says nothing any more: nodes sign a new one each day, and when they move. */
export const CARD_LIFETIME_MS = 48 * 3600 * 1000;
/** Clocks may differ by so much. */
export const CARD_SKEW_MAX_MS = 10 * 60 * 1000;

const urlTextSchema = v.pipe(v.string(), v.maxLength(URL_TEXT_MAX));

const contactCardSchema = v.strictObject({
  type: v.literal("holdfast-contact-1"),
  node: nodeIdSchema,
  /** Where it is reached directly, or null. */
  url: v.nullable(urlTextSchema),
  /** Servers under whose /via/<node> it is reached. */
  relays: v.pipe(v.array(urlTextSchema), v.maxLength(RELAYS_MAX)),
  time: timeSchema,
});
export type ContactCard = v.InferOutput<typeof contactCardSchema>;

export const contactCardKind = {
  type: "holdfast-contact-1",
  namespace: "holdfast-node",
  schema: contactCardSchema,
} as const;

/**
 * The contact that a card is of. Throws what verifyStatement throws, `contact-invalid` where another key than the node's
 * signed it, and `contact-expired` where it is too old, or of tomorrow.
 */
export async function verifyContactCard(signed: SignedStatement, nowMs: number): Promise<Contact> {
  const { body, key } = await verifyStatement(contactCardKind, signed);
  if (nodeIdOf(key) !== body.node)
    throw new HoldfastError("contact-invalid", "the card is signed by another key than its node's");
  const timeMs = Date.parse(body.time);
  if (timeMs > nowMs + CARD_SKEW_MAX_MS || timeMs < nowMs - CARD_LIFETIME_MS)
    throw new HoldfastError("contact-expired", `the card is of ${body.time}: the node must sign a new one`);
  return { id: body.node, key: formatPublicKeyText(key), url: body.url, relays: body.relays };
}
