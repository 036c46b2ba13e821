// POST /operator/denials: what an operator blocks, allows again, and asks for the list of; by a signed statement of a key in
// OPERATOR_KEYS.

import { Hono } from "hono";
import { type DenialsAnswer, subjectHash, verifyOperatorStatement } from "../../lib/denial.ts";
import { HoldfastError } from "../../lib/error.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { parseWith } from "../../lib/schema.ts";
import { parseSigned, signedSchema } from "../../lib/wire/signed.ts";
import { type AppEnv, edgeKeyOf, indexOf, readJson } from "../app.ts";
import { dropFromCache } from "../chunk-cache.ts";
import { refreshDenylist } from "../denylist.ts";

const OPERATOR_BODY_MAX = 32 * 1024;

export const operator = new Hono<AppEnv>().post("/denials", async (c) => {
  const index = indexOf(c);
  const { operatorKeys } = index.settings;
  const signed = parseSigned(
    parseWith(signedSchema, await readJson(c, OPERATOR_BODY_MAX), "invalid-request"),
  );
  const { id, body } = await verifyOperatorStatement(signed, {
    edge: (await edgeKeyOf(c)).id,
    isOperator: (key) => operatorKeys.has(formatPublicKeyText(key)),
    nowMs: Date.now(),
  });
  const { change } = body;
  if (change.action !== "list") subjectHash(change.subject);
  const result = await index.root().changeDenials(id, change);
  if (result.status === "refused") throw new HoldfastError(result.code, result.detail);
  await refreshDenylist(index);
  if (change.action === "deny") dropFromCache(subjectHash(change.subject));
  c.header("Cache-Control", "no-store");
  return c.json<DenialsAnswer>({ changed: result.changed, denials: result.denials });
});
