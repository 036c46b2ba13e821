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
import { errorOf, problemOf } from "../../lib/problem.ts";
import { INERT_POLICY, refuseServiceWorker } from "../../lib/user-content.ts";
import {
  NAMES_BODY_MAX,
  type NamesAnswer,
  type NamesResult,
  parseNamesRequest,
} from "../../lib/wire/names.ts";
import { GRANT_HEADER, UPLOAD_HEADER } from "../../lib/wire/signed.ts";
import type { Relay } from "../relay/relay.ts";
import { RELAYED_BYTES_MAX, relayVia, type ViaDeps } from "../relay/via.ts";
import { ByteBudget } from "./byte-budget.ts";
import { putChunkBatch } from "./chunk-batch.ts";
import { type ChunkRoutesDeps, getChunk, putChunk } from "./chunks.ts";
import {
  CONTACTS_AT_ONCE_MAX,
  type ContactRoutesDeps,
  getClosest,
  postContact,
  postProviders,
} from "./contacts.ts";
import { type HoursDeps, refusalOutsideHours } from "./hours.ts";
import { getDigests, getNamesDigests, getNamesPartition, getPartition, getStatement } from "./inventory.ts";
import { acceptNames, answerName, type NamesDeps } from "./names.ts";
import { countIn, type NodeApp, type NodeContext, type NodeEnv, sendWhole } from "./node-context.ts";
import { answerError, problemResponse } from "./problem-response.ts";
import { type PullDeps, pullChunk } from "./pull.ts";
import type { Pace } from "./rate.ts";
import { locateChunks, orCloser, orReferral, type ReferralDeps } from "./referrals.ts";
import { receiveBody, Slots } from "./request-body.ts";

/** Bodies of POST /names in memory at once: 64 MiB. */
export const NAMES_AT_ONCE_MAX = 8;
const PREFLIGHT_SECONDS = 24 * 60 * 60;
const IMMUTABLE = "public, max-age=31536000, immutable";
const SIGNATURE_SUFFIX = ".sig";

export interface NodeAppDeps
  extends NamesDeps,
    ChunkRoutesDeps,
    PullDeps,
    HoursDeps,
    ContactRoutesDeps,
    ReferralDeps {
  /** Paces what comes in. */
  receiving: Pace;
  /** Null where this node relays for no others. */
  relay: Pick<Relay, "opener"> | null;
  status: () => Promise<object>;
  log: Logger;
}

/** Asked about what the node keeps; /status is not what a volunteer serves. */
const COUNTED_PATHS = [
  ...["/chunk/*", "/pull", "/names", "/name/*", "/version/*"],
  ...["/closest/*", "/contact", "/providers"],
];

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
  const contactSlots = new Slots(CONTACTS_AT_ONCE_MAX);
  app.post("/chunk/locate", (c) => contactSlots.use(() => locateChunks(c, deps)));
  for (const path of ["/chunk", "/chunk/*"]) app.use(path, keepHours(deps));
  app.get("/chunk/:hash", (c) => orReferral(c, deps, () => getChunk(c, deps)));
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
  app.post("/contact", (c) => contactSlots.use(() => postContact(c, deps)));
  app.post("/providers", (c) => contactSlots.use(() => postProviders(c, deps)));
  app.get("/version/:id", (c) => getVersion(c, deps));
  app.get("/closest/:hash", (c) => getClosest(c, deps));
  if (deps.relay !== null) relayRoutes(app, deps, deps.relay);
  app.get("/status", async (c) => c.json(await deps.status(), 200, { "Cache-Control": "no-store" }));
  refuseOtherMethods(app);
  app.notFound(() =>
    problemResponse(problemOf(new HoldfastError("not-found", "there is nothing at this path"))),
  );
  app.onError((error) => answerError(error, deps.log));
  return app;
}

function relayRoutes(app: NodeApp, deps: NodeAppDeps, relay: Pick<Relay, "opener">): void {
  const viaDeps: ViaDeps = {
    ...deps,
    openerOf: (node) => relay.opener(node),
    relayedBytes: new ByteBudget(RELAYED_BYTES_MAX),
    onBroken: (error) => deps.log.info({ err: error }, "a relayed node's connection broke off"),
  };
  app.all("/via/*", (c) => relayVia(c, viaDeps));
  // A request that is a WebSocket's never comes here.
  app.get("/node", () => {
    throw new HoldfastError("invalid-request", "open a WebSocket here to be relayed for");
  });
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
function keepHours(deps: NodeAppDeps) {
  return createMiddleware<NodeEnv>(async (c, next) => {
    const refusal = c.req.raw.method === "HEAD" ? null : refusalOutsideHours(deps);
    return refusal ?? next();
  });
}

function isReading({ req: { method } }: NodeContext): boolean {
  return method === "GET" || method === "HEAD";
}

function refuseOtherMethods(app: NodeApp): void {
  const allowed: Record<string, string> = {
    "/chunk": "PUT",
    "/chunk/locate": "POST",
    "/chunk/:hash": "GET, HEAD, PUT",
    "/names": "POST",
    "/name/:nameHash": "GET, HEAD",
    "/version/:id": "GET, HEAD",
    "/closest/:hash": "GET, HEAD",
    "/contact": "POST",
    "/providers": "POST",
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
  const after = before === undefined ? null : parseHash(before);
  return orCloser(nameHash, deps, async () => {
    const answer = await answerName(nameHash, parseDomain(domain), after, deps);
    const headers = { "Cache-Control": "no-cache", "Content-Type": "application/json" };
    return sendWhole(c, JSON.stringify(answer), headers, deps);
  });
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
