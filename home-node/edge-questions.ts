// Asks one edge about chunks that the node holds: which of them it still needs, and which of them others keep. Anything but a
// whole answer about exactly these chunks throws.

import type * as v from "valibot";
import { requestJson } from "../lib/client/request.ts";
import type { DeadlineLimits } from "../lib/deadline.ts";
import { type KeptChunk, keptKind, parseKeptAnswer } from "../lib/durability/kept.ts";
import type { Fetch } from "../lib/fetch.ts";
import type { Hash } from "../lib/hash.ts";
import { type InventoryChunk, inventoryKind, parseInventoryAnswer } from "../lib/inventory.ts";
import { type StatementKind, signStatement } from "../lib/statement.ts";
import { formatSigned } from "../lib/wire/signed.ts";
import type { Clock } from "./clock.ts";
import type { Identity } from "./identity.ts";

/** The edge asks the shard of every chunk. */
const LIMITS: DeadlineLimits = { idleMs: 60_000, totalMs: 120_000 };

/** An edge that the node is linked with. */
export interface LinkedEdge {
  /** As configured. */
  url: string;
  /** Its id, as it said on the link. */
  edge: Hash;
}

export interface QuestionDeps {
  identity: Identity;
  clock: Clock;
  fetch: Fetch;
  signal: AbortSignal;
}

/** Those of the chunks that the edge lets go of. */
export async function askReleased(
  edge: LinkedEdge,
  chunks: InventoryChunk[],
  deps: QuestionDeps,
): Promise<ReadonlySet<Hash>> {
  const asked = chunks.map(({ hash }) => hash);
  const body = { type: inventoryKind.type, ...signingFields(edge, deps), chunks };
  const parse = (value: unknown) => parseInventoryAnswer(value, asked);
  const answer = await ask(edge, "/chunk/needed", inventoryKind, body, parse, deps);
  return new Set(answer.chunks.flatMap(({ hash, state }) => (state === "released" ? [hash] : [])));
}

/** On how many failure domains the chunks are without this node. */
export async function askKept(edge: LinkedEdge, chunks: Hash[], deps: QuestionDeps): Promise<KeptChunk[]> {
  const body = { type: keptKind.type, ...signingFields(edge, deps), chunks };
  const parse = (value: unknown) => parseKeptAnswer(value, chunks);
  return (await ask(edge, "/chunk/kept", keptKind, body, parse, deps)).chunks;
}

function signingFields({ edge }: LinkedEdge, { identity, clock }: QuestionDeps) {
  return { node: identity.id, edge, time: new Date(clock.now()).toISOString() };
}

async function ask<S extends v.GenericSchema<unknown, { type: string }>, T>(
  { url }: LinkedEdge,
  path: string,
  kind: StatementKind<S>,
  body: v.InferOutput<S>,
  parse: (value: unknown) => T,
  { identity, fetch, signal }: QuestionDeps,
): Promise<T> {
  const question = await signStatement(kind, body, identity.signer);
  return requestJson(fetch, `${url.replace(/\/$/, "")}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(formatSigned(question)),
    limits: LIMITS,
    signal,
    parse,
  });
}
