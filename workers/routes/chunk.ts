// /chunk: where chunks are, and where to send new ones. The edge holds hot chunks only, and refers to holders for others.

import { Hono } from "hono";
import { contactOf } from "../../durable-objects/index-client.ts";
import { KEPT_BODY_MAX } from "../../lib/durability/kept.ts";
import { isDelisted } from "../../lib/durability/standing.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, type NodeId, parseHash } from "../../lib/hash.ts";
import { INVENTORY_BODY_MAX } from "../../lib/inventory.ts";
import { isServingAt } from "../../lib/pledge.ts";
import {
  CHUNKS_PER_PLAN_MAX,
  type LocateAnswer,
  PLAN_BODY_MAX,
  parseLocateRequest,
  parsePlanRequest,
  parseSuspectRequest,
  REFERRAL_TYPE,
  type Referral,
  SUSPECTS_PER_POST_MAX,
  type SuspectAnswer,
} from "../../lib/wire/chunks.ts";
import { PEER_HEADER } from "../../lib/wire/peers.ts";
import {
  type AppContext,
  type AppEnv,
  IMMUTABLE,
  indexOf,
  problemResponse,
  readJson,
  untrustedHeaders,
} from "../app.ts";
import { dropFromCache, hotChunk } from "../chunk-cache.ts";
import { findHolders, findOwnHolders, type Holder, viaUrl } from "../chunk-reader.ts";
import { denylist } from "../denylist.ts";
import { answerInventory, answerKept } from "../node-questions.ts";
import { wantsReferral } from "../object-referral.ts";
import { makePlan } from "../plan.ts";

const LOCATE_BODY_MAX = 128 * CHUNKS_PER_PLAN_MAX;
const SUSPECT_BODY_MAX = 256 * SUSPECTS_PER_POST_MAX;

export const chunk = new Hono<AppEnv>()
  .post("/plan", async (c) => {
    const index = indexOf(c);
    const request = parsePlanRequest(await readJson(c, PLAN_BODY_MAX));
    return c.json(await makePlan(c, index, request));
  })
  .post("/locate", async (c) => {
    const { chunks } = parseLocateRequest(await readJson(c, LOCATE_BODY_MAX));
    // A peer that asks is told of what is known here, and asks the others itself.
    const find = c.req.header(PEER_HEADER) === undefined ? findHolders : findOwnHolders;
    const holders = await find(
      indexOf(c),
      chunks.filter((hash) => !denylist().has(hash)),
    );
    const nodes = new Map([...holders.values()].flat().map((member) => [member.id, member]));
    return c.json<LocateAnswer>({
      // What is blocked is nowhere.
      chunks: chunks.map((hash) => ({ hash, holders: (holders.get(hash) ?? []).map(({ id }) => id) })),
      nodes: [...nodes.values()].map(contactOf),
      online: [...nodes.values()].flatMap(({ id, online }) => (online ? [id] : [])),
      checked: chunks.map((hash) => (holders.get(hash) ?? []).map(({ checkedMs }) => timeOf(checkedMs))),
      resting: restingOf(nodes.values()),
    });
  })
  .post("/suspect", async (c) => {
    const { chunks } = parseSuspectRequest(await readJson(c, SUSPECT_BODY_MAX));
    const noted = await indexOf(c).suspect(chunks.map(({ hash, node }) => ({ chunk: hash, node })));
    return c.json<SuspectAnswer>({ noted }, 202);
  })
  .post("/needed", async (c) => {
    c.header("Cache-Control", "no-store");
    return c.json(await answerInventory(c, await readJson(c, INVENTORY_BODY_MAX)));
  })
  .post("/kept", async (c) => c.json(await answerKept(c, await readJson(c, KEPT_BODY_MAX))))
  .get("/:hash", async (c) => {
    const hash = parseHash(c.req.param("hash"));
    checkAllowed(hash);
    if (wantsReferral(c.req.header("Accept"))) return refer(c, hash);
    const hot = await hotChunk(hash);
    return hot === null ? redirect(c, hash) : dataOf(c, hash, hot);
  });

function restingOf(members: Iterable<Holder>): NodeId[] {
  return [...members].filter(({ hours }) => !isServingAt(hours, Date.now())).map(({ id }) => id);
}

/** Throws where it is blocked; a copy that is still in this data centre's cache goes. */
function checkAllowed(hash: Hash): void {
  if (denylist().has(hash)) dropFromCache(hash);
  denylist().check(hash);
}

function timeOf(ms: number): string | null {
  return ms <= 0 ? null : new Date(ms).toISOString();
}

const NO_STORE = { "Cache-Control": "no-store", Vary: "Accept" };

function dataOf(c: AppContext, hash: Hash, bytes: Uint8Array<ArrayBuffer>): Response {
  const headers = untrustedHeaders("application/octet-stream", IMMUTABLE);
  headers.set("ETag", `"${hash}"`);
  headers.set("Vary", "Accept");
  headers.set("Content-Length", String(bytes.length));
  return new Response(c.req.method === "HEAD" ? null : bytes, { headers });
}

async function refer(c: AppContext, hash: Hash): Promise<Response> {
  const holders = await holdersOf(c, hash);
  if (holders.length === 0) return unknownChunk(c, hash);
  const referral: Referral = { hash, holders: holders.map(contactOf) };
  return c.body(JSON.stringify(referral), 200, { ...NO_STORE, "Content-Type": REFERRAL_TYPE });
}

/** To a holder's own URL where one has it, which costs the edge nothing more; else through a tunnel. */
async function redirect(c: AppContext, hash: Hash): Promise<Response> {
  const holders = await holdersOf(c, hash);
  if (holders.length === 0) return unknownChunk(c, hash);
  const online = holders.filter((holder) => holder.online && isServingAt(holder.hours, Date.now()));
  const relied = online.filter(({ standing }) => !isDelisted(standing));
  const holder = relied.find(({ url }) => url !== null) ?? relied[0] ?? online[0];
  if (holder === undefined) {
    throw new HoldfastError("no-holder", `no holder of chunk ${hash} can be reached now: try again later`);
  }
  const base = holder.url ?? viaUrl(holder.relays[0] ?? new URL(c.req.url).origin, holder.id);
  return c.body(null, 307, { ...NO_STORE, Location: `${base}/chunk/${hash}` });
}

async function holdersOf(c: AppContext, hash: Hash): Promise<Holder[]> {
  return (await findHolders(indexOf(c), [hash])).get(hash) ?? [];
}

/** 404, with the nodes closest to the hash: one of them may know more. */
async function unknownChunk(c: AppContext, hash: Hash): Promise<Response> {
  const closer = (await indexOf(c).closest(hash)).map(contactOf);
  return problemResponse(new HoldfastError("not-found", `nobody is known here to hold chunk ${hash}`), {
    closer,
  });
}
