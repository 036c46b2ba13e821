// /chunk: where chunks are, and where to send new ones. The edge keeps no chunks: it refers.

import { Hono } from "hono";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import {
  CHUNKS_PER_PLAN_MAX,
  type LocateAnswer,
  PLAN_BODY_MAX,
  parseLocateRequest,
  parsePlanRequest,
  REFERRAL_TYPE,
  type Referral,
} from "../../lib/wire.ts";
import { type AppContext, type AppEnv, indexOf, problemResponse, readJson } from "../app.ts";
import { findHolders } from "../chunk-reader.ts";
import { contactOf } from "../index-client.ts";
import { makePlan } from "../plan.ts";

const LOCATE_BODY_MAX = 128 * CHUNKS_PER_PLAN_MAX;

export const chunk = new Hono<AppEnv>()
  .post("/plan", async (c) => {
    const index = indexOf(c);
    const request = parsePlanRequest(await readJson(c, PLAN_BODY_MAX));
    return c.json(await makePlan(c, index, request));
  })
  .post("/locate", async (c) => {
    const { chunks } = parseLocateRequest(await readJson(c, LOCATE_BODY_MAX));
    const holders = await findHolders(indexOf(c), chunks);
    const nodes = new Map([...holders.values()].flat().map((member) => [member.id, contactOf(member)]));
    return c.json<LocateAnswer>({
      chunks: [...holders].map(([hash, members]) => ({ hash, holders: members.map(({ id }) => id) })),
      nodes: [...nodes.values()],
    });
  })
  .get("/:hash", async (c) => {
    const hash = parseHash(c.req.param("hash"));
    const holders = (await findHolders(indexOf(c), [hash])).get(hash) ?? [];
    if (holders.length === 0) return unknownChunk(c, hash);
    if (c.req.header("Accept")?.includes(REFERRAL_TYPE)) {
      const referral: Referral = { hash, holders: holders.map(contactOf) };
      return c.body(JSON.stringify(referral), 200, { ...NO_STORE, "Content-Type": REFERRAL_TYPE });
    }
    const url = holders.find((holder) => holder.online && holder.url !== null)?.url;
    if (url === undefined || url === null) {
      throw new HoldfastError("no-holder", `no holder of chunk ${hash} can be reached now: try again later`);
    }
    return c.body(null, 307, { ...NO_STORE, Location: `${url}/chunk/${hash}` });
  });

const NO_STORE = { "Cache-Control": "no-store", Vary: "Accept" };

/** 404, with the nodes closest to the hash: one of them may know more. */
async function unknownChunk(c: AppContext, hash: Hash): Promise<Response> {
  const closer = (await indexOf(c).closest(hash)).map(contactOf);
  return problemResponse(new HoldfastError("not-found", `nobody is known here to hold chunk ${hash}`), {
    closer,
  });
}
