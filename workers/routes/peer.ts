// What other edges ask of this one, and hand on to it. POST /peer/names takes statements in that a peer has accepted;
// GET /peer/name/<nameHash> gives a name's statements with all that it takes to do so.

import { Hono } from "hono";
import { HoldfastError } from "../../lib/error.ts";
import { parseHash } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { parseVersion } from "../../lib/version.ts";
import {
  NAMES_BODY_MAX,
  type NamesAnswer,
  type NamesResult,
  type PostedJson,
  parseNamesRequest,
} from "../../lib/wire/names.ts";
import type { PeerNameAnswer } from "../../lib/wire/peers.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import { type AppContext, type AppEnv, indexOf, readJson } from "../app.ts";
import { denylist } from "../denylist.ts";
import { lacksPrevious, type Name, pullName, takingInFor } from "../pull-name.ts";
import { type TakingIn, takeIn } from "../take-in.ts";

/** Names whose history one request may have asked for, because it lacks what a Version follows. */
export const NAMES_PULLED_PER_POST_MAX = 8;

export const peer = new Hono<AppEnv>()
  .post("/names", async (c) => {
    const { statements } = parseNamesRequest(await readJson(c, NAMES_BODY_MAX));
    checkHasPeers(c);
    return c.json<NamesAnswer>({ results: await takeWithHistory(statements, await takingInFor(c)) });
  })
  .get("/name/:nameHash", async (c) => {
    const nameHash = parseHash(c.req.param("nameHash"));
    const domain = parseDomain(c.req.query("domain") ?? "");
    denylist().checkName(domain, nameHash);
    const known = c.req.query("known");
    c.header("Cache-Control", "no-store");
    return c.json<PeerNameAnswer>(
      await indexOf(c)
        .shardOf(nameHash)
        .bundles({
          domain,
          nameHash,
          from: parseSequence(c.req.query("from") ?? "1"),
          known: known === undefined ? null : parseHash(known),
        }),
    );
  });

function checkHasPeers(c: AppContext): void {
  if (indexOf(c).settings.peerEdges.length === 0)
    throw new HoldfastError("not-found", "this edge has no peers: publish at /names");
}

function parseSequence(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new HoldfastError("invalid-request", "from is the lowest sequence that is asked for");
}

/** What follows a Version that is not here is taken in with the history that peers have of the name. */
async function takeWithHistory(statements: PostedJson[], deps: TakingIn): Promise<NamesResult[]> {
  const results = await takeIn(statements, deps);
  const orphans = statements.flatMap((posted, i) => (lacksPrevious(results[i]) ? [{ posted, i }] : []));
  const names = new Map(orphans.flatMap(({ posted }) => nameOf(posted)).map((name) => [keyOf(name), name]));
  for (const name of [...names.values()].slice(0, NAMES_PULLED_PER_POST_MAX)) await pullName(name, deps);
  if (orphans.length === 0) return results;
  const again = await takeIn(
    orphans.map(({ posted }) => posted),
    deps,
  );
  for (const [k, { i }] of orphans.entries()) {
    const result = again[k];
    if (result !== undefined) results[i] = result;
  }
  return results;
}

function nameOf(posted: PostedJson): Name[] {
  if (!("version" in posted)) return [];
  const { domain, nameHash } = parseVersion(parseSigned(posted.version).bytes);
  return [{ domain, nameHash }];
}

function keyOf({ domain, nameHash }: Name): string {
  return `${domain} ${nameHash}`;
}
