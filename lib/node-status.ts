// What a home node says of itself: little to strangers, all of it to its volunteer. Open JSON: a reader ignores fields
// that it does not know.

import * as v from "valibot";
import { isDelisted, isOnProbation } from "./durability/standing.ts";
import { formatAge, formatCount, formatShare, formatSize, formatTime, plural } from "./format.ts";
import { type NodeRecord, nodeRecordSchema } from "./node-record.ts";
import { PLEDGED_DOMAINS_MAX, pledgeSchema } from "./pledge.ts";
import { REACH_CODES } from "./reach.ts";
import {
  countSchema,
  domainSchema,
  hashSchema,
  keyTextSchema,
  nodeIdSchema,
  parseWith,
  timeSchema,
} from "./schema.ts";

/** Today included. */
export const DAYS_LISTED_MAX = 31;
const EDGES_LISTED_MAX = 16;
const RELAYS_LISTED_MAX = 16;
const RELAYED_LISTED_MAX = 256;

const publicSchema = v.object({
  kind: v.literal("home-node"),
  id: nodeIdSchema,
  key: keyTextSchema,
  software: v.string(),
  /** The URL that edges are told, or null. */
  url: v.nullable(v.string()),
  chunks: countSchema,
  versions: countSchema,
  contacts: countSchema,
  /** Bytes of the files kept, and bytes that the node can still take. */
  usedBytes: countSchema,
  freeBytes: countSchema,
  /** When the process started. */
  onlineSince: timeSchema,
});

const flowSchema = v.object({ requests: countSchema, bytes: countSchema });
const directionsSchema = v.object({ in: flowSchema, out: flowSchema });
const NO_FLOW = { requests: 0, bytes: 0 };
/** What came and went at the listener, through edges and relays, and for the nodes that this one relays for. */
const flowsSchema = v.object({
  direct: directionsSchema,
  tunnel: directionsSchema,
  relay: v.optional(directionsSchema, { in: NO_FLOW, out: NO_FLOW }),
});
const daySchema = v.object({ date: v.string(), ...flowsSchema.entries });
const sumSchema = v.object({ chunks: countSchema, bytes: countSchema });

const linkStateSchema = v.picklist(["connecting", "registered", "waiting", "stopped"]);

const edgeSchema = v.object({
  url: v.string(),
  /** The edge's id; null before it was first heard of. */
  edge: v.nullable(hashSchema),
  state: linkStateSchema,
  /** When this state began: for `registered`, since when the node is linked. */
  since: timeSchema,
  /** Whether the edge reached the node at its URL, by a code and in words why or why not, and what to do about it. */
  direct: v.boolean(),
  code: v.nullable(v.picklist(REACH_CODES)),
  reason: v.string(),
  advice: v.nullable(v.string()),
  /** What the edge last said of how the node stands there; null where it has said nothing since the process started. */
  record: v.optional(v.nullable(nodeRecordSchema), null),
  /** What is known of how the node did by this edge: audits in all, the rest since the process started. */
  standing: v.object({
    /** Passed and failed audits; null where there were none. */
    audits: v.nullable(v.object({ passed: countSchema, failed: countSchema })),
    registrations: countSchema,
    /** Links that ended without the node meaning it. */
    losses: countSchema,
    /** Requests through this edge that the node answered, and those of them that it could not serve. */
    requests: countSchema,
    failures: countSchema,
  }),
});

/** A home node through which this one is reached, or is about to be. */
const relaySchema = v.object({
  id: nodeIdSchema,
  url: v.string(),
  state: linkStateSchema,
  since: timeSchema,
  /** Why the link ended last, where it did. */
  reason: v.string(),
});

