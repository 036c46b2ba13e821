// Home nodes in answers: how to reach them, and what they say of themselves.

import * as v from "valibot";
import { keyTextSchema, nodeIdSchema, parseWith } from "../schema.ts";

export const URL_TEXT_MAX = 512;
export const CLOSEST_NODES_MAX = 20;
/** Home nodes through which a node behind NAT is reached. */
export const RELAYS_MAX = 3;

const urlTextSchema = v.pipe(v.string(), v.maxLength(URL_TEXT_MAX));

export const contactSchema = v.strictObject({
  id: nodeIdSchema,
  /** SSH public key blob, base64. Its SHA-256 is `id`. */
  key: keyTextSchema,
  /** Where to reach the node directly, or null: then through a server's /via/<id>. */
  url: v.nullable(urlTextSchema),
  /** Home nodes under whose /via/<id> it is reached also, whoever told of it. */
  relays: v.optional(v.pipe(v.array(urlTextSchema), v.maxLength(RELAYS_MAX))),
});
export type Contact = v.InferOutput<typeof contactSchema>;

// GET /closest/<hash>
const closestAnswerSchema = v.object({
  nodes: v.pipe(v.array(contactSchema), v.maxLength(CLOSEST_NODES_MAX)),
});
export type ClosestAnswer = v.InferOutput<typeof closestAnswerSchema>;
export const parseClosestAnswer = (value: unknown): ClosestAnswer =>
  parseWith(closestAnswerSchema, value, "bad-answer");

// GET /status of any server
const serverIdentitySchema = v.object({ kind: v.picklist(["edge", "home-node"]), id: nodeIdSchema });
export type ServerIdentity = v.InferOutput<typeof serverIdentitySchema>;
export const parseServerIdentity = (value: unknown): ServerIdentity =>
  parseWith(serverIdentitySchema, value, "bad-answer");

// GET /status of a home node: what an edge compares with a registration's URL
const nodeStatusSchema = v.object({ kind: v.literal("home-node"), id: nodeIdSchema, key: keyTextSchema });
/** What a home node's `/status` says about itself; fields beyond these are for people. */
export type NodeStatus = v.InferOutput<typeof nodeStatusSchema>;
export const parseNodeStatus = (value: unknown): NodeStatus =>
  parseWith(nodeStatusSchema, value, "bad-answer");
