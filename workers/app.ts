// What every route of the edge shares: the hono app's type, the context of a request, and answers for bytes and
// problems.

import type { Context } from "hono";
import { edgeKey } from "../durable-objects/edge-key.ts";
import type { Env } from "../durable-objects/env.ts";
import { createDomainKeyCache, createDomainKeyResolver, type DomainKeyResolver } from "../lib/domain-keys.ts";
import { HoldfastError } from "../lib/error.ts";
import { PROBLEM_TYPE, problemOf } from "../lib/problem.ts";
import { createFreshQuestions, createSpacedResolver } from "../lib/spaced-resolver.ts";
import { readJsonBody } from "./body.ts";
import { IndexClient } from "./index-client.ts";
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

const domainKeyCache = createDomainKeyCache();
const freshQuestions = createFreshQuestions();

/** A resolver of this request's own, over the isolate's cache: one request must not wait for another's I/O. */
export function resolverOf(c: AppContext): DomainKeyResolver {
  const now = () => Date.now();
  const { dohUrls } = new IndexClient(c.env).settings;
  const resolver = limitQuestions(c, (fetch) =>
    createDomainKeyResolver({ fetch, dohUrls, now, cache: domainKeyCache }),
  );
  return createSpacedResolver(resolver, now, freshQuestions);
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
    "Content-Security-Policy": "default-src 'none'; sandbox",
  });
}

/** A value that must be there. Throws `not-found` with `what` and what to do. */
export function found<T>(value: T | null, what: string): T {
  if (value === null) throw new HoldfastError("not-found", what);
  return value;
}
