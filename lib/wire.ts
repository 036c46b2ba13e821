// The JSON that requests and answers of the HTTP protocol carry: one parser for each, used by every host.
// Statements travel as base64 of their exact bytes beside their armored signature.

import * as v from "valibot";
import { base64, decodeBase64 } from "./base64.ts";
import type { DomainKeys } from "./domain-keys.ts";
import type { DomainPolicy } from "./domain-records.ts";
import { HoldfastError } from "./error.ts";
import type { Hash } from "./hash.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNKS_PER_MANIFEST_MAX,
  MANIFEST_BYTES_MAX,
  REPLICAS_MAX,
  STRIPE_DATA_MAX,
  STRIPE_PARITY_MAX,
} from "./manifest.ts";
import type { Domain } from "./names.ts";
import { REMOVALS_PER_NAME_MAX } from "./removal.ts";
import {
  countSchema,
  domainSchema,
  hashSchema,
  keyTextSchema,
  nameSchema,
  nodeIdSchema,
  parseWith,
  positiveSchema,
  shareSchema,
  timeSchema,
} from "./schema.ts";
import { SSHSIG_TEXT_MAX } from "./sshsig.ts";
import type { SignedStatement } from "./statement.ts";

export const STATEMENTS_PER_POST_MAX = 100;
/** Witnesses that travel with one statement. */
export const WITNESSES_MAX = 8;
export const RECEIPTS_PER_POST_MAX = 1000;
export const CHUNKS_PER_PLAN_MAX = 256;
/** Positions of all stripes of a plan's chunks: the first and the last stripe may reach past the chunks. */
export const STRIPED_PER_PLAN_MAX = 4 * CHUNKS_PER_PLAN_MAX;
export const AVOIDED_NODES_MAX = 64;
export const VERSIONS_PER_PAGE = 100;
export const CLOSEST_NODES_MAX = 20;
export const URL_TEXT_MAX = 512;
export const PLAN_BODY_MAX = 2 * 1024 * 1024;
export const NAMES_BODY_MAX = 8 * 1024 * 1024;
export const NAME_ANSWER_MAX = 16 * 1024 * 1024;
export const SMALL_ANSWER_MAX = 1024 * 1024;
const STATEMENT_TEXT_MAX = 128 * 1024;
const GRANT_HEADER_MAX = 12 * 1024;

const base64Text = (maxLength: number) => v.pipe(v.string(), v.maxLength(maxLength));

export const signedSchema = v.strictObject({
  statement: base64Text(STATEMENT_TEXT_MAX),
  signature: v.pipe(v.string(), v.maxLength(SSHSIG_TEXT_MAX)),
});
/** A signed statement in JSON: `statement` is base64 of the bytes, `signature` the armored SSHSIG. */
export type SignedJson = v.InferOutput<typeof signedSchema>;

const witnessesSchema = v.pipe(v.array(signedSchema), v.maxLength(WITNESSES_MAX));
/** A Version or a Removal as servers give it: with the witnesses, and the delegation that it rests on, if it does. */
const listedSchema = v.strictObject({
  ...signedSchema.entries,
  witnesses: witnessesSchema,
  delegation: v.optional(signedSchema),
});
export type ListedJson = v.InferOutput<typeof listedSchema>;

export const contactSchema = v.strictObject({
  id: nodeIdSchema,
  /** SSH public key blob, base64. Its SHA-256 is `id`. */
  key: keyTextSchema,
  /** Where to reach the node directly, or null: then through a server's /via/<id>. */
  url: v.nullable(v.pipe(v.string(), v.maxLength(URL_TEXT_MAX))),
});
export type Contact = v.InferOutput<typeof contactSchema>;

const chunkRefSchema = v.strictObject({
  hash: hashSchema,
  size: v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX)),
});

