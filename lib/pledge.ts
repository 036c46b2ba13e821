// What a volunteer offers: bytes, bandwidth, for which domains, and when. Opt-in: a list of domains, or all.

import * as v from "valibot";
import type { Domain } from "./names.ts";
import { countSchema, domainSchema, parseWith, positiveSchema } from "./schema.ts";

export const PLEDGED_DOMAINS_MAX = 256;
/** Characters (Unicode code points) of what a volunteer wants to be called. */
export const VOLUNTEER_NAME_MAX = 64;
const MINUTE_MS = 60 * 1000;
const DAY_MINUTES = 24 * 60;
const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d$/;
// What does not show or reorders what stands beside it: controls, formats (bidi and zero-width), surrogates, private use,
// unassigned, and separators but the space.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;

const timeOfDaySchema = v.pipe(v.string(), v.regex(TIME_OF_DAY, "expected a time of day: HH:MM"));

/** Each day from one time to another, in UTC; where `to` is before `from`, into the next day. */
const hoursSchema = v.pipe(
  v.strictObject({ from: timeOfDaySchema, to: timeOfDaySchema }),
  v.check(({ from, to }) => from !== to, "expected hours that begin and end at different times"),
);
export type PledgeHours = v.InferOutput<typeof hoursSchema>;

export const pledgeSchema = v.strictObject({
  /** Bytes of chunks the volunteer is willing to keep. */
  bytes: countSchema,
  /** Bytes a second, each way; null is unlimited. */
  uploadRate: v.nullable(positiveSchema),
  downloadRate: v.nullable(positiveSchema),
  /** "all", or the domains that the volunteer chose. */
  domains: v.union([v.literal("all"), v.pipe(v.array(domainSchema), v.maxLength(PLEDGED_DOMAINS_MAX))]),
  /** When the node serves strangers; left out: always. */
  hours: v.optional(hoursSchema),
});

export type Pledge = v.InferOutput<typeof pledgeSchema>;

/** What a volunteer wants to be called in public: one line that shows as it is. */
export const volunteerNameSchema = v.pipe(
  v.string(),
  v.check(isVolunteerName, `expected 1 to ${VOLUNTEER_NAME_MAX} printable characters, not spaces only`),
);

export function acceptsDomain(pledge: Pick<Pledge, "domains">, domain: Domain): boolean {
  return pledge.domains === "all" || pledge.domains.includes(domain);
}

/** What of a pledge is for `domain`: an even part of those that it lists. "all" is for none in particular. */
export function pledgedTo({ bytes, domains }: Pick<Pledge, "bytes" | "domains">, domain: Domain): number {
  if (domains === "all" || !domains.includes(domain)) return 0;
  return Math.floor(bytes / new Set(domains).size);
}

/** `hours` null: always. */
export function isServingAt(hours: PledgeHours | null, nowMs: number): boolean {
  if (hours === null) return true;
  const now = minuteOfDay(nowMs);
  const [from, to] = [minutesOf(hours.from), minutesOf(hours.to)];
  return from < to ? from <= now && now < to : now >= from || now < to;
}

/** Milliseconds until a node that serves at these hours serves again; 0 where it does now. */
export function msUntilServing(hours: PledgeHours | null, nowMs: number): number {
  if (hours === null || isServingAt(hours, nowMs)) return 0;
  const minutes = (minutesOf(hours.from) - minuteOfDay(nowMs) + DAY_MINUTES) % DAY_MINUTES;
  return minutes * MINUTE_MS - (nowMs % MINUTE_MS);
}

/** As it stands on a command line: `22:00-06:00`. */
export function formatHours({ from, to }: PledgeHours): string {
  return `${from}-${to}`;
}

/** Throws `invalid-request`. */
export function parseHours(text: string): PledgeHours {
  const [from, to, ...rest] = text.split("-");
  return parseWith(hoursSchema, { from, to, ...rest }, "invalid-request");
}

/** Throws `invalid-request`. */
export function parseVolunteerName(text: string): string {
  return parseWith(volunteerNameSchema, text, "invalid-request");
}

function minuteOfDay(nowMs: number): number {
  return Math.floor(nowMs / MINUTE_MS) % DAY_MINUTES;
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
}

function isVolunteerName(text: string): boolean {
  const length = [...text].length;
  return (
    length <= VOLUNTEER_NAME_MAX && text.trim() !== "" && text.trim() === text && !UNPRINTABLE.test(text)
  );
}