const localSchema = v.object({
  ...publicSchema.entries,
  /** Until when the volunteer is away; null: is not. Earlier nodes do not say, here and below. */
  awayUntil: v.optional(v.nullable(timeSchema), null),
  /** How far the node is with leaving; null: it stays. */
  leaving: v.optional(
    v.nullable(
      v.object({
        since: timeSchema,
        /** Chunks held, those that edges were asked about, and those of them that too few others keep. */
        chunks: countSchema,
        asked: countSchema,
        short: countSchema,
        /** All of it is kept by others: the node can be switched off. */
        isSafe: v.boolean(),
        /** Why that is not known; null: it is. */
        problem: v.nullable(v.string()),
      }),
    ),
    null,
  ),
  /** The last look at all chunks, or the one under way: null before the first. */
  scrub: v.optional(
    v.nullable(v.object({ startedAt: timeSchema, isDone: v.boolean(), read: countSchema, bad: countSchema })),
    null,
  ),
  /** When the node was found without the chunks that it had; null: never. */
  lostSince: v.optional(v.nullable(timeSchema), null),
  /** Where the volunteer's browser finds the page; null where there is none. */
  page: v.nullable(v.string()),
  pledge: pledgeSchema,
  /** What the volunteer wants to be called in public. */
  name: v.optional(v.nullable(v.string()), null),
  /** The file system: what it has left, and how much of that the node leaves free. */
  disk: v.object({ freeBytes: countSchema, reserveBytes: countSchema }),
  /** Newly stored for each domain since counting began, the most bytes first; `others` beyond the listed ones. */
  accepted: v.object({
    domains: v.pipe(
      v.array(v.object({ domain: domainSchema, ...sumSchema.entries })),
      v.maxLength(PLEDGED_DOMAINS_MAX),
    ),
    others: sumSchema,
  }),
  /** Receipts given since counting began. */
  receipts: countSchema,
  /** Deleted since counting began, because no edge needed it any more. */
  reclaimed: v.optional(sumSchema, { chunks: 0, bytes: 0 }),
  traffic: v.object({
    /** When counting began. */
    since: timeSchema,
    total: flowsSchema,
    today: daySchema,
    /** Days in UTC with traffic, the oldest first. */
    days: v.pipe(v.array(daySchema), v.maxLength(DAYS_LISTED_MAX)),
  }),
  /** The node among other home nodes. Earlier nodes do not say. */
  overlay: v.optional(
    v.nullable(
      v.object({
        /** Of how many hashes other nodes were told, in the last round over everything and since; when that ended. */
        announced: v.object({ hashes: countSchema, at: v.nullable(timeSchema) }),
        /** What other nodes keep, as they say: pairs of a hash and a node, and how many nodes these are. */
        records: v.object({ records: countSchema, nodes: countSchema }),
      }),
    ),
    null,
  ),
  edges: v.pipe(v.array(edgeSchema), v.maxLength(EDGES_LISTED_MAX)),
  relays: v.optional(v.pipe(v.array(relaySchema), v.maxLength(RELAYS_LISTED_MAX)), []),
  /** The nodes that this one relays for; null: it relays for none. */
  relayed: v.optional(
    v.nullable(
      v.pipe(v.array(v.object({ id: nodeIdSchema, since: timeSchema })), v.maxLength(RELAYED_LISTED_MAX)),
    ),
    null,
  ),
});

/** What GET /status answers to anybody. */
export type PublicNodeStatus = v.InferOutput<typeof publicSchema>;
/** What it answers to the volunteer. */
export type LocalNodeStatus = v.InferOutput<typeof localSchema>;
type Leaving = NonNullable<LocalNodeStatus["leaving"]>;
type Scrub = NonNullable<LocalNodeStatus["scrub"]>;
export type EdgeReport = LocalNodeStatus["edges"][number];
export type RelayReport = LocalNodeStatus["relays"][number];
export type TrafficFlows = v.InferOutput<typeof flowsSchema>;

// What the volunteer tells the node by its socket
const pauseSchema = v.strictObject({ until: v.nullable(timeSchema) });
const leaveSchema = v.strictObject({ leaving: v.boolean() });
export const parsePause = (value: unknown): v.InferOutput<typeof pauseSchema> =>
  parseWith(pauseSchema, value, "invalid-request");
export const parseLeave = (value: unknown): v.InferOutput<typeof leaveSchema> =>
  parseWith(leaveSchema, value, "invalid-request");

/** Either status; `isLocal` tells them apart. Throws `bad-answer`. */
export function parseNodeReport(value: unknown): PublicNodeStatus | LocalNodeStatus {
  return hasTraffic(value)
    ? parseWith(localSchema, value, "bad-answer")
    : parseWith(publicSchema, value, "bad-answer");
}

export function isLocal(status: PublicNodeStatus | LocalNodeStatus): status is LocalNodeStatus {
  return "traffic" in status;
}

/** What the volunteer means to do, and how the disk does, as labels and words. Nothing where there is nothing to say. */
export function describeCare(
  { awayUntil, leaving, lostSince, scrub }: LocalNodeStatus,
  nowMs: number,
): [label: string, text: string][] {
  const rows: [string, string][] = [];
  if (awayUntil !== null) rows.push(["away", `until ${formatTime(awayUntil)}: it takes nothing new`]);
  if (leaving !== null) rows.push(["leaving", leavingWords(leaving)]);
  if (lostSince !== null)
    rows.push([
      "lost disk",
      `found for ${formatAge(nowMs - Date.parse(lostSince))}, since ${formatTime(lostSince)}`,
    ]);
  if (scrub !== null) rows.push(["disk", scrubWords(scrub)]);
  return rows;
}

