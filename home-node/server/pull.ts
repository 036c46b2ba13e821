// POST /pull: an edge has this node copy a chunk from others, so that it is on enough of them again. Taken only through
// the tunnel of an edge that the volunteer chose, within the pledge, and no faster than the repair rate.

import { parseJson } from "../../lib/canonical-json.ts";
import type { FetchChunk } from "../../lib/client/chunk-fetch.ts";
import { routesTo } from "../../lib/client/holders.ts";
import type { DeadlineLimits } from "../../lib/deadline.ts";
import {
  PULL_BODY_MAX,
  PULL_TIMEOUT_MS,
  type PullAnswer,
  type PullFailure,
  type PullOrder,
  type PullSource,
  parsePullOrder,
} from "../../lib/durability/pull.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX, type ChunkRef } from "../../lib/manifest.ts";
import { acceptsDomain, type Pledge } from "../../lib/pledge.ts";
import { problemOf } from "../../lib/problem.ts";
import { recoverChunk } from "../../lib/redundancy/recovery.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { digestOf } from "../store/digest.ts";
import type { Room } from "../store/room.ts";
import { type ChunkRoutesDeps, signReceipt } from "./chunks.ts";
import { countIn, type NodeContext } from "./node-context.ts";
import { problemResponse } from "./problem-response.ts";
import type { RateLimit } from "./rate.ts";
import { receiveBody, type Slots } from "./request-body.ts";
import { firstToGive } from "./source-race.ts";

/** Chunks being copied, each in memory, and as often as sources are read at once: 16 MiB to 48 MiB. */
export const PULLS_AT_ONCE_MAX = 8;
/** An order that would wait longer for its turn, or take longer than PULL_TIMEOUT_MS then, is refused: the edge asks another node. */
export const PULL_WAIT_MAX_MS = 5_000;
/** A stripe's chunk that takes longer is replaced by another, as long as there are enough. */
export const MEMBER_SOON_MS = 10_000;
/** A relay sends nothing before it has the whole chunk: 2 MiB at 1 Mbit/s. */
export const PULL_LIMITS: DeadlineLimits = { idleMs: 20_000, totalMs: 40_000 };

export interface PullDeps extends ChunkRoutesDeps {
  pledge: Pick<Pledge, "domains">;
  room: Room;
  /** Reads from a node that an edge named: public addresses only, unless the edge is on this machine. */
  fetchChunk: FetchChunk;
  /** Paces what is copied on an edge's order, beside `receiving`. */
  repairing: RateLimit;
  pullSlots: Slots;
  /** False while the volunteer is leaving or away. */
  takesMore: () => boolean;
}

export async function pullChunk(c: NodeContext, deps: PullDeps): Promise<Response> {
  const { edgeUrl } = c.env;
  // Whoever is not an edge finds nothing here.
  if (edgeUrl === null) throw new HoldfastError("not-found", "there is nothing at this path");
  const limit = { maxBytes: PULL_BODY_MAX, code: "body-too-large" } as const;
  const body = await receiveBody(c.req.raw, limit, countIn(c, deps.counters, deps.receiving));
  const order = parsePullOrder(parseJson(body, PULL_BODY_MAX));
  checkWanted(order, deps);
  const heldSize = await deps.chunks.keep(order.chunk);
  if (heldSize !== null) return answer(c, await receiptFor(order, heldSize, deps));
  await checkRoom(order, deps);
  const { waitMs } = deps.repairing;
  if (waitMs > PULL_WAIT_MAX_MS) return refuseBusy(waitMs);
  const copyMs = deps.repairing.msFor(bytesToRead(order));
  if (copyMs > PULL_TIMEOUT_MS) return refuseBusy(copyMs);
  return answer(c, await deps.pullSlots.use(() => pull(order, edgeUrl, deps)));
}

function answer(c: NodeContext, body: PullAnswer): Response {
  return c.json(body, 200, { "Cache-Control": "no-store" });
}

function checkWanted({ chunk, domain }: PullOrder, { denied, pledge, takesMore }: PullDeps): void {
  denied.check(chunk);
  if (!acceptsDomain(pledge, domain)) {
    throw new HoldfastError("domain-not-accepted", `this home node's pledge does not include ${domain}`);
  }
  if (!takesMore()) throw new HoldfastError("quota-exceeded", "the volunteer is leaving or away");
}

async function checkRoom({ size }: PullOrder, { room }: PullDeps): Promise<void> {
  if ((await room.freeBytes()) < (size ?? CHUNK_BYTES_MAX))
    throw new HoldfastError("quota-exceeded", "the home node has no room for this chunk");
}

/** A chunk that is made anew takes as many others as its stripe has data chunks. */
function bytesToRead({ sources, size, stripe }: PullOrder): number {
  const ofStripe = stripe?.data.reduce((sum, member) => sum + member.size, 0) ?? 0;
  return sources.length > 0 || stripe === undefined ? (size ?? CHUNK_BYTES_MAX) : ofStripe;
}

function refuseBusy(waitMs: number): Response {
  const error = new HoldfastError("rate-limited", "the home node copies as much as its volunteer allows");
  return problemResponse(problemOf(error), { "Retry-After": String(Math.ceil(waitMs / 1000)) });
}

