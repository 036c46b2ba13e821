// The JSON by which home nodes find each other, and tell who keeps what: POST /contact and POST /providers.

import * as v from "valibot";
import { base64, decodeBase64 } from "../base64.ts";
import { HoldfastError } from "../error.ts";
import { decodeHash, HASH_BYTES, type Hash } from "../hash.ts";
import { countSchema, parseWith } from "../schema.ts";
import { CLOSEST_NODES_MAX, contactSchema } from "./nodes.ts";
import { base64Text, type SignedJson, signedSchema } from "./signed.ts";

/** Hashes in one POST /providers. */
export const PROVIDED_PER_POST_MAX = 1024;
export const CONTACT_BODY_MAX = 8 * 1024;
export const PROVIDERS_BODY_MAX = 128 * 1024;
/** Holders that a home node tells of one hash. */
export const PROVIDERS_TOLD_MAX = CLOSEST_NODES_MAX;

// POST /contact: cards are exchanged; the answer is the other's
const contactExchangeSchema = v.strictObject({ card: signedSchema });
export type ContactExchange = v.InferOutput<typeof contactExchangeSchema>;
export const parseContactRequest = (value: unknown): ContactExchange =>
  parseWith(contactExchangeSchema, value, "invalid-request");
export const parseContactAnswer = (value: unknown): ContactExchange =>
  parseWith(contactExchangeSchema, value, "bad-answer");

// POST /providers: the node of the card keeps what has these Content Hashes, and the bundles of these Name Hashes.
const providersRequestSchema = v.strictObject({
  card: signedSchema,
  /** A statement of lib/provided.ts: that it is the node itself that says so. */
  provided: signedSchema,
  /** Base64 of the hashes' bytes, one after the other. */
  hashes: base64Text(Math.ceil((PROVIDED_PER_POST_MAX * HASH_BYTES) / 3) * 4),
});
const providersAnswerSchema = v.object({ kept: countSchema });
export interface ProvidersRequest extends ContactExchange {
  provided: SignedJson;
  /** The hashes' bytes, one after the other: nobody needs a thousand texts of them. */
  hashes: Uint8Array<ArrayBuffer>;
}
export type ProvidersAnswer = v.InferOutput<typeof providersAnswerSchema>;

/** The hashes' bytes, one after the other. */
export function joinHashes(hashes: readonly Hash[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES);
  for (const [i, hash] of hashes.entries()) bytes.set(decodeHash(hash), i * HASH_BYTES);
  return bytes;
}

export function formatProvidersRequest({ card, provided, hashes }: ProvidersRequest): string {
  return JSON.stringify({ card, provided, hashes: base64.encode(hashes) });
}

/** Throws `invalid-request`. */
export function parseProvidersRequest(value: unknown): ProvidersRequest {
  const { card, provided, hashes } = parseWith(providersRequestSchema, value, "invalid-request");
  const bytes = decodeBase64(hashes);
  if (bytes.length === 0 || bytes.length % HASH_BYTES !== 0)
    throw new HoldfastError("invalid-request", "hashes are not whole hashes one after the other");
  return { card, provided, hashes: bytes };
}

export const parseProvidersAnswer = (value: unknown): ProvidersAnswer =>
  parseWith(providersAnswerSchema, value, "bad-answer");

// What a home node adds to its problem `not-found` at GET /chunk/<hash> and GET /name/<hash>
const contactsSchema = v.pipe(v.array(contactSchema), v.maxLength(CLOSEST_NODES_MAX));
const referredSchema = v.object({
  /** Nodes that it knows closest to the hash. */
  closer: v.optional(contactsSchema, []),
  /** Nodes that say that they keep it. */
  holders: v.optional(contactsSchema, []),
});
export type Referred = v.InferOutput<typeof referredSchema>;
export const parseReferred = (value: unknown): Referred => parseWith(referredSchema, value, "bad-answer");