// POST /chunk/plan
const planRequestSchema = v.strictObject({
  grant: signedSchema,
  replicas: v.pipe(positiveSchema, v.maxValue(REPLICAS_MAX)),
  chunks: v.pipe(v.array(chunkRefSchema), v.maxLength(CHUNKS_PER_PLAN_MAX)),
  /**
   * The stripes that some of the chunks are in, as far as they are known: the chunk at each position. Each position goes to a
   * failure domain of its own, whatever `replicas` says. Those that are not among `chunks` were sent before, or come later.
   */
  stripes: v.optional(
    v.pipe(
      v.array(v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(STRIPE_DATA_MAX + STRIPE_PARITY_MAX))),
      v.check((stripes) => stripes.flat().length <= STRIPED_PER_PLAN_MAX, "too many chunks in stripes"),
    ),
  ),
  /** Nodes that failed this publisher and are not to be offered again. */
  avoid: v.pipe(v.array(nodeIdSchema), v.maxLength(AVOIDED_NODES_MAX)),
  /** Receipts of earlier uploads, recorded before the plan is made. */
  receipts: v.pipe(v.array(signedSchema), v.maxLength(RECEIPTS_PER_POST_MAX)),
});
const planAnswerSchema = v.strictObject({
  chunks: v.array(
    v.strictObject({
      hash: hashSchema,
      /** Nodes that keep it already, for this domain; of a stripe's chunk, those that stand for its positions. */
      held: v.array(nodeIdSchema),
      /** Nodes to send it to, so that it is held as often as asked. */
      send: v.array(nodeIdSchema),
    }),
  ),
  /** How to reach the nodes of `send`. */
  nodes: v.array(contactSchema),
});
export type PlanRequest = v.InferOutput<typeof planRequestSchema>;
export type PlanAnswer = v.InferOutput<typeof planAnswerSchema>;

// POST /names
const publishedSchema = v.strictObject({
  version: signedSchema,
  /** The Manifest's bytes, base64. */
  manifest: base64Text(Math.ceil(MANIFEST_BYTES_MAX / 3) * 4),
  /** Witnesses gathered so far, for servers other than the first. */
  witnesses: witnessesSchema,
  /** By which its key signs, where that is neither the domain's nor its author's own. */
  delegation: v.optional(signedSchema),
  /** True: only where the Version that it follows is the name's newest here. */
  ifMatch: v.optional(v.boolean()),
});
const postedRemovalSchema = v.strictObject({
  removal: signedSchema,
  witnesses: witnessesSchema,
  delegation: v.optional(signedSchema),
});
const namesRequestSchema = v.strictObject({
  statements: v.pipe(
    v.array(v.union([publishedSchema, postedRemovalSchema])),
    v.minLength(1),
    v.maxLength(STATEMENTS_PER_POST_MAX),
  ),
  receipts: v.pipe(v.array(signedSchema), v.maxLength(RECEIPTS_PER_POST_MAX)),
});
const problemSchema = v.object({
  code: v.pipe(v.string(), v.maxLength(64)),
  detail: v.optional(v.pipe(v.string(), v.maxLength(2048)), ""),
});
const namesAnswerSchema = v.object({
  results: v.array(
    v.union([
      v.strictObject({
        id: hashSchema,
        status: v.picklist(["accepted", "known"]),
        witnesses: v.array(signedSchema),
      }),
      v.strictObject({ id: v.nullable(hashSchema), status: v.literal("refused"), problem: problemSchema }),
    ]),
  ),
});
export type PublishedJson = v.InferOutput<typeof publishedSchema>;
export type PostedRemovalJson = v.InferOutput<typeof postedRemovalSchema>;
export type PostedJson = PublishedJson | PostedRemovalJson;
export type NamesRequest = v.InferOutput<typeof namesRequestSchema>;
export type NamesAnswer = v.InferOutput<typeof namesAnswerSchema>;
export type NamesResult = NamesAnswer["results"][number];

// GET /name/<nameHash>?domain=
const nameAnswerSchema = v.object({
  nameHash: hashSchema,
  domain: domainSchema,
  /** Newest first. */
  versions: v.pipe(v.array(listedSchema), v.maxLength(VERSIONS_PER_PAGE)),
  /** On the first page: what was taken back of this name. */
  removals: v.optional(v.pipe(v.array(listedSchema), v.maxLength(REMOVALS_PER_NAME_MAX))),
  /** Ids of the Versions on this page that the server takes for taken back: for people, because a client judges itself. */
  removed: v.optional(v.pipe(v.array(hashSchema), v.maxLength(VERSIONS_PER_PAGE))),
  /** On the first page: the name's first Version, where an author's right to the name depends on it. */
  first: v.optional(listedSchema),
  /** The newest Version's Manifest, base64, on the first page. */
  manifest: v.nullable(base64Text(Math.ceil(MANIFEST_BYTES_MAX / 3) * 4)),
  /** Pass as `before` for the next page; null on the last. */
  next: v.nullable(hashSchema),
});
export type NameAnswer = v.InferOutput<typeof nameAnswerSchema>;

