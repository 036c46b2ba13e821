// A home node's configuration. Parsed once, whole; a wrong field is refused with its path, never guessed.

import * as v from "valibot";
import { pledgeSchema, volunteerNameSchema } from "../lib/pledge.ts";
import { NODE_URL_MAX } from "../lib/registration.ts";
import { countSchema, parseWith } from "../lib/schema.ts";

export const EDGES_MAX = 16;
export const DOH_URLS_MAX = 8;
/** Below this a chunk takes longer than requests are given. */
export const RATE_MIN = 64 * 1024;
/** Bytes of the file system that a node leaves free. */
export const DEFAULT_DISK_RESERVE_BYTES = 1024 ** 3;
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
  dohUrls: v.pipe(v.array(urlSchema), v.minLength(1), v.maxLength(DOH_URLS_MAX)),
  pledge: v.pipe(
    pledgeSchema,
    v.check(
      ({ uploadRate, downloadRate }) =>
        [uploadRate, downloadRate].every((rate) => rate === null || rate >= RATE_MIN),
      `expected rates of ${RATE_MIN} bytes a second or more, or null`,
    ),
  ),
  /** What the volunteer wants to be called in public. */
  name: v.optional(v.nullable(volunteerNameSchema), null),
  diskReserveBytes: v.optional(countSchema, DEFAULT_DISK_RESERVE_BYTES),
  /** Hashes to neither store nor serve, one a line. */
  denyFile: v.optional(v.nullable(v.pipe(v.string(), v.minLength(1), v.maxLength(PATH_MAX))), null),
});

export type NodeConfig = v.InferOutput<typeof configSchema>;

/** Throws `invalid-request`. */
export function parseNodeConfig(value: unknown): NodeConfig {
  return parseWith(configSchema, value, "invalid-request");
}