function leavingWords({ since, chunks, asked, short, isSafe, problem }: Leaving): string {
  if (isSafe) return `all ${plural(chunks, "chunk")} kept by others: you can switch it off`;
  const state = problem ?? `${formatCount(short)} short of ${formatCount(asked)} asked about`;
  return `since ${formatTime(since)}: ${state}`;
}

function scrubWords({ startedAt, isDone, read, bad }: Scrub): string {
  const found = bad === 0 ? "none bad" : `${formatCount(bad)} bad, reported and deleted`;
  return `${isDone ? "looked through" : "being looked through"} since ${formatTime(startedAt)}: ${plural(read, "chunk")} read, ${found}`;
}

/** The node among others, as labels and words. */
export function describeOverlay({ contacts, overlay }: LocalNodeStatus): [label: string, text: string][] {
  if (overlay === null) return [];
  const { announced, records } = overlay;
  const last = announced.at === null ? "" : `; the last round ended ${formatTime(announced.at)}`;
  return [
    ["contacts", `${plural(contacts, "home node")} known, which can name others`],
    [
      "announced",
      `${formatCount(announced.hashes)} of its chunks and names to the nodes nearest to each${last}`,
    ],
    [
      "for others",
      `${plural(records.records, "record")} of what ${plural(records.nodes, "node")} said to keep`,
    ],
  ];
}

/** Of what went wrong, so much is told. */
const EVENTS_TOLD = 3;
const CHUNK_SHOWN = 12;
const EVENT_WORDS = {
  missing: "did not have",
  corrupt: "gave other bytes for",
  unreachable: "was not reached for",
} as const;

/** What an edge says of the node, as labels and words: how it stands, what it has carried, and what went wrong last. */
export function describeRecord(record: NodeRecord | null): [label: string, text: string][] {
  if (record === null) return [];
  const { standing, chunkHours, servedBytes, takenBytes, firstSeen, uptime, events } = record;
  const carried = `${plural(chunkHours, "chunk-hour")} shown by audits, ${formatSize(servedBytes)} served, ${formatSize(takenBytes)} taken`;
  const rows: [string, string][] = [
    ["stands at", `${standing.toFixed(2)} of 1: ${standingWords(standing)}`],
    ["carried", carried],
  ];
  if (firstSeen !== null && uptime !== null)
    rows.push(["uptime", `${formatShare(uptime)} since ${formatTime(firstSeen)}`]);
  const told = events.slice(0, EVENTS_TOLD).map(describeEvent);
  return [...rows, ...told.map((text, i): [string, string] => [i === 0 ? "last wrong" : "", text])];
}

function describeEvent({ time, chunk, code }: NodeRecord["events"][number]): string {
  return `${formatTime(time)}: ${EVENT_WORDS[code]} chunk ${chunk.slice(0, CHUNK_SHOWN)}…`;
}

function standingWords(standing: number): string {
  if (isDelisted(standing)) return "it is given nothing new, and asked last";
  return isOnProbation(standing) ? "it is checked more often, until it has shown more" : "in full standing";
}

/** For whom the node relays, and by whom it is relayed, as labels and words. Nothing where there is nothing to say. */
export function describeRelaying(
  { relays, relayed, traffic }: LocalNodeStatus,
  nowMs: number,
): [label: string, text: string][] {
  const by = relays.map(({ url, state, since, reason }): [string, string] => {
    const age = formatAge(nowMs - Date.parse(since));
    return [
      "relayed by",
      `${url}: ${state === "registered" ? "linked" : state} for ${age}${reasonWords(reason)}`,
    ];
  });
  if (relayed === null) return by;
  const { in: into, out } = traffic.total.relay;
  const bytes = `${formatSize(into.bytes)} in and ${formatSize(out.bytes)} out in all`;
  return [...by, ["relays for", `${plural(relayed.length, "other node")} now; ${bytes}`]];
}

function reasonWords(reason: string): string {
  return reason === "" ? "" : `; ended before: ${reason}`;
}

/** An edge's standing in words. */
export function formatStanding(standing: EdgeReport["standing"]): string {
  const { audits, registrations, losses, requests, failures } = standing;
  const audited =
    audits === null
      ? "no audits yet"
      : `${plural(audits.passed, "audit")} passed, ${formatCount(audits.failed)} failed`;
  const lost = losses === 0 ? "link never lost" : `link lost ${plural(losses, "time")}`;
  const link = registrations === 0 ? "never linked" : lost;
  const failed = failures === 0 ? "none" : formatCount(failures);
  const served =
    requests === 0 ? "no request through it" : `${plural(requests, "request")} through it, ${failed} failed`;
  return `${audited}; since the start: ${link}, ${served}`;
}

function hasTraffic(value: unknown): boolean {
  return typeof value === "object" && value !== null && "traffic" in value;
}