// POST /name/lookup: the newest Versions of many names in one call
export const NAMES_PER_LOOKUP_MAX = 100;
export const LOOKUP_BODY_MAX = 64 * 1024;
export const LOOKUP_ANSWER_MAX = 8 * 1024 * 1024;
/** Larger Manifests are left out of a look-up: they are read as the chunks that they are. */
export const LOOKUP_MANIFEST_MAX = 16 * 1024;
const nameKeySchema = v.strictObject({
  nameHash: hashSchema,
  domain: domainSchema,
  /** The Version that the asker has: where it is the newest, the answer says no more than that. */
  known: v.optional(hashSchema),
});
const lookupRequestSchema = v.strictObject({
  names: v.pipe(v.array(nameKeySchema), v.minLength(1), v.maxLength(NAMES_PER_LOOKUP_MAX)),
});
const lookupAnswerSchema = v.object({
  /** As asked for, and in that order. */
  names: v.pipe(
    v.array(
      v.object({
        /** The newest Version, or null where the name is not known. */
        version: v.nullable(listedSchema),
        /** True: it takes the name's whole list to know what stands, because something of it was taken back. */
        hasRemovals: v.optional(v.boolean()),
        first: v.optional(listedSchema),
        /** Its Manifest, base64; null where it is large. */
        manifest: v.nullable(base64Text(Math.ceil(LOOKUP_MANIFEST_MAX / 3) * 4)),
        /** True: the Version that the asker has is the newest; the two above are null. */
        isKnown: v.optional(v.boolean()),
      }),
    ),
    v.maxLength(NAMES_PER_LOOKUP_MAX),
  ),
});
export type NameKey = v.InferOutput<typeof nameKeySchema>;
export type LookupAnswer = v.InferOutput<typeof lookupAnswerSchema>;

// GET /chunk/<contentHash> as a referral
export const REFERRAL_TYPE = "application/vnd.holdfast.referral+json";
export interface Referral {
  hash: Hash;
  holders: Contact[];
}

// POST /chunk/locate: holders of many chunks in one call
const locateRequestSchema = v.strictObject({
  chunks: v.pipe(v.array(hashSchema), v.minLength(1), v.maxLength(CHUNKS_PER_PLAN_MAX)),
});
const locateAnswerSchema = v.object({
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, holders: v.pipe(v.array(nodeIdSchema), v.maxLength(64)) })),
    v.maxLength(CHUNKS_PER_PLAN_MAX),
  ),
  nodes: v.pipe(v.array(contactSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX)),
  /** Those of them that are connected to the edge now: for people, because a client tries them all. */
  online: v.optional(v.pipe(v.array(nodeIdSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX))),
  /** For each chunk, when each of its holders was last seen to have it, or null: for people too. */
  checked: v.optional(
    v.pipe(
      v.array(v.pipe(v.array(v.nullable(timeSchema)), v.maxLength(64))),
      v.maxLength(CHUNKS_PER_PLAN_MAX),
    ),
  ),
  /** Those of them that do not serve at this hour: to be asked last. */
  resting: v.optional(v.pipe(v.array(nodeIdSchema), v.maxLength(CHUNKS_PER_MANIFEST_MAX))),
});
export type LocateRequest = v.InferOutput<typeof locateRequestSchema>;
export type LocateAnswer = v.InferOutput<typeof locateAnswerSchema>;

// POST /chunk/suspect: holders that did not give a chunk, or gave something else
export const SUSPECTS_PER_POST_MAX = 64;
const suspectRequestSchema = v.strictObject({
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, node: nodeIdSchema })),
    v.minLength(1),
    v.maxLength(SUSPECTS_PER_POST_MAX),
  ),
});
/** How many of them are holders here that will be read next. */
const suspectAnswerSchema = v.object({ noted: countSchema });
export type SuspectRequest = v.InferOutput<typeof suspectRequestSchema>;
export type SuspectAnswer = v.InferOutput<typeof suspectAnswerSchema>;

// GET /closest/<hash>
const closestAnswerSchema = v.object({
  nodes: v.pipe(v.array(contactSchema), v.maxLength(CLOSEST_NODES_MAX)),
});
export type ClosestAnswer = v.InferOutput<typeof closestAnswerSchema>;

// GET /status of a home node: what an edge compares with a registration's URL
const nodeStatusSchema = v.object({ kind: v.literal("home-node"), id: nodeIdSchema, key: keyTextSchema });
/** What a home node's `/status` says about itself; fields beyond these are for people. */
export type NodeStatus = v.InferOutput<typeof nodeStatusSchema>;

