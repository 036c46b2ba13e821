// What edges say to each other: POST /peer/names hands statements on, in the form of POST /names without receipts, and
// GET /peer/name/<nameHash> gives a name's statements with all that another server needs to take them in.

import * as v from "valibot";
import { HoldfastError } from "../error.ts";
import { type Hash, hashBytes } from "../hash.ts";
import { parsePublicKeyText } from "../openssh-key.ts";
import { REMOVALS_PER_NAME_MAX } from "../removal.ts";
import { hashSchema, keyTextSchema, parseWith } from "../schema.ts";
import { postedRemovalSchema, publishedSchema, STATEMENTS_PER_POST_MAX } from "./names.ts";

/** Edges that one edge exchanges statements with. */
export const PEERS_MAX = 8;
/** Bytes of an answer of GET /peer/name. */
export const PEER_NAME_ANSWER_MAX = 4 * 1024 * 1024;
/** A request with this header comes from an edge that was asked itself: it is answered, and never passed on. */
export const PEER_HEADER = "Holdfast-Peer";
export const PEER_HEADERS = {
  accept: "application/json",
  "content-type": "application/json",
  [PEER_HEADER]: "1",
};

// GET /status of an edge: what its peers go by
const edgeIdentitySchema = v.object({ kind: v.literal("edge"), id: hashSchema, key: keyTextSchema });

/** The edge's id. Throws `bad-answer` where it is not the hash of the key. */
export function parseEdgeIdentity(value: unknown): Hash {
  const { id, key } = parseWith(edgeIdentitySchema, value, "bad-answer");
  if (hashBytes(parsePublicKeyText(key)) === id) return id;
  throw new HoldfastError("bad-answer", "the edge's id is not the hash of its key");
}

// GET /peer/name/<nameHash>?domain=&from=&known=
const peerNameAnswerSchema = v.object({
  /** Oldest first, so that each comes after the one that it follows. */
  versions: v.pipe(v.array(publishedSchema), v.maxLength(STATEMENTS_PER_POST_MAX)),
  /** Where there are no more Versions. */
  removals: v.pipe(v.array(postedRemovalSchema), v.maxLength(REMOVALS_PER_NAME_MAX)),
  /** More Versions follow: ask again from the sequence of the last one. */
  hasMore: v.boolean(),
});
export type PeerNameAnswer = v.InferOutput<typeof peerNameAnswerSchema>;
export const parsePeerNameAnswer = (value: unknown): PeerNameAnswer =>
  parseWith(peerNameAnswerSchema, value, "bad-answer");
