// POST /names: up to 100 signed Versions and Removals at once. A Version is acknowledged only when its Manifest and chunks are
// held as its redundancy asks, and the index write is durable.

import { Hono } from "hono";
import type { Domain } from "../../lib/names.ts";
import { errorOf } from "../../lib/problem.ts";
import { NAMES_BODY_MAX, type NamesAnswer, parseNamesRequest } from "../../lib/wire/names.ts";
import { type AppEnv, edgeKeyOf, indexOf, problemFor, readJson, resolverOf } from "../app.ts";
import { commitStatements } from "../commit.ts";
import { spendDomain } from "../rate-limits.ts";

export const names = new Hono<AppEnv>().post("/", async (c) => {
  const request = parseNamesRequest(await readJson(c, NAMES_BODY_MAX));
  const admit = (domain: Domain) => spendDomain(c, domain);
  const results = await commitStatements(indexOf(c), resolverOf(c), await edgeKeyOf(c), request, admit);
  const [first] = results;
  if (first?.status === "refused" && results.every(({ status }) => status === "refused")) {
    return problemFor(c, errorOf(first.problem), { results });
  }
  return c.json<NamesAnswer>({ results });
});
