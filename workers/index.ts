// The edge: routes, one error map, and the Durable Objects' exports. Stateless: everything it knows is in the shards.

import { Hono } from "hono";
import { cors } from "hono/cors";
import { HoldfastError } from "../lib/error.ts";
import { type AppEnv, guardOrigin, problemFor, problemResponse, refuseServiceWorkers } from "./app.ts";
import { keepDenylistFresh } from "./denylist.ts";
import { limitRates } from "./rate-limits.ts";
import { chunk } from "./routes/chunk.ts";
import { name } from "./routes/name.ts";
import { names } from "./routes/names.ts";
import { network } from "./routes/network.ts";
import { obj } from "./routes/obj.ts";
import { operator } from "./routes/operator.ts";
import { page } from "./routes/page.ts";
import { peer } from "./routes/peer.ts";
import { version } from "./routes/version.ts";
import { via } from "./routes/via.ts";

export { NodeLink } from "../durable-objects/node-link.ts";
export { PartitionShard } from "../durable-objects/partition-shard.ts";

const app = new Hono<AppEnv>()
  .use(
    cors({
      origin: "*",
      allowMethods: ["GET", "HEAD", "POST", "PUT"],
      exposeHeaders: [
        "Content-Length",
        "Content-Range",
        "ETag",
        "Repr-Digest",
        "Holdfast-Version",
        "Retry-After",
        "Link",
      ],
      maxAge: 86_400,
    }),
  )
  .use(guardOrigin())
  .use(refuseServiceWorkers())
  .use(limitRates)
  .use("/obj/*", keepDenylistFresh)
  .use("/name/*", keepDenylistFresh)
  .use("/names", keepDenylistFresh)
  .use("/version/*", keepDenylistFresh)
  .use("/chunk/*", keepDenylistFresh)
  .use("/via/*", keepDenylistFresh)
  .use("/peer/*", keepDenylistFresh)
  .use("/status", keepDenylistFresh)
  .route("/obj", obj)
  .route("/name", name)
  .route("/names", names)
  .route("/version", version)
  .route("/chunk", chunk)
  .route("/via", via)
  .route("/peer", peer)
  .route("/operator", operator)
  .route("/", network)
  .route("/", page);

// A path that exists, asked with a method that it does not have.
const READ_ONLY = [
  "/obj/*",
  "/name/*",
  "/peer/name/*",
  "/version/*",
  "/closest/*",
  "/domain/*",
  "/node",
  "/status",
  "/",
];
app.all("/name/lookup", () => methodNotAllowed("POST"));
for (const path of READ_ONLY) app.all(path, () => methodNotAllowed("GET, HEAD"));
app.all("/operator/denials", () => methodNotAllowed("POST"));
app.all("/peer/names", () => methodNotAllowed("POST"));
app.all("/operator/split", () => methodNotAllowed("POST"));
app.all("/names", () => methodNotAllowed("POST"));
app.all("/chunk/plan", () => methodNotAllowed("POST"));
app.all("/chunk/kept", () => methodNotAllowed("POST"));
app.all("/chunk/locate", () => methodNotAllowed("POST"));
app.all("/chunk/needed", () => methodNotAllowed("POST"));
app.all("/chunk/:hash", () => methodNotAllowed("GET, HEAD"));

function methodNotAllowed(allowed: string): Response {
  const response = problemResponse(new HoldfastError("method-not-allowed", `use ${allowed} here`));
  response.headers.set("Allow", allowed);
  return response;
}

app.notFound((c) => problemResponse(new HoldfastError("not-found", `there is nothing at ${c.req.path}`)));

app.onError((error, c) => {
  if (error instanceof HoldfastError) return problemFor(c, error);
  console.error(error);
  return problemResponse(new HoldfastError("internal", "the edge failed; the operator's log says why"));
});

export default app;