// GET /status of an edge: the network in numbers
export const RECENT_OBJECTS_MAX = 20;
export const LISTED_NODES_MAX = 100;
export const LISTED_DOMAINS_MAX = 20;
const recentObjectSchema = v.object({
  domain: domainSchema,
  name: nameSchema,
  version: hashSchema,
  sequence: positiveSchema,
  time: timeSchema,
  size: countSchema,
  author: v.string(),
});
const edgeStatusSchema = v.object({
  kind: v.literal("edge"),
  /** SHA-256 of the edge's public key blob, and the key: witnesses are signed by it. */
  id: hashSchema,
  key: keyTextSchema,
  software: v.string(),
  shardDepth: countSchema,
  failureDomain: v.picklist(["network", "node"]),
  nodes: v.object({
    known: countSchema,
    online: countSchema,
    pledgedBytes: countSchema,
    freeBytes: countSchema,
  }),
  /** Names with a Version, Versions, distinct chunks with a holder, (chunk, holder) pairs, bytes of those chunks. */
  index: v.object({
    names: countSchema,
    versions: countSchema,
    chunks: countSchema,
    replicas: countSchema,
    chunkBytes: countSchema,
  }),
  /** For each of the 1,024 partitions: chunks kept, and distinct home nodes that keep them. */
  partitions: v.object({ chunks: v.array(countSchema), holders: v.array(countSchema) }),
  /** Chunks below target, those of them that no holder gives, and copies made today (in UTC). Earlier edges do not say. */
  repairs: v.optional(
    v.object({
      short: countSchema,
      unreadable: countSchema,
      copiesToday: countSchema,
      bytesToday: countSchema,
    }),
  ),
  recent: v.pipe(v.array(recentObjectSchema), v.maxLength(RECENT_OBJECTS_MAX)),
  members: v.pipe(
    v.array(
      v.object({
        ...contactSchema.entries,
        online: v.boolean(),
        since: timeSchema,
        pledgedBytes: countSchema,
        freeBytes: countSchema,
        /** How it did when it was checked, 0 to 1. */
        standing: v.optional(shareSchema),
        /** The share of the time since it was first seen that it was online; null where that is not known. */
        uptime: v.optional(v.nullable(shareSchema)),
        /** Chunks that it keeps, as its audits show, or null; bytes that the edge saw it give. */
        chunks: v.optional(v.nullable(countSchema)),
        servedBytes: v.optional(countSchema),
        /** What its volunteer wants to be called; null: nothing was said. */
        name: v.optional(v.nullable(v.string()), null),
      }),
    ),
    v.maxLength(LISTED_NODES_MAX),
  ),
  /** The domains that are charged for most, and what nodes that list them pledge to them. */
  domains: v.optional(
    v.pipe(
      v.array(
        v.object({
          domain: domainSchema,
          bytes: countSchema,
          pledgedBytes: countSchema,
          supporters: countSchema,
          /** Pledged, of what its copies take; 1: its supporters could keep all of it. */
          ratio: v.number(),
        }),
      ),
      v.maxLength(LISTED_DOMAINS_MAX),
    ),
    [],
  ),
  /** When the numbers were last reported by a shard; null before the first report. */
  reportedAt: v.nullable(timeSchema),
});
export type RecentObject = v.InferOutput<typeof recentObjectSchema>;
export type EdgeStatus = v.InferOutput<typeof edgeStatusSchema>;

// GET /domain/<domain>: for people; clients ask DNS
export const SUPPORTERS_LISTED_MAX = 50;
const supporterSchema = v.object({
  id: nodeIdSchema,
  /** What its volunteer wants to be called; null: nothing was said. */
  name: v.nullable(v.string()),
  online: v.boolean(),
  /** Since when the edge knows the node; null: for longer than it remembers. */
  since: v.nullable(timeSchema),
  /** How it did when it was checked: 0 to 1. */
  standing: v.number(),
  /** What it keeps of the domain, as the edge has counted; some minutes late, and of the most that keep it only. */
  chunks: countSchema,
  bytes: countSchema,
  /** Of its pledge, the part for this domain. */
  pledgedBytes: countSchema,
});
const usageSchema = v.object({
  bytes: countSchema,
  chunks: countSchema,
  /** Null: no limit. */
  quotaBytes: v.nullable(countSchema),
  /** By the nodes that list the domain, and how many those are. */
  pledgedBytes: countSchema,
  supporters: countSchema,
});
const domainSupportSchema = v.object({
  usage: usageSchema,
  supporters: v.pipe(v.array(supporterSchema), v.maxLength(SUPPORTERS_LISTED_MAX)),
});
export type Supporter = v.InferOutput<typeof supporterSchema>;
/** The part of the answer that DNS does not know. */
export type DomainSupport = v.InferOutput<typeof domainSupportSchema>;

