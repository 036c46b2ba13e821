// The JSON of numbers, for people and programs: an edge's /status, and what it knows of a domain.

import * as v from "valibot";
import type { DomainKeys } from "../domain-keys.ts";
import type { DomainPolicy } from "../domain-records.ts";
import { PARTITION_COUNT } from "../hash.ts";
import type { Domain } from "../names.ts";
import {
  countSchema,
  domainSchema,
  hashSchema,
  keyTextSchema,
  nameSchema,
  nodeIdSchema,
  parseWith,
  positiveSchema,
  shardPrefixSchema,
  shareSchema,
  timeSchema,
} from "../schema.ts";
import { contactSchema, URL_TEXT_MAX } from "./nodes.ts";
import { PEERS_MAX } from "./peers.ts";

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
const inventoriesSchema = v.object({
  /** Nodes that are online, and those of them that have told all. */
  online: countSchema,
  told: countSchema,
  /** When the first node was asked, and when the last one had told what was missing here. */
  since: v.nullable(timeSchema),
  until: v.nullable(timeSchema),
  statements: v.object({
    /** By all nodes together: most are kept by several. */
    listed: countSchema,
    /** What the index had not. */
    taken: countSchema,
    /** What lacks something that may come, such as its Manifest. */
    waiting: countSchema,
    /** By the code of what was wrong. */
    refused: v.record(v.string(), countSchema),
  }),
  chunks: v.object({ listed: countSchema, taken: countSchema }),
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
  /**
   * The shards now: how many, how deep, those that are being split, and the one with the largest tables. Earlier edges do
   * not say.
   */
  shards: v.optional(
    v.object({
      count: countSchema,
      depthMin: countSchema,
      depthMax: countSchema,
      splitting: v.pipe(
        v.array(v.object({ prefix: shardPrefixSchema, copied: countSchema, rows: countSchema })),
        v.maxLength(PARTITION_COUNT),
      ),
      largest: v.nullable(v.object({ prefix: shardPrefixSchema, bytes: countSchema })),
      /** Those to which home nodes have brought back something that is not among the edge's numbers yet. */
      behind: v.optional(countSchema, 0),
    }),
  ),
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
  /**
   * Chunks that something refers to; those that nobody is said to hold; those that nobody was seen to hold yet; and those that
   * fewer nodes were seen to hold than are to.
   */
  needed: v.optional(
    v.object({
      chunks: countSchema,
      unheld: countSchema,
      unseen: countSchema,
      few: v.optional(countSchema, 0),
    }),
  ),
  /** What nodes told of what they keep, and what of it came back into the index. Earlier edges do not say. */
  inventories: v.optional(inventoriesSchema),
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
  /** Edges that this one exchanges Versions with. */
  peers: v.optional(
    v.pipe(
      v.array(
        v.object({
          url: v.pipe(v.string(), v.maxLength(URL_TEXT_MAX)),
          /** Whether it answered when statements were last handed on to it; null: none were yet. */
          reachable: v.nullable(v.boolean()),
          /** Statements that it has not been given yet. */
          waiting: countSchema,
          /** When it last took statements. */
          exchangedAt: v.nullable(timeSchema),
        }),
      ),
      v.maxLength(PEERS_MAX),
    ),
    [],
  ),
  /** When the numbers were last reported by a shard; null before the first report. */
  reportedAt: v.nullable(timeSchema),
});
export type RecentObject = v.InferOutput<typeof recentObjectSchema>;
export type InventoriesStatus = v.InferOutput<typeof inventoriesSchema>;
export type EdgeStatus = v.InferOutput<typeof edgeStatusSchema>;
export const parseEdgeStatus = (value: unknown): EdgeStatus =>
  parseWith(edgeStatusSchema, value, "bad-answer");

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
export const parseDomainSupport = (value: unknown): DomainSupport =>
  parseWith(domainSupportSchema, value, "bad-answer");
