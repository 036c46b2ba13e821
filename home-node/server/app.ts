// The home node's HTTP protocol, as one function from Request to Response: the listener calls it, and so can
// whatever carries a request through a tunnel. Nothing here knows of sockets.

import { Hono } from "hono";
import { cors } from "hono/cors";
import { createMiddleware } from "hono/factory";
import type { Logger } from "pino";
import { parseJson } from "../../lib/canonical-json.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { formatHours, msUntilServing, type PledgeHours } from "../../lib/pledge.ts";
import { errorOf, problemOf } from "../../lib/problem.ts";
import { INERT_POLICY, refuseServiceWorker } from "../../lib/user-content.ts";
import {
  NAMES_BODY_MAX,
  type NamesAnswer,
  type NamesResult,
  parseNamesRequest,
} from "../../lib/wire/names.ts";
import type { ClosestAnswer } from "../../lib/wire/nodes.ts";
import { GRANT_HEADER, UPLOAD_HEADER } from "../../lib/wire/signed.ts";
import type { RoutingTable } from "../routing-table.ts";
import { putChunkBatch } from "./chunk-batch.ts";
import { type ChunkRoutesDeps, getChunk, putChunk } from "./chunks.ts";
import { getDigests, getNamesDigests, getNamesPartition, getPartition, getStatement } from "./inventory.ts";
import { acceptNames, answerName, type NamesDeps } from "./names.ts";
import { countIn, countOut, type NodeApp, type NodeContext, type NodeEnv } from "./node-context.ts";
import { answerError, problemResponse } from "./problem-response.ts";
import { type PullDeps, pullChunk } from "./pull.ts";
import type { Pace } from "./rate.ts";
import { receiveBody, Slots } from "./request-body.ts";

/** Bodies of POST /names in memory at once: 64 MiB. */
export const NAMES_AT_ONCE_MAX = 8;
const PREFLIGHT_SECONDS = 24 * 60 * 60;
const IMMUTABLE = "public, max-age=31536000, immutable";
const SECOND_MS = 1000;
const SIGNATURE_SUFFIX = ".sig";

export interface NodeAppDeps extends NamesDeps, ChunkRoutesDeps, PullDeps {
  contacts: RoutingTable;
  /** Paces what comes in. */
  receiving: Pace;
  /** When the node moves chunks for strangers; null: always. */
  hours: PledgeHours | null;
  status: () => Promise<object>;
  log: Logger;
}

/** Asked about what the node keeps; /status is not what a volunteer serves. */
const COUNTED_PATHS = ["/chunk/*", "/pull", "/names", "/name/*", "/version/*", "/closest/*"];

export function createNodeApp(deps: NodeAppDeps): NodeApp {
  const app = new Hono<NodeEnv>();
  const namesSlots = new Slots(NAMES_AT_ONCE_MAX);
  app.use(allowBrowsers());
  app.use(async (c, next) => {
    await next();
    guardContent(c);
  });
  app.use(async (c, next) => {
    refuseServiceWorker(c.req.raw.headers);
    await next();
  });
  for (const path of COUNTED_PATHS) app.use(path, countRequests(deps));
  for (const path of ["/chunk", "/chunk/*"]) app.use(path, keepHours(deps));
  app.get("/chunk/:hash", (c) => getChunk(c, deps));
  app.put("/chunk", (c) => putChunkBatch(c, deps));
  app.put("/chunk/:hash", (c) => putChunk(c, deps));
  app.post("/pull", (c) => pullChunk(c, deps));
  app.get("/inventory", (c) => getDigests(c, deps));
  app.get("/inventory/names", (c) => getNamesDigests(c, deps));
  app.get("/inventory/names/:partition", (c) => getNamesPartition(c, deps));
  app.get("/inventory/statement/:id", (c) => getStatement(c, deps));
  app.get("/inventory/:partition", (c) => getPartition(c, deps));
  app.post("/names", (c) => namesSlots.use(() => postNames(c, deps)));
  app.get("/name/:nameHash", (c) => getName(c, deps));
  app.get("/version/:id", (c) => getVersion(c, deps));
  app.get("/closest/:hash", (c) => getClosest(c, deps));
  app.get("/status", async (c) => c.json(await deps.status(), 200, { "Cache-Control": "no-store" }));
  refuseOtherMethods(app);
  app.notFound(() =>
    problemResponse(problemOf(new HoldfastError("not-found", "there is nothing at this path"))),
  );
  app.onError((error) => answerError(error, deps.log));
  return app;
}

function allowBrowsers() {
  return cors({
    origin: "*",
    allowMethods: ["GET", "HEAD", "PUT", "POST"],
    allowHeaders: ["Content-Type", GRANT_HEADER, UPLOAD_HEADER],
    maxAge: PREFLIGHT_SECONDS,
  });
}

/** What a volunteer serves is strangers' bytes: no browser may take them for a page, a script or a frame. */
function guardContent(c: NodeContext): void {
  c.res.headers.set("X-Content-Type-Options", "nosniff");
  c.res.headers.set("Content-Security-Policy", INERT_POLICY);
}

