// The JSON of names: statements handed over, what servers know of one name or of many, and an object as a referral.

import * as v from "valibot";
import { REMOVALS_PER_NAME_MAX } from "../removal.ts";
import { domainSchema, hashSchema, nameSchema, parseWith, positiveSchema } from "../schema.ts";
import { locateAnswerSchema } from "./chunks.ts";
import { URL_TEXT_MAX } from "./nodes.ts";
import { problemSchema } from "./problem.ts";
import {
  base64Text,
  listedSchema,
  manifestText,
  RECEIPTS_PER_POST_MAX,
  signedSchema,
  witnessesSchema,
} from "./signed.ts";

export const STATEMENTS_PER_POST_MAX = 100;
export const VERSIONS_PER_PAGE = 100;
export const NAMES_BODY_MAX = 8 * 1024 * 1024;
export const NAME_ANSWER_MAX = 16 * 1024 * 1024;

// POST /names
export const publishedSchema = v.strictObject({
  version: signedSchema,
  /** The Manifest's bytes, base64. */
  manifest: manifestText,
  /** Witnesses gathered so far, for servers other than the first. */
  witnesses: witnessesSchema,
  /** By which its key signs, where that is neither the domain's nor its author's own. */
  delegation: v.optional(signedSchema),
  /** True: only where the Version that it follows is the name's newest here. */
  ifMatch: v.optional(v.boolean()),
});
export const postedRemovalSchema = v.strictObject({
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
export const parseNamesRequest = (value: unknown): NamesRequest =>
  parseWith(namesRequestSchema, value, "invalid-request");
export const parseNamesAnswer = (value: unknown): NamesAnswer =>
  parseWith(namesAnswerSchema, value, "bad-answer");

/** Versions of a name that a server tells of and does not list, and servers that tell of each. */
export const ELSEWHERE_MAX = 4;
export const ELSEWHERE_SERVERS_MAX = 8;
const elsewhereSchema = v.strictObject({
  version: hashSchema,
  sequence: positiveSchema,
  servers: v.pipe(
    v.array(v.pipe(v.string(), v.maxLength(URL_TEXT_MAX))),
    v.minLength(1),
    v.maxLength(ELSEWHERE_SERVERS_MAX),
  ),
});
export type Elsewhere = v.InferOutput<typeof elsewhereSchema>;

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
  /** On the first page: Versions that this server was told of, and could not list. */
  elsewhere: v.optional(v.pipe(v.array(elsewhereSchema), v.maxLength(ELSEWHERE_MAX))),
  /** The newest Version's Manifest, base64, on the first page. */
  manifest: v.nullable(manifestText),
  /** Pass as `before` for the next page; null on the last. */
  next: v.nullable(hashSchema),
});
export type NameAnswer = v.InferOutput<typeof nameAnswerSchema>;
export const parseNameAnswer = (value: unknown): NameAnswer =>
  parseWith(nameAnswerSchema, value, "bad-answer");

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
export const parseLookupRequest = (value: unknown): { names: NameKey[] } =>
  parseWith(lookupRequestSchema, value, "invalid-request");
export const parseLookupAnswer = (value: unknown): LookupAnswer =>
  parseWith(lookupAnswerSchema, value, "bad-answer");

// GET /obj/<domain>/<name> as a referral
const objectReferralSchema = v.object({
  domain: domainSchema,
  name: nameSchema,
  nameHash: hashSchema,
  version: listedSchema,
  /** The Version's Manifest, base64. */
  manifest: manifestText,
  /** Holders of the Manifest and of the first chunks that it names, as /chunk/locate lists them. */
  ...locateAnswerSchema.entries,
});
export type ObjectReferral = v.InferOutput<typeof objectReferralSchema>;
export const OBJECT_REFERRAL_MAX = 4 * 1024 * 1024;
export const parseObjectReferral = (value: unknown): ObjectReferral =>
  parseWith(objectReferralSchema, value, "bad-answer");
