// A home node's registration: the control frames on its WebSocket, and the statement by which it answers an
// edge's challenge. The nonce is used once, within CHALLENGE_LIFETIME_MS, and bound to node, edge and epoch.

import * as v from "valibot";
import { parseJson } from "./canonical-json.ts";
import { HoldfastError, isHoldfastError } from "./error.ts";
import type { Hash, NodeId } from "./hash.ts";
import { nodeRecordSchema } from "./node-record.ts";
import { nodeIdOf } from "./openssh-key.ts";
import { pledgeSchema, volunteerNameSchema } from "./pledge.ts";
import { countSchema, hashSchema, nodeIdSchema, parseWith, positiveSchema, timeSchema } from "./schema.ts";
import { type VerifiedStatement, verifyStatement } from "./statement.ts";
import { contactSchema } from "./wire/nodes.ts";
import { parseSigned, signedSchema } from "./wire/signed.ts";

export const CHALLENGE_LIFETIME_MS = 60_000;
export const CONTROL_FRAME_BYTES_MAX = 32 * 1024;
export const NODE_URL_MAX = 512;
/** Characters of the words in a frame. */
export const REASON_MAX = 512;
export const CONTACTS_GIVEN_MAX = 32;
/** A volunteer who says so may be away for so long; what the node holds counts meanwhile, up to half of a target. */
export const VACATION_MAX_MS = 60 * 24 * 3600 * 1000;
/** Chunks that one frame says are lost. */
export const LOST_PER_FRAME_MAX = 256;
const CODE_TEXT_MAX = 64;
const CODE_TEXT = /^[a-z][a-z0-9-]{0,63}$/;
const SOFTWARE_TEXT_MAX = 64;
/** A node sends PING this often; the edge answers PONG without waking its Durable Object. */
export const PING_INTERVAL_MS = 25_000;
/** A node that has not pinged for this long is gone, whatever its connection looks like. */
export const SILENCE_MAX_MS = 3 * PING_INTERVAL_MS;
export const PING = "ping";
export const PONG = "pong";
/** WebSocket close codes (4000 to 4999 are the application's). */
export const CLOSE_REFUSED = 4400;
export const CLOSE_REPLACED = 4409;

const registrationSchema = v.strictObject({
  type: v.literal("holdfast-registration-1"),
  node: nodeIdSchema,
  edge: hashSchema,
  /** The origin that the node dialled: an edge that passes another's challenge on is found out by it. */
  origin: v.pipe(v.string(), v.maxLength(NODE_URL_MAX)),
  nonce: hashSchema,
  epoch: positiveSchema,
  time: timeSchema,
  /** Where the node can be reached directly, or null behind NAT. */
  url: v.nullable(v.pipe(v.string(), v.maxLength(NODE_URL_MAX))),
  pledge: pledgeSchema,
  freeBytes: countSchema,
  software: v.pipe(v.string(), v.maxLength(SOFTWARE_TEXT_MAX)),
  /** What the volunteer wants to be called in public; left out: nothing. */
  name: v.optional(volunteerNameSchema),
  /** Until when the volunteer is away on purpose; left out: not. */
  awayUntil: v.optional(timeSchema),
  /** The node goes as soon as others keep what it keeps. */
  leaving: v.optional(v.literal(true)),
  /** What it was given before now it has lost. Said once. */
  lost: v.optional(v.literal(true)),
});

export type Registration = v.InferOutput<typeof registrationSchema>;

/** Signed by a node's identity key: "I am this node, on this connection to this edge, and offer this". */
export const registrationKind = {
  type: "holdfast-registration-1",
  namespace: "holdfast-node",
  schema: registrationSchema,
} as const;

