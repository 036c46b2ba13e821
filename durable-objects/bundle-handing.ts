// A home node that is given a copy of a Manifest is handed the statements that name it, as a publisher hands them to the first
// holders: a name is found without an edge, and an index comes back, from whoever holds the Manifests.

import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { errorOf } from "../lib/problem.ts";
import {
  type NamesResult,
  type PostedJson,
  parseNamesAnswer,
  STATEMENTS_PER_POST_MAX,
} from "../lib/wire/names.ts";
import { parseProblem, SMALL_ANSWER_MAX } from "../lib/wire/problem.ts";
import { readJsonBody } from "./body.ts";
import type { IndexClient } from "./index-client.ts";
import { orAfter } from "./patience.ts";

/** Names of one Manifest whose statements are handed over: a domain may publish one content under many. */
export const BUNDLED_NAMES_MAX = 16;
/** The node asks DNS before it answers. */
export const BUNDLE_PATIENCE_MS = 60_000;

/**
 * Hands over what names the Manifest `chunk`; nothing where it is none. What the node refuses it refuses for good. Throws
 * `unreachable` where it does not answer: it is then no holder yet.
 */
export async function handBundles(
  sql: SqlStorage,
  index: IndexClient,
  chunk: Hash,
  node: NodeId,
): Promise<void> {
  for (const name of namesOf(sql, chunk)) {
    const statements = await index.bundlesOf({ ...name, manifest: chunk });
    for (let at = 0; at < statements.length; at += STATEMENTS_PER_POST_MAX)
      await post(index, node, statements.slice(at, at + STATEMENTS_PER_POST_MAX));
  }
}

function namesOf(sql: SqlStorage, manifest: Hash): { domain: Domain; nameHash: Hash }[] {
  return sql
    .exec<{ domain: Domain; nameHash: Hash }>(
      `SELECT DISTINCT domain, name_hash AS nameHash FROM refs WHERE chunk = ? AND manifest = ? LIMIT ${BUNDLED_NAMES_MAX}`,
      manifest,
      manifest,
    )
    .toArray();
}

async function post(index: IndexClient, node: NodeId, statements: PostedJson[]): Promise<void> {
  const patience = new AbortController();
  const asked = ask(index, node, statements, patience.signal);
  await orAfter(asked, BUNDLE_PATIENCE_MS);
  patience.abort(new HoldfastError("timeout", `${node} did not answer in time`));
  for (const result of await asked)
    if (result.status === "refused")
      console.warn(`${node} does not take a statement: ${result.problem.detail}`);
}

async function ask(
  index: IndexClient,
  node: NodeId,
  statements: PostedJson[],
  signal: AbortSignal,
): Promise<NamesResult[]> {
  const response = await index.link(node).fetch("http://link.invalid/names", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ statements, receipts: [] }),
    redirect: "manual",
    signal,
  });
  const body = await readJsonBody(response, SMALL_ANSWER_MAX);
  if (response.status === 200) return parseNamesAnswer(body).results;
  const error = errorOf(parseProblem(body));
  if (response.status >= 500) throw error;
  console.warn(`${node} takes no statements: ${error.message}`);
  return [];
}
