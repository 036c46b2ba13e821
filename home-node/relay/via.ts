// /via/<nodeId>/… at a home node: a node's own answers, through the connection that it holds to this one. What passes is
// checked and built anew as at an edge, and is paced and counted at the volunteer's expense: once when it comes in, once
// when it goes out.

import { HoldfastError } from "../../lib/error.ts";
import { type BodyReader, type FetchResponse, readBody } from "../../lib/fetch.ts";
import type { NodeId } from "../../lib/hash.ts";
import { problemOf } from "../../lib/problem.ts";
import { askThrough } from "../../lib/tunnel/exchange.ts";
import type { TunnelOpener, TunnelResponse } from "../../lib/tunnel/opener.ts";
import type { Passage } from "../../lib/tunnel/passage.ts";
import { answerBytesMax, checkedAnswer, type RelayedAnswer } from "../../lib/tunnel/relayed-answer.ts";
import {
  blamingNode,
  checkDeclaredLength,
  parseVia,
  tooLarge,
  uploadBytesMax,
} from "../../lib/tunnel/via.ts";
import type { ByteBudget } from "../server/byte-budget.ts";
import { type ChunkRoutesDeps, pacedBody } from "../server/chunks.ts";
import { type HoursDeps, refusalOutsideHours } from "../server/hours.ts";
import type { NodeContext } from "../server/node-context.ts";
import { problemResponse } from "../server/problem-response.ts";
import { piecesOf } from "../server/request-body.ts";
import { digestOf } from "../store/digest.ts";

/** Of requests and answers that pass, in memory at once. */
export const RELAYED_BYTES_MAX = 64 * 1024 * 1024;

export interface ViaDeps
  extends HoursDeps,
    Pick<ChunkRoutesDeps, "denied" | "counters" | "sending" | "receiving"> {
  /** Where requests to a node go in; null where it is not relayed here. */
  openerOf: (node: NodeId) => TunnelOpener | null;
  /** At most RELAYED_BYTES_MAX. */
  relayedBytes: ByteBudget;
  onBroken: (cause: unknown) => void;
}

export async function relayVia(c: NodeContext, deps: ViaDeps): Promise<Response> {
  const { node, passage } = parseVia(c.req.method, new URL(c.req.url));
  checkDeclaredLength(c.req.header("Content-Length") ?? null, passage);
  if (passage.hash !== null) deps.denied.check(passage.hash);
  const refusal = movesChunks(passage) ? refusalOutsideHours(deps) : null;
  if (refusal !== null) return refusal;
  const opener = deps.openerOf(node);
  if (opener === null) throw new HoldfastError("not-found", `no home node ${node} is relayed here`);
  return withinBudget(bytesHeldFor(passage), deps.relayedBytes, (release) =>
    answer(c, { passage, opener, release }, deps),
  );
}

function movesChunks({ method, resource }: Passage): boolean {
  return method !== "HEAD" && (resource === "chunk" || resource === "chunks");
}

/** A node that takes what is sent to it no faster than it must leaves all of it in memory. */
function bytesHeldFor(passage: Passage): number {
  const { method } = passage;
  if (method === "HEAD") return 0;
  return answerBytesMax(passage) + (method === "GET" ? 0 : uploadBytesMax(passage));
}

/** Throws `rate-limited` while others have all of the budget. `release` gives back what the answer's body still holds. */
async function withinBudget(
  bytes: number,
  budget: ByteBudget,
  work: (release: (bytes: number) => void) => Promise<Relayed>,
): Promise<Response> {
  if (!budget.take(bytes))
    throw new HoldfastError("rate-limited", "the home node relays as much as it can hold: try again shortly");
  let held = 0;
  try {
    const { response, heldBytes } = await work((given) => budget.give(given));
    held = heldBytes;
    return response;
  } finally {
    budget.give(bytes - held);
  }
}

interface Relayed {
  response: Response;
  /** Of the body, until it is sent. */
  heldBytes: number;
}