export interface DomainAnswer extends DomainSupport {
  domain: Domain;
  policy: DomainPolicy;
  keys: { key: string; fingerprint: string; emails: string[] }[];
  /** What is wrong with the records, or with how DNS shows them: one sentence each. */
  problems: string[];
  evidence: DomainKeys["evidence"];
}

export const parsePlanRequest = (value: unknown): PlanRequest =>
  parseWith(planRequestSchema, value, "invalid-request");
export const parsePlanAnswer = (value: unknown): PlanAnswer =>
  parseWith(planAnswerSchema, value, "bad-answer");
export const parseNamesRequest = (value: unknown): NamesRequest =>
  parseWith(namesRequestSchema, value, "invalid-request");
export const parseNamesAnswer = (value: unknown): NamesAnswer =>
  parseWith(namesAnswerSchema, value, "bad-answer");
export const parseNameAnswer = (value: unknown): NameAnswer =>
  parseWith(nameAnswerSchema, value, "bad-answer");
export const parseLookupRequest = (value: unknown): { names: NameKey[] } =>
  parseWith(lookupRequestSchema, value, "invalid-request");
export const parseLookupAnswer = (value: unknown): LookupAnswer =>
  parseWith(lookupAnswerSchema, value, "bad-answer");
export const parseLocateRequest = (value: unknown): LocateRequest =>
  parseWith(locateRequestSchema, value, "invalid-request");
export const parseLocateAnswer = (value: unknown): LocateAnswer =>
  parseWith(locateAnswerSchema, value, "bad-answer");
export const parseSuspectRequest = (value: unknown): SuspectRequest =>
  parseWith(suspectRequestSchema, value, "invalid-request");
export const parseSuspectAnswer = (value: unknown): SuspectAnswer =>
  parseWith(suspectAnswerSchema, value, "bad-answer");
export const parseClosestAnswer = (value: unknown): ClosestAnswer =>
  parseWith(closestAnswerSchema, value, "bad-answer");
export const parseNodeStatus = (value: unknown): NodeStatus =>
  parseWith(nodeStatusSchema, value, "bad-answer");
export const parseEdgeStatus = (value: unknown): EdgeStatus =>
  parseWith(edgeStatusSchema, value, "bad-answer");
export const parseDomainSupport = (value: unknown): DomainSupport =>
  parseWith(domainSupportSchema, value, "bad-answer");
export const parseProblem = (value: unknown): { code: string; detail: string } =>
  parseWith(problemSchema, value, "bad-answer");
export const parseSignedJson = (value: unknown): SignedJson => parseWith(signedSchema, value, "bad-answer");

export function formatSigned(signed: SignedStatement): SignedJson {
  return { statement: base64.encode(signed.bytes), signature: signed.signature };
}

/** Throws `invalid-statement` where the base64 is not. */
export function parseSigned(json: SignedJson): SignedStatement {
  return { bytes: decodeBase64(json.statement), signature: json.signature };
}

/** A signed statement in one header value: base64 of the bytes, a dot, base64 of the armored signature. */
export function formatSignedHeader(signed: SignedStatement): string {
  return `${base64.encode(signed.bytes)}.${base64.encode(new TextEncoder().encode(signed.signature))}`;
}

export function parseSignedHeader(value: string): SignedStatement {
  const [statement, signature, ...rest] = value.split(".");
  if (
    value.length > GRANT_HEADER_MAX ||
    statement === undefined ||
    signature === undefined ||
    rest.length > 0
  ) {
    throw new HoldfastError("invalid-request", "expected base64(statement).base64(signature)");
  }
  const text = new TextDecoder().decode(decodeBase64(signature));
  return { bytes: decodeBase64(statement), signature: text };
}

/** Request headers of PUT /chunk. */
export const GRANT_HEADER = "Holdfast-Grant";
export const UPLOAD_HEADER = "Holdfast-Upload";

// GET /obj/<domain>/<name> as a referral
const objectReferralSchema = v.object({
  domain: domainSchema,
  name: nameSchema,
  nameHash: hashSchema,
  version: listedSchema,
  /** The Version's Manifest, base64. */
  manifest: base64Text(Math.ceil(MANIFEST_BYTES_MAX / 3) * 4),
  /** Holders of the Manifest and of the first chunks that it names, as /chunk/locate lists them. */
  ...locateAnswerSchema.entries,
});
export type ObjectReferral = v.InferOutput<typeof objectReferralSchema>;
export const OBJECT_REFERRAL_MAX = 4 * 1024 * 1024;

export const parseObjectReferral = (value: unknown): ObjectReferral =>
  parseWith(objectReferralSchema, value, "bad-answer");
