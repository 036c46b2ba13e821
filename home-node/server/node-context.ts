// What a route of the home node knows of a request beside the request itself.

import type { Context, Hono } from "hono";
import type { Counters } from "../counters/counters.ts";
import type { Way } from "../counters/traffic.ts";
import type { Pace } from "./rate.ts";

/** How a request came. */
export interface Arrival {
  way: Way;
  /** The edge through whose tunnel it came; null where it came directly. */
  edgeUrl: string | null;
}

export interface NodeEnv {
  Bindings: Arrival;
}

export type NodeContext = Context<NodeEnv>;
export type NodeApp = Hono<NodeEnv>;

/** Counts bytes of the answer to this request. */
export function countOut(c: NodeContext, counters: Counters): (bytes: number) => void {
  return (bytes) => counters.count(c.env.way, "out", { bytes });
}

/** Answers that are small, and in memory. */
export function sendWhole(
  c: NodeContext,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
  { counters }: { counters: Counters },
): Response {
  if (c.req.method !== "HEAD") countOut(c, counters)(Buffer.byteLength(body));
  return c.body(body, 200, headers);
}

/** `pace`, counting the bytes of this request's body as they come. */
export function countIn(c: NodeContext, counters: Counters, pace: Pace): Pace {
  return {
    take: (bytes) => {
      counters.count(c.env.way, "in", { bytes });
      return pace.take(bytes);
    },
  };
}