const edgeFrameSchema = v.variant("type", [
  v.strictObject({
    type: v.literal("challenge"),
    /** The edge's id: SHA-256 of its public key blob. */
    edge: hashSchema,
    nonce: hashSchema,
    epoch: positiveSchema,
    expires: timeSchema,
  }),
  v.strictObject({
    type: v.literal("registered"),
    /** True when the edge reached the node at its URL; else `reason` says why bytes will go through the relay. */
    direct: v.boolean(),
    /** The reason for programs, one of reach.ts's. Later edges may have others; earlier ones send none. */
    code: v.optional(v.pipe(v.string(), v.regex(CODE_TEXT))),
    reason: v.pipe(v.string(), v.maxLength(REASON_MAX)),
    /** Some nodes to start a routing table from. */
    contacts: v.pipe(v.array(contactSchema), v.maxLength(CONTACTS_GIVEN_MAX)),
  }),
  /** How the node stands with the edge: after it registered where there is something to tell, at a failure, and hourly. */
  v.strictObject({ type: v.literal("record"), record: nodeRecordSchema }),
  v.strictObject({
    type: v.literal("refused"),
    code: v.pipe(v.string(), v.maxLength(CODE_TEXT_MAX)),
    detail: v.pipe(v.string(), v.maxLength(REASON_MAX)),
  }),
]);
const nodeFrameSchema = v.variant("type", [
  v.strictObject({ type: v.literal("register"), registration: signedSchema }),
  /** Sent when the room changes by a tenth of the pledge, at most once a minute. */
  v.strictObject({ type: v.literal("room"), freeBytes: countSchema }),
  /** The volunteer will be away until then; null: is back. */
  v.strictObject({ type: v.literal("pause"), until: v.nullable(timeSchema) }),
  /** The node leaves for good, or stays after all. */
  v.strictObject({ type: v.literal("leave"), leaving: v.boolean() }),
  /** It found that it has these no more. */
  v.strictObject({
    type: v.literal("lost"),
    chunks: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(LOST_PER_FRAME_MAX)),
  }),
]);

export type EdgeFrame = v.InferOutput<typeof edgeFrameSchema>;
export type NodeFrame = v.InferOutput<typeof nodeFrameSchema>;
export type Challenge = Extract<EdgeFrame, { type: "challenge" }>;

export function formatFrame(frame: EdgeFrame | NodeFrame): string {
  return JSON.stringify(frame);
}

/** Throws `frame-too-large` or `frame-malformed`. */
export function parseEdgeFrame(text: string): EdgeFrame {
  return parseWith(edgeFrameSchema, parseFrameText(text), "frame-malformed");
}

export function parseNodeFrame(text: string): NodeFrame {
  return parseWith(nodeFrameSchema, parseFrameText(text), "frame-malformed");
}

/** What a registration is checked against: the connection it arrived on. */
export interface ChallengeState {
  node: NodeId;
  edge: Hash;
  /** The origin of the URL under which the WebSocket was opened. */
  origin: string;
  nonce: Hash;
  epoch: number;
  /** Milliseconds since the epoch of time. */
  expiresMs: number;
}

/** Throws `registration-expired`, `registration-replayed` (another nonce, edge, origin, node or epoch) or `registration-invalid`. */
export async function verifyRegistration(
  frame: Extract<NodeFrame, { type: "register" }>,
  challenge: ChallengeState,
  nowMs: number,
): Promise<VerifiedStatement<Registration>> {
  const registration = await verifyStatement(registrationKind, parseSigned(frame.registration));
  const { body } = registration;
  if (nowMs > challenge.expiresMs) {
    throw new HoldfastError("registration-expired", "the challenge was answered too late");
  }
  if (nodeIdOf(registration.key) !== body.node) {
    throw new HoldfastError("registration-invalid", "the node id is not that of the signing key");
  }
  const answersThis =
    body.node === challenge.node &&
    body.edge === challenge.edge &&
    body.origin === challenge.origin &&
    body.nonce === challenge.nonce &&
    body.epoch === challenge.epoch;
  if (!answersThis) {
    throw new HoldfastError("registration-replayed", "the registration answers another challenge");
  }
  return registration;
}

function parseFrameText(text: string): unknown {
  try {
    return parseJson(new TextEncoder().encode(text), CONTROL_FRAME_BYTES_MAX);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const code = error.code === "body-too-large" ? "frame-too-large" : "frame-malformed";
    throw new HoldfastError(code, `a control frame is JSON of at most ${CONTROL_FRAME_BYTES_MAX} bytes`, {
      cause: error,
    });
  }
}
