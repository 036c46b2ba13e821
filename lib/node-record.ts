// What an edge tells a home node of how it stands there and what it has carried: as the edge saw it, for the volunteer.

import * as v from "valibot";
import { EVENTS_KEPT_MAX } from "./durability/standing.ts";
import { countSchema, hashSchema, shareSchema, timeSchema } from "./schema.ts";

/** Open JSON: later edges may say more. */
export const nodeRecordSchema = v.object({
  standing: shareSchema,
  /** Audits in all, and the last things that went wrong, the newest first. */
  passed: countSchema,
  failed: countSchema,
  events: v.pipe(
    v.array(
      v.object({
        time: timeSchema,
        chunk: hashSchema,
        code: v.picklist(["missing", "corrupt", "unreachable"]),
      }),
    ),
    v.maxLength(EVENTS_KEPT_MAX),
  ),
  /** Chunks kept, times hours, as far as audits have shown it. */
  chunkHours: countSchema,
  /** Bytes that the edge saw it give and take. */
  servedBytes: countSchema,
  takenBytes: countSchema,
  firstSeen: v.nullable(timeSchema),
  /** The share of the time since then that it was online. */
  uptime: v.nullable(shareSchema),
});

export type NodeRecord = v.InferOutput<typeof nodeRecordSchema>;
