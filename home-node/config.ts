// A home node's configuration. Parsed once, whole; a wrong field is refused with its path, never guessed.

import * as v from "valibot";
import { pledgeSchema, volunteerNameSchema } from "../lib/pledge.ts";
import { NODE_URL_MAX } from "../lib/registration.ts";
import { countSchema, parseWith, positiveSchema } from "../lib/schema.ts";

export const EDGES_MAX = 16;
export const DOH_URLS_MAX = 8;
/** Nodes by which to join the overlay. */
export const JOIN_URLS_MAX = 16;
/** Below this a chunk takes longer than requests are given. */
export const RATE_MIN = 64 * 1024;
/** Bytes of the file system that a node leaves free. */
export const DEFAULT_DISK_RESERVE_BYTES = 1024 ** 3;
/** Bytes a second read to look through all chunks, where the volunteer says nothing: 2.6 TB in a month. */
export const DEFAULT_SCRUB_RATE = 1024 * 1024;
/** Copied on edges' orders where the volunteer says nothing, bytes a second: no more than half of what may come in. */
export const DEFAULT_REPAIR_RATE = 8 * 1024 * 1024;
export const DEFAULT_COLLECT_SECONDS = 24 * 3600;
const COLLECT_SECONDS_MAX = 365 * DEFAULT_COLLECT_SECONDS;
const PATH_MAX = 4096;

const urlSchema = v.pipe(
  v.string(),
  v.maxLength(NODE_URL_MAX),
  v.check((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "expected an http or https URL"),
);

const configSchema = v.strictObject({
  /** Holds the identity, the chunks and the Versions. */
  dir: v.pipe(v.string(), v.minLength(1), v.maxLength(PATH_MAX)),
  /** Where to listen for direct requests; null where the node is reached through its edges only. Port 0: any. */
  listen: v.nullable(
    v.strictObject({
      host: v.pipe(v.string(), v.minLength(1), v.maxLength(253)),
      port: v.pipe(countSchema, v.maxValue(65_535)),
    }),
  ),
  /** The URL at which others reach the listener, such as https://node.example.org behind a proxy. */
  publicUrl: v.nullable(urlSchema),
  /** Without a public URL, tell edges the listener's own. For one machine or one network. */
  advertise: v.boolean(),
  edges: v.pipe(v.array(urlSchema), v.maxLength(EDGES_MAX)),
  /** Home nodes by which the node finds others where no edge tells it of any. */
  join: v.optional(v.pipe(v.array(urlSchema), v.maxLength(JOIN_URLS_MAX)), []),
  dohUrls: v.pipe(v.array(urlSchema), v.minLength(1), v.maxLength(DOH_URLS_MAX)),
  pledge: v.pipe(
    pledgeSchema,
    v.check(
      ({ uploadRate, downloadRate }) =>
        [uploadRate, downloadRate].every((rate) => rate === null || rate >= RATE_MIN),
      `expected rates of ${RATE_MIN} bytes a second or more, or null`,
    ),
  ),
  /** Bytes a second copied from others on an edge's order; null: half of the download rate, DEFAULT_REPAIR_RATE at most. */
  repairRate: v.optional(v.nullable(v.pipe(positiveSchema, v.minValue(RATE_MIN))), null),
  /** What the volunteer wants to be called in public. */
  name: v.optional(v.nullable(volunteerNameSchema), null),
  /** Bytes a second read to see whether the disk gives back what it was given; null: that is not looked at. */
  scrubRate: v.optional(v.nullable(v.pipe(positiveSchema, v.minValue(RATE_MIN))), DEFAULT_SCRUB_RATE),
  /** The node starts without the chunks that it had. */
  lostDisk: v.optional(v.boolean(), false),
  diskReserveBytes: v.optional(countSchema, DEFAULT_DISK_RESERVE_BYTES),
  /** Whether a node that is reached directly relays for others that are not. */
  relay: v.optional(v.boolean(), true),
  /** Seconds between two rounds of asking the edges which chunks they still need; 0: never, and nothing is deleted. */
  collectSeconds: v.optional(v.pipe(countSchema, v.maxValue(COLLECT_SECONDS_MAX)), DEFAULT_COLLECT_SECONDS),
  /** Hashes to neither store nor serve, one a line. */
  denyFile: v.optional(v.nullable(v.pipe(v.string(), v.minLength(1), v.maxLength(PATH_MAX))), null),
});

export type NodeConfig = v.InferOutput<typeof configSchema>;

/** Bytes a second that the node copies from others on an edge's order. */
export function repairRateOf({ repairRate, pledge }: Pick<NodeConfig, "repairRate" | "pledge">): number {
  if (repairRate !== null) return repairRate;
  const halfOfDown = pledge.downloadRate === null ? DEFAULT_REPAIR_RATE : pledge.downloadRate / 2;
  return Math.max(RATE_MIN, Math.min(DEFAULT_REPAIR_RATE, halfOfDown));
}

/** Throws `invalid-request`. */
export function parseNodeConfig(value: unknown): NodeConfig {
  return parseWith(configSchema, value, "invalid-request");
}
