// Asks one edge which of the node's chunks it still needs. Anything but a whole answer about exactly these chunks throws:
// whoever asks takes that for "all of them".

import { requestJson } from "../../lib/client/request.ts";
import type { DeadlineLimits } from "../../lib/deadline.ts";
import type { Fetch } from "../../lib/fetch.ts";
import type { Hash } from "../../lib/hash.ts";
import { type InventoryChunk, inventoryKind, parseInventoryAnswer } from "../../lib/inventory.ts";
import { signStatement } from "../../lib/statement.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";

/** The edge asks the shard of every chunk. */
const LIMITS: DeadlineLimits = { idleMs: 60_000, totalMs: 120_000 };

export interface AskedEdge {
  /** As configured. */
  url: string;
  /** Its id, as it said on the link that it is connected by. */
  edge: Hash;
}

export interface QuestionDeps {
  identity: Identity;
  clock: Clock;
  fetch: Fetch;
  signal: AbortSignal;
}

/** Those of the chunks that the edge lets go of. Throws what is wrong with its answer, or that there is none. */
export async function askReleased(
  { url, edge }: AskedEdge,
  chunks: InventoryChunk[],
  { identity, clock, fetch, signal }: QuestionDeps,
): Promise<ReadonlySet<Hash>> {
  const time = new Date(clock.now()).toISOString();
  const body = { type: inventoryKind.type, node: identity.id, edge, chunks, time };
  const inventory = await signStatement(inventoryKind, body, identity.signer);
  const asked = chunks.map(({ hash }) => hash);
  const answer = await requestJson(fetch, `${url.replace(/\/$/, "")}/chunk/needed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(formatSigned(inventory)),
    limits: LIMITS,
    signal,
    parse: (value) => parseInventoryAnswer(value, asked),
  });
  return new Set(answer.chunks.flatMap(({ hash, state }) => (state === "released" ? [hash] : [])));
}
