// GET, HEAD and PUT /chunk/<hash>: bytes out at the pace of the pledge, and in under a grant. A receipt is given
// only for what is on disk for good.

import type { BufferPool } from "../../lib/buffer-pool.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX, type ChunkRef } from "../../lib/manifest.ts";
import type { Domain } from "../../lib/names.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { receiptKind } from "../../lib/upload.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters/counters.ts";
import type { DenyList } from "../deny-list.ts";
import type { Identity } from "../identity.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { Grant, Grants } from "./grants.ts";
import { countIn, countOut, type NodeContext } from "./node-context.ts";
import type { Pace } from "./rate.ts";
import { receiveBody, type Slots } from "./request-body.ts";

/** Chunks being received, each in memory: 128 MiB. */
export const UPLOADS_AT_ONCE_MAX = 64;
/** Memory kept for the chunks that come next. */
export const RECEIVED_FREE_BYTES_MAX = 16 * 1024 * 1024;
/** Chunks being sent from memory; whoever asks while it is used up is sent the chunk from its file. */
export const SENDING_BYTES_MAX = 64 * 1024 * 1024;
const SEND_PIECE_BYTES = 256 * 1024;
const IMMUTABLE = "public, max-age=31536000, immutable";

export interface ChunkRoutesDeps {
  denied: DenyList;
  identity: Identity;
  chunks: ChunkStore;
  grants: Grants;
  uploadSlots: Slots;
  /** Memory for chunks that come in. */
  received: BufferPool;
  /** At most SENDING_BYTES_MAX. */
  sendingBytes: ByteBudget;
  sending: Pace;
  receiving: Pace;
  counters: Counters;
  clock: Clock;
}

export async function getChunk(c: NodeContext, deps: ChunkRoutesDeps): Promise<Response> {
  const hash = parseHash(c.req.param("hash"));
  deps.denied.check(hash);
  if (c.req.method === "HEAD") return chunkResponse(hash, await deps.chunks.size(hash), null);
  const count = countOut(c, deps.counters);
  return deps.sendingBytes.take(CHUNK_BYTES_MAX)
    ? sendFromMemory(hash, deps, count)
    : sendFromFile(hash, deps, count);
}

/** Called with the bytes of each piece that is sent. */
type Count = (bytes: number) => void;

/** Read once, hashed, and sent as it was hashed. The budget has CHUNK_BYTES_MAX bytes taken for it. */
async function sendFromMemory(hash: Hash, deps: ChunkRoutesDeps, count: Count): Promise<Response> {
  const { chunks, sendingBytes } = deps;
  let size = 0;
  try {
    const bytes = await chunks.get(hash);
    if (bytes === null) return chunkResponse(hash, null, null);
    const release = () => sendingBytes.give(bytes.length);
    const response = chunkResponse(hash, bytes.length, pacedBody(bytes, deps, count, release));
    size = bytes.length;
    return response;
  } finally {
    sendingBytes.give(CHUNK_BYTES_MAX - size);
  }
}

/** Read once to be verified and once to be sent: whoever reads slowly holds a piece in memory, not a chunk. */
async function sendFromFile(hash: Hash, deps: ChunkRoutesDeps, count: Count): Promise<Response> {
  const size = await deps.chunks.verify(hash);
  return chunkResponse(hash, size, size === null ? null : ReadableStream.from(pacedFile(hash, deps, count)));
}

function chunkResponse(hash: Hash, size: number | null, body: ReadableStream<Uint8Array> | null): Response {
  if (size === null) throw new HoldfastError("not-found", "this home node does not hold this chunk");
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Length": String(size),
    "Cache-Control": IMMUTABLE,
    ETag: `"${hash}"`,
  };
  return new Response(body, { headers });
}

/**
 * The bytes in pieces at the pace of the pledge. Asked for piece by piece: the reader takes the end, upon which `release`
 * is called, only when there is room for more, so all but a few pieces have left the process by then.
 */
export function pacedBody(
  bytes: Uint8Array,
  { sending }: Pick<ChunkRoutesDeps, "sending">,
  count: Count,
  release: () => void,
): ReadableStream<Uint8Array> {
  let sent = 0;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const piece = bytes.subarray(sent, sent + SEND_PIECE_BYTES);
    sent += piece.length;
    if (piece.length === 0) {
      release();
      controller.close();
      return;
    }
    await sending.take(piece.length);
    count(piece.length);
    controller.enqueue(piece);
  };
  return new ReadableStream({ pull, cancel: release }, { highWaterMark: 0 });
}

async function* pacedFile(
  hash: Hash,
  { chunks, sending }: ChunkRoutesDeps,
  count: Count,
): AsyncGenerator<Uint8Array> {
  for await (const piece of chunks.read(hash)) {
    await sending.take(piece.length);
    count(piece.length);
    yield piece;
  }
}

export async function putChunk(c: NodeContext, deps: ChunkRoutesDeps): Promise<Response> {
  const hash = parseHash(c.req.param("hash"));
  deps.denied.check(hash);
  const grant = await deps.grants.authorize(c.req.raw.headers, hash);
  const { outcome, size } = await deps.uploadSlots.use(() => receiveChunk(c, hash, grant, deps));
  const receipt = await signReceipt([{ hash, size }], grant.body.domain, deps);
  return c.json(formatSigned(receipt), outcome === "stored" ? 201 : 200, { "Cache-Control": "no-store" });
}

async function receiveChunk(
  c: NodeContext,
  hash: Hash,
  grant: Grant,
  deps: ChunkRoutesDeps,
): Promise<{ outcome: "stored" | "held"; size: number }> {
  const limit = { maxBytes: CHUNK_BYTES_MAX, code: "chunk-too-large" } as const;
  const pace = countIn(c, deps.counters, deps.receiving);
  const bytes = await receiveBody(c.req.raw, limit, pace, (length) => deps.received.take(length));
  try {
    return { outcome: await storeChunk(hash, bytes, grant, deps), size: bytes.length };
  } finally {
    deps.received.give(bytes);
  }
}

/** Keeps a chunk at the grant's expense. On return it survives a power cut. */
export async function storeChunk(
  hash: Hash,
  bytes: Uint8Array,
  grant: Grant,
  { chunks, grants, counters }: ChunkRoutesDeps,
): Promise<"stored" | "held"> {
  // A replay costs the grant nothing, even one that is used up.
  const charged = (await chunks.verify(hash)) === null ? bytes.length : 0;
  const outcome = await grants.charge(grant, charged, () => chunks.put(hash, bytes));
  if (outcome === "stored") counters.accept(grant.body.domain, bytes.length);
  return outcome;
}

export function signReceipt(
  chunks: ChunkRef[],
  domain: Domain,
  { identity, clock, counters }: ChunkRoutesDeps,
): Promise<SignedStatement> {
  counters.receipt();
  const time = new Date(clock.now()).toISOString();
  const body = { type: receiptKind.type, node: identity.id, domain, chunks, time };
  return signStatement(receiptKind, body, identity.signer);
}