/** Those that were answered: what was refused is no traffic that the volunteer carried. */
function countRequests({ counters }: NodeAppDeps) {
  return createMiddleware<NodeEnv>(async (c, next) => {
    await next();
    if (!c.res.ok) return;
    const direction = isReading(c) ? "out" : "in";
    counters.count(c.env.way, direction, { requests: 1 });
  });
}

/** Outside of its hours the node moves nobody's chunks, either way; what is small is answered. */
function keepHours({ hours, clock }: NodeAppDeps) {
  return createMiddleware<NodeEnv>(async (c, next) => {
    const waitMs = msUntilServing(hours, clock.now());
    if (waitMs === 0 || hours === null || c.req.raw.method === "HEAD") return next();
    const error = new HoldfastError("outside-hours", `this home node serves from ${formatHours(hours)} UTC`);
    const seconds = Math.ceil(waitMs / SECOND_MS);
    return problemResponse(problemOf(error), { "Retry-After": String(seconds) });
  });
}

function isReading({ req: { method } }: NodeContext): boolean {
  return method === "GET" || method === "HEAD";
}

function refuseOtherMethods(app: NodeApp): void {
  const allowed: Record<string, string> = {
    "/chunk": "PUT",
    "/chunk/:hash": "GET, HEAD, PUT",
    "/names": "POST",
    "/name/:nameHash": "GET, HEAD",
    "/version/:id": "GET, HEAD",
    "/closest/:hash": "GET, HEAD",
    "/status": "GET, HEAD",
  };
  for (const [path, methods] of Object.entries(allowed)) {
    app.all(path, () => {
      const error = new HoldfastError("method-not-allowed", `allowed here: ${methods}`);
      return problemResponse(problemOf(error), { Allow: methods });
    });
  }
}

async function postNames(c: NodeContext, deps: NodeAppDeps): Promise<Response> {
  const limit = { maxBytes: NAMES_BODY_MAX, code: "body-too-large" } as const;
  const body = await receiveBody(c.req.raw, limit, countIn(c, deps.counters, deps.receiving));
  const results = await acceptNames(parseNamesRequest(parseJson(body, NAMES_BODY_MAX)), deps);
  const refusal = allRefused(results);
  if (refusal !== null) return problemResponse({ ...problemOf(refusal), results });
  const answer: NamesAnswer = { results };
  return c.json(answer);
}

/** The first refusal, where there is nothing else. */
function allRefused(results: NamesResult[]): HoldfastError | null {
  const refusals = results.flatMap((result) => (result.status === "refused" ? [result.problem] : []));
  const first = refusals[0];
  return first === undefined || refusals.length < results.length ? null : errorOf(first);
}

async function getName(c: NodeContext, deps: NodeAppDeps): Promise<Response> {
  const domain = c.req.query("domain");
  const before = c.req.query("before");
  if (domain === undefined) throw new HoldfastError("invalid-request", "the domain parameter is missing");
  const nameHash = parseHash(c.req.param("nameHash"));
  deps.denied.check(nameHash);
  const answer = await answerName(
    nameHash,
    parseDomain(domain),
    before === undefined ? null : parseHash(before),
    deps,
  );
  const headers = { "Cache-Control": "no-cache", "Content-Type": "application/json" };
  return sendWhole(c, JSON.stringify(answer), headers, deps);
}

async function getVersion(c: NodeContext, deps: NodeAppDeps): Promise<Response> {
  const file = c.req.param("id") ?? "";
  const wantsSignature = file.endsWith(SIGNATURE_SUFFIX);
  const id: Hash = parseHash(wantsSignature ? file.slice(0, -SIGNATURE_SUFFIX.length) : file);
  deps.denied.check(id);
  const kept = deps.removals.get(id) ?? (await deps.statements.get(id));
  if (kept === null) throw new HoldfastError("not-found", "this home node does not keep this Version");
  const headers = { "Cache-Control": IMMUTABLE, ETag: `"${file}"` };
  return wantsSignature
    ? sendWhole(c, kept.signature, { ...headers, "Content-Type": "text/plain; charset=utf-8" }, deps)
    : sendWhole(c, kept.bytes, { ...headers, "Content-Type": "application/json" }, deps);
}

function getClosest(c: NodeContext, deps: NodeAppDeps): Response {
  const answer: ClosestAnswer = { nodes: deps.contacts.closest(parseHash(c.req.param("hash"))) };
  const headers = { "Cache-Control": "no-store", "Content-Type": "application/json" };
  return sendWhole(c, JSON.stringify(answer), headers, deps);
}

/** Answers that are small, and in memory. */
function sendWhole(
  c: NodeContext,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
  { counters }: NodeAppDeps,
): Response {
  if (c.req.method !== "HEAD") countOut(c, counters)(Buffer.byteLength(body));
  return c.body(body, 200, headers);
}
