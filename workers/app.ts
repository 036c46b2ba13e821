// What every route of the edge shares: the hono app's type, the context of a request, and answers for bytes and
// problems.

import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { readJsonBody } from "../durable-objects/body.ts";
import { edgeKey } from "../durable-objects/edge-key.ts";
import { edgeResolver } from "../durable-objects/edge-resolver.ts";
import type { Env } from "../durable-objects/env.ts";
import { IndexClient } from "../durable-objects/index-client.ts";
import type { DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { PROBLEM_TYPE, problemOf } from "../lib/problem.ts";
import { INERT_POLICY, refuseServiceWorker } from "../lib/user-content.ts";
import { limitQuestions } from "./rate-limits.ts";

export interface AppEnv {
  Bindings: Env;
  Variables: {
    /** Set where a limit refuses the request. */
    retryAfterSeconds?: number;
  };
}

export type AppContext = Context<AppEnv>;

export const IMMUTABLE = "public, max-age=31536000, immutable";

export function indexOf(c: AppContext): IndexClient {
  return new IndexClient(c.env);
}

export function edgeKeyOf(c: AppContext): ReturnType<typeof edgeKey> {
  return edgeKey(c.env.EDGE_KEY);
}

/** This request's own. */
export function resolverOf(c: AppContext): DomainKeyResolver {
  return edgeResolver(indexOf(c), (make) => limitQuestions(c, make));
}

/** The request's JSON body. Throws `body-too-large` or `invalid-request`. */
export function readJson(c: AppContext, maxBytes: number): Promise<unknown> {
  return readJsonBody(c.req.raw, maxBytes);
}

/** `c`'s origin is what a blocked answer says it is blocked by (RFC 7725 4). */
export function problemFor(
  c: AppContext,
  error: HoldfastError,
  extension: Record<string, unknown> = {},
): Response {
  const response = problemResponse(error, extension);
  const retryAfterSeconds = c.get("retryAfterSeconds");
  if (error.code === "rate-limited" && retryAfterSeconds !== undefined)
    response.headers.set("Retry-After", String(retryAfterSeconds));
  if (error.code === "unavailable-for-legal-reasons")
    response.headers.set("Link", `<${new URL(c.req.url).origin}/>; rel="blocked-by"`);
  return response;
}

export function problemResponse(error: HoldfastError, extension: Record<string, unknown> = {}): Response {
  const problem = problemOf(error);
  return new Response(JSON.stringify({ ...problem, ...extension }), {
    status: problem.status,
    headers: {
      "Content-Type": PROBLEM_TYPE,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

/** Headers for what a home node says or holds: no browser may take it for a page, a script or a frame. */
export function untrustedHeaders(type: string, caching: string): Headers {
  return new Headers({
    "Content-Type": type,
    "Cache-Control": caching,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": INERT_POLICY,
  });
}

export function refuseServiceWorkers() {
  return createMiddleware<AppEnv>(async (c, next) => {
    refuseServiceWorker(c.req.raw.headers);
    await next();
  });
}

/** No answer leaves without a policy. */
export function guardOrigin() {
  return createMiddleware<AppEnv>(async (c, next) => {
    await next();
    // A 304 would put its policy in place of the one that the browser has kept.
    if (c.res.status === 101 || c.res.status === 304) return;
    const { headers } = c.res;
    headers.set("X-Content-Type-Options", "nosniff");
    if (!headers.has("Content-Security-Policy")) headers.set("Content-Security-Policy", INERT_POLICY);
  });
}

/** A value that must be there. Throws `not-found` with `what` and what to do. */
export function found<T>(value: T | null, what: string): T {
  if (value === null) throw new HoldfastError("not-found", what);
  return value;
}