async function pull(order: PullOrder, edgeUrl: string, deps: PullDeps): Promise<PullAnswer> {
  const { bytes: read, failed } = await readFromSources(order, edgeUrl, deps);
  const bytes = read ?? (await makeAnew(order, edgeUrl, deps));
  if (bytes === null) return { receipt: null, failed };
  if ((await deps.chunks.put(order.chunk, bytes)) === "stored")
    deps.counters.accept(order.domain, bytes.length);
  return receiptFor(order, bytes.length, deps, failed);
}

async function receiptFor(
  { chunk, domain }: PullOrder,
  size: number,
  deps: PullDeps,
  failed: PullFailure[] = [],
): Promise<PullAnswer> {
  return { receipt: formatSigned(await signReceipt([{ hash: chunk, size }], domain, deps)), failed };
}

type Bytes = Uint8Array<ArrayBuffer>;

/** From whoever gives the chunk first; and who did not, as far as that was seen. */
async function readFromSources(
  order: PullOrder,
  edgeUrl: string,
  deps: PullDeps,
): Promise<{ bytes: Bytes | null; failed: PullFailure[] }> {
  const failed: PullFailure[] = [];
  const ask = async (source: PullSource, signal: AbortSignal) => {
    const read = await readPaced(source, order, edgeUrl, deps, signal);
    if (typeof read !== "string") return read;
    if (!signal.aborted) failed.push({ id: source.id, code: read });
    return null;
  };
  const timing = { clock: deps.clock, timeoutMs: PULL_TIMEOUT_MS };
  return { bytes: await firstToGive(order.sources, ask, timing), failed };
}

/**
 * The chunk's bytes from others of its stripe, each of them paced like a copy; null where too few can be had. First those
 * that come soon, since any will do; only where these are too few is a slow line waited for.
 */
async function makeAnew(order: PullOrder, edgeUrl: string, deps: PullDeps): Promise<Bytes | null> {
  const { chunk, stripe } = order;
  if (stripe === undefined) return null;
  const { data, parity } = stripe;
  const list = { chunks: data, parity, redundancy: { data: data.length, parity: parity.length } };
  const loaded = new Map<Hash, Bytes>();
  for (const timeoutMs of [MEMBER_SOON_MS, PULL_TIMEOUT_MS]) {
    const load = async (wanted: ChunkRef) => {
      const bytes = loaded.get(wanted.hash) ?? (await loadMember(wanted, stripe, timeoutMs, edgeUrl, deps));
      if (bytes !== null) loaded.set(wanted.hash, bytes);
      return bytes;
    };
    try {
      return await recoverChunk(list, chunk, load);
    } catch (error) {
      if (!isHoldfastError(error, "no-holder")) throw error;
    }
  }
  return null;
}

async function loadMember(
  { hash, size }: ChunkRef,
  { data, parity }: NonNullable<PullOrder["stripe"]>,
  timeoutMs: number,
  edgeUrl: string,
  deps: PullDeps,
): Promise<Bytes | null> {
  const sources = [...data, ...parity].find((member) => member.hash === hash)?.sources ?? [];
  if (sources.length === 0) return null;
  const ask = async (source: PullSource, signal: AbortSignal) => {
    const read = await readPaced(source, { chunk: hash, size }, edgeUrl, deps, signal);
    return typeof read === "string" ? null : read;
  };
  return firstToGive(sources, ask, { clock: deps.clock, timeoutMs });
}

/** As readFromSource, once the repair rate lets it: each source that is read counts, also beside another. */
async function readPaced(
  source: PullSource,
  wanted: Pick<PullOrder, "chunk" | "size">,
  edgeUrl: string,
  deps: PullDeps,
  signal: AbortSignal,
): Promise<Bytes | PullFailure["code"]> {
  const bytes = wanted.size ?? CHUNK_BYTES_MAX;
  await Promise.all([deps.repairing.take(bytes), deps.receiving.take(bytes)]);
  return readFromSource(source, wanted, edgeUrl, deps, signal);
}

/** The verified bytes, or why there are none. By the edge's relay where the node's own URL leads nowhere. */
async function readFromSource(
  source: PullSource,
  { chunk, size }: Pick<PullOrder, "chunk" | "size">,
  edgeUrl: string,
  { fetchChunk, counters }: PullDeps,
  signal: AbortSignal,
): Promise<Bytes | PullFailure["code"]> {
  for (const { url, isRelay } of routesTo(source, { url: edgeUrl, isEdge: true })) {
    try {
      const wanted = { hash: chunk, sizeBytes: size };
      const bytes = await fetchChunk(`${url}/chunk/${chunk}`, wanted, { redirectsMax: 0, signal });
      counters.count(isRelay ? "tunnel" : "direct", "in", { bytes: bytes.length });
      return digestOf(bytes) === chunk ? bytes : "corrupt";
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      if (isHoldfastError(error, "not-found", "gone", "unavailable-for-legal-reasons")) return "missing";
      if (isHoldfastError(error, "length-mismatch")) return "corrupt";
    }
  }
  return "unreachable";
}
