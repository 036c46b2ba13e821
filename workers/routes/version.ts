// GET /version/<id> and /version/<id>.sig: the raw statement, a Version's or a Removal's, and its armored signature, for ssh-keygen -Y verify.

import { Hono } from "hono";
import type { IndexClient } from "../../durable-objects/index-client.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import type { SignedStatement } from "../../lib/statement.ts";
import { type AppEnv, found, IMMUTABLE, indexOf } from "../app.ts";
import { denylist } from "../denylist.ts";

export const version = new Hono<AppEnv>().get("/:file", async (c) => {
  const file = c.req.param("file");
  const isSignature = file.endsWith(".sig");
  const id = parseHash(isSignature ? file.slice(0, -".sig".length) : file);
  const statement = found(await findStatement(indexOf(c), id), `no statement ${id} is known here`);
  const headers = {
    "Content-Type": isSignature ? "text/plain; charset=utf-8" : "application/json",
    "Cache-Control": IMMUTABLE,
    "X-Content-Type-Options": "nosniff",
  };
  return c.body(isSignature ? statement.signature : statement.bytes, 200, headers);
});

async function findStatement(index: IndexClient, id: Hash): Promise<SignedStatement | null> {
  denylist().check(id);
  const place = await index.shardOf(id).findStatement(id);
  if (place !== null) denylist().checkName(place.domain, place.nameHash);
  return place === null ? null : index.shardOf(place.nameHash).statement(id);
}
