// What the node has carried, for its volunteer: requests and bytes, in and out, directly, through tunnels, and for nodes that
// it relays for; in all, and on each of the last days. A day is a date in UTC. Kept in memory; counters.ts brings it to disk.

import * as v from "valibot";
import { DAYS_LISTED_MAX } from "../../lib/node-status.ts";
import { countSchema, timeSchema } from "../../lib/schema.ts";
import type { Clock } from "../clock.ts";

export const DAYS_KEPT = DAYS_LISTED_MAX;
const DATE_LENGTH = "2026-01-02".length;
const MIDNIGHT = "T00:00:00.000Z";

/** How a request came: at the listener, through an edge or a relay, or at the listener for a node that this one relays for. */
export type Way = "direct" | "tunnel" | "relay";
/** `in` is what others bring, `out` what they fetch. */
export type Direction = "in" | "out";

const flowSchema = v.strictObject({ requests: countSchema, bytes: countSchema });
const directionsSchema = v.strictObject({ in: flowSchema, out: flowSchema });
const flowsSchema = v.strictObject({
  direct: directionsSchema,
  tunnel: directionsSchema,
  /** Files of before nodes relayed do not have it. */
  relay: v.optional(directionsSchema, noDirections),
});
const dateSchema = v.pipe(
  v.string(),
  v.check((date) => v.is(timeSchema, `${date}${MIDNIGHT}`), "expected a date"),
);

export const trafficSchema = v.strictObject({
  /** When counting began. */
  since: timeSchema,
  total: flowsSchema,
  /** Days with traffic, the oldest first. */
  days: v.pipe(v.array(v.strictObject({ date: dateSchema, ...flowsSchema.entries })), v.maxLength(DAYS_KEPT)),
});

export type Flow = v.InferOutput<typeof flowSchema>;
export type Flows = v.InferOutput<typeof flowsSchema>;
export type TrafficRecord = v.InferOutput<typeof trafficSchema>;
export type Day = TrafficRecord["days"][number];

export class Traffic {
  readonly #clock: Pick<Clock, "now">;
  readonly #since: string;
  readonly #total: Flows;
  readonly #days: Map<string, Flows>;

  /** Goes on from `saved`, where there is something to go on from. */
  constructor(clock: Pick<Clock, "now">, saved: TrafficRecord | null) {
    const { since, total, days } = structuredClone(saved) ?? startOf(clock.now());
    this.#clock = clock;
    this.#since = since;
    this.#total = total;
    this.#days = new Map(days.map(({ date, ...flows }) => [date, flows]));
  }

  count(way: Way, direction: Direction, { requests = 0, bytes = 0 }: Partial<Flow>): void {
    for (const { [way]: flows } of [this.#total, this.#today()]) {
      flows[direction].requests += requests;
      flows[direction].bytes += bytes;
    }
  }

  /** A copy of the record, and today's part of it. */
  report(): TrafficRecord & { today: Day } {
    const date = dateOf(this.#clock.now());
    const record = this.record();
    return { ...record, today: record.days.find((day) => day.date === date) ?? { date, ...noFlows() } };
  }

  record(): TrafficRecord {
    const days = [...this.#days].map(([date, flows]): Day => ({ date, ...flows }));
    days.sort((a, b) => (a.date < b.date ? -1 : 1));
    return structuredClone({ since: this.#since, total: this.#total, days });
  }

  #today(): Flows {
    const date = dateOf(this.#clock.now());
    const known = this.#days.get(date);
    if (known !== undefined) return known;
    const flows = noFlows();
    this.#days.set(date, flows);
    this.#forgetOldest();
    return flows;
  }

  #forgetOldest(): void {
    const dates = [...this.#days.keys()].sort();
    for (const date of dates.slice(0, -DAYS_KEPT)) this.#days.delete(date);
  }
}

function startOf(nowMs: number): TrafficRecord {
  return { since: new Date(nowMs).toISOString(), total: noFlows(), days: [] };
}

function noFlows(): Flows {
  return { direct: noDirections(), tunnel: noDirections(), relay: noDirections() };
}

function noDirections(): v.InferOutput<typeof directionsSchema> {
  return { in: { requests: 0, bytes: 0 }, out: { requests: 0, bytes: 0 } };
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, DATE_LENGTH);
}
