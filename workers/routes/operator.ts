// POST /operator/denials: what an operator blocks, allows again, and asks for the list of. POST /operator/split: the shards that
// an operator has divided. By a signed statement of a key in OPERATOR_KEYS.

import { Hono } from "hono";
import {
  type DenialsAnswer,
  type OperatorStatement,
  subjectHash,
  verifyOperatorStatement,
} from "../../lib/denial.ts";
import { HoldfastError } from "../../lib/error.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { parseWith } from "../../lib/schema.ts";
import type { VerifiedStatement } from "../../lib/statement.ts";
import type { SplitAnswer } from "../../lib/wire/operator.ts";
import { parseSigned, signedSchema } from "../../lib/wire/signed.ts";
import { type AppContext, type AppEnv, edgeKeyOf, indexOf, readJson } from "../app.ts";
import { dropFromCache } from "../chunk-cache.ts";
import { refreshDenylist } from "../denylist.ts";

const OPERATOR_BODY_MAX = 32 * 1024;

export const operator = new Hono<AppEnv>()
  .post("/denials", async (c) => {
    const index = indexOf(c);
    const { id, body } = await readStatement(c);
    const { change } = body;
    if (change.action === "split") throw elsewhere("/operator/split");
    if (change.action !== "list") subjectHash(change.subject);
    const result = await index.root().changeDenials(id, change);
    if (result.status === "refused") throw new HoldfastError(result.code, result.detail);
    await refreshDenylist(index);
    if (change.action === "deny") dropFromCache(subjectHash(change.subject));
    c.header("Cache-Control", "no-store");
    return c.json<DenialsAnswer>({ changed: result.changed, denials: result.denials });
  })
  .post("/split", async (c) => {
    const index = indexOf(c);
    const { id, body } = await readStatement(c);
    const { change } = body;
    if (change.action !== "split") throw elsewhere("/operator/denials");
    if (!(await index.root().takeStatement(id)))
      throw new HoldfastError("statement-replayed", "this statement was carried out already");
    c.header("Cache-Control", "no-store");
    return c.json<SplitAnswer>({ shards: await index.split(change.prefix) });
  });

/** Verified: said by an operator of this edge, just now. */
async function readStatement(c: AppContext): Promise<VerifiedStatement<OperatorStatement>> {
  const { operatorKeys } = indexOf(c).settings;
  const signed = parseSigned(
    parseWith(signedSchema, await readJson(c, OPERATOR_BODY_MAX), "invalid-request"),
  );
  return verifyOperatorStatement(signed, {
    edge: (await edgeKeyOf(c)).id,
    isOperator: (key) => operatorKeys.has(formatPublicKeyText(key)),
    nowMs: Date.now(),
  });
}

function elsewhere(path: string): HoldfastError {
  return new HoldfastError("invalid-request", `this statement is for ${path}`);
}
