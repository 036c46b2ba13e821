// What the home node answers where it does not do what was asked: problem+json, with nothing in it of what went wrong
// inside.

import type { Logger } from "pino";
import { HoldfastError } from "../../lib/error.ts";
import { PROBLEM_TYPE, type Problem, problemOf } from "../../lib/problem.ts";
import type { NamesResult } from "../../lib/wire/names.ts";
import type { Referred } from "../../lib/wire/overlay.ts";

const BUSY_SECONDS = 1;

/** A problem for whatever an app throws; what was not expected goes to the log, and nowhere else. */
export function answerError(error: Error, log: Logger): Response {
  if (error instanceof HoldfastError && error.code !== "internal") return problemResponse(problemOf(error));
  log.error({ err: error }, "a request failed unexpectedly");
  return problemResponse(problemOf(new HoldfastError("internal", "the home node failed: its log says why")));
}

export function problemResponse(
  problem: Problem & Partial<Referred> & { results?: NamesResult[] },
  headers: Record<string, string> = {},
): Response {
  const retry: Record<string, string> =
    problem.code === "rate-limited" ? { "Retry-After": String(BUSY_SECONDS) } : {};
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store", ...retry, ...headers },
  });
}