interface Exchange {
  passage: Passage;
  opener: TunnelOpener;
  release: (bytes: number) => void;
}

async function answer(c: NodeContext, exchange: Exchange, deps: ViaDeps): Promise<Relayed> {
  const { passage, opener, release } = exchange;
  const { method, path } = passage;
  const { headers, signal } = c.req.raw;
  const upload = method === "PUT" || method === "POST" ? new Upload(c.req.raw, passage, deps) : null;
  const readBytes = (node: FetchResponse, maxBytes: number) => readBody(pacedIn(node, deps), maxBytes);
  const host = { readBytes, digest: async (bytes: Uint8Array) => digestOf(bytes), onChunk: () => undefined };
  try {
    const given = await askThrough(opener, { method, path, headers, body: upload, signal });
    const checked = await blamingNode(() => checkedAnswer(responseOf(given), passage, host), deps.onBroken);
    if (checked instanceof HoldfastError)
      return { response: problemResponse(problemOf(checked)), heldBytes: 0 };
    deps.counters.count("relay", upload === null ? "out" : "in", { requests: 1 });
    return relayed(checked, release, deps);
  } catch (error) {
    // What went wrong with the request is not the node's fault.
    throw upload?.failure ?? error;
  }
}

function relayed(
  { status, type, caching, sizeBytes, body }: RelayedAnswer,
  release: (bytes: number) => void,
  deps: ViaDeps,
): Relayed {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const length = bytes?.length ?? sizeBytes;
  const headers: Record<string, string> = { "Content-Type": type, "Cache-Control": caching };
  if (length !== null) headers["Content-Length"] = String(length);
  if (bytes === null) return { response: new Response(null, { status, headers }), heldBytes: 0 };
  const count = (sent: number) => deps.counters.count("relay", "out", { bytes: sent });
  const stream = pacedBody(bytes, deps, count, () => release(bytes.length));
  return { response: new Response(stream, { status, headers }), heldBytes: bytes.length };
}

function responseOf({ status, headers, body }: TunnelResponse): FetchResponse {
  return { status, headers: new Headers(headers), body };
}

/** No more credit is given to the node than the volunteer's line takes. */
function pacedIn({ status, headers, body }: FetchResponse, deps: ViaDeps): FetchResponse {
  if (body === null) return { status, headers, body };
  const getReader = (): BodyReader => {
    const reader = body.getReader();
    const read = async () => {
      const block = await reader.read();
      await takeIn(block.value?.length ?? 0, deps);
      return block;
    };
    return { read, cancel: (reason) => reader.cancel(reason) };
  };
  return { status, headers, body: { getReader } };
}

async function takeIn(bytes: number, { counters, receiving }: ViaDeps): Promise<void> {
  if (bytes === 0) return;
  counters.count("relay", "in", { bytes });
  await receiving.take(bytes);
}

/** What goes up to the node. Its own failure is the request's, whatever becomes of the exchange. */
class Upload implements BodyReader {
  readonly #pieces: AsyncGenerator<Uint8Array>;
  failure: unknown = null;

  constructor(request: Request, passage: Passage, deps: ViaDeps) {
    this.#pieces = pacedPieces(request, passage, deps);
  }

  async read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> {
    try {
      const { done = false, value } = await this.#pieces.next();
      return { done, value };
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  async cancel(): Promise<void> {
    await this.#pieces.return(undefined);
  }
}

async function* pacedPieces(
  request: Request,
  passage: Passage,
  deps: ViaDeps,
): AsyncGenerator<Uint8Array, void> {
  let length = 0;
  for await (const piece of piecesOf(request)) {
    length += piece.length;
    if (length > uploadBytesMax(passage)) throw tooLarge(passage);
    await takeIn(piece.length, deps);
    await deps.sending.take(piece.length);
    deps.counters.count("relay", "out", { bytes: piece.length });
    yield piece;
  }
}
