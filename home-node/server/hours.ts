// The hours in which the volunteer's line may carry strangers' chunks.

import { HoldfastError } from "../../lib/error.ts";
import { formatHours, msUntilServing, type PledgeHours } from "../../lib/pledge.ts";
import { problemOf } from "../../lib/problem.ts";
import type { Clock } from "../clock.ts";
import { problemResponse } from "./problem-response.ts";

const SECOND_MS = 1000;

export interface HoursDeps {
  /** Null: always. */
  hours: PledgeHours | null;
  clock: Clock;
}

/** What a request that would move a chunk is answered outside of the hours; null within them. */
export function refusalOutsideHours({ hours, clock }: HoursDeps): Response | null {
  const waitMs = msUntilServing(hours, clock.now());
  if (waitMs === 0 || hours === null) return null;
  const error = new HoldfastError("outside-hours", `this home node serves from ${formatHours(hours)} UTC`);
  const seconds = Math.ceil(waitMs / SECOND_MS);
  return problemResponse(problemOf(error), { "Retry-After": String(seconds) });
}
