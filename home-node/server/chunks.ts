// GET, HEAD and PUT /chunk/<hash>: bytes out at the pace of the pledge, and in under a grant. A receipt is given
// only for what is on disk for good.

import type { Context } from "hono";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import type { Domain } from "../../lib/names.ts";
import { type SignedStatement, signStatement } from "../../lib/statement.ts";
import { receiptKind } from "../../lib/upload.ts";
import { formatSigned } from "../../lib/wire.ts";
import type { Clock } from "../clock.ts";
import type { Identity } from "../identity.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { Grants } from "./grants.ts";
import type { RateLimit } from "./rate.ts";
import { receiveBody, type Slots } from "./request-body.ts";
import type { Traffic } from "./traffic.ts";

/** Chunks being received, each in memory: 128 MiB. */
export const UPLOADS_AT_ONCE_MAX = 64;
const IMMUTABLE = "public, max-age=31536000, immutable";

export interface ChunkRoutesDeps {
  identity: Identity;
  chunks: ChunkStore;
  grants: Grants;
  uploadSlots: Slots;
  sending: RateLimit;
  receiving: RateLimit;
  traffic: Traffic;
  clock: Clock;
}

export async function getChunk(c: Context, deps: ChunkRoutesDeps): Promise<Response> {
  const hash = parseHash(c.req.param("hash"));
  const isHead = c.req.method === "HEAD";
  const size = await (isHead ? deps.chunks.size(hash) : deps.chunks.verify(hash));
  if (size === null) throw new HoldfastError("not-found", "this home node does not hold this chunk");
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Length": String(size),
    "Cache-Control": IMMUTABLE,
    ETag: `"${hash}"`,
  };
  return new Response(isHead ? null : ReadableStream.from(pacedChunk(hash, deps)), { headers });
}

async function* pacedChunk(
  hash: Hash,
  { chunks, sending, traffic }: ChunkRoutesDeps,
): AsyncGenerator<Uint8Array> {
  for await (const piece of chunks.read(hash)) {
    await sending.take(piece.length);
    traffic.count("servedBytes", piece.length);
    yield piece;
  }
}

export async function putChunk(c: Context, deps: ChunkRoutesDeps): Promise<Response> {
  const hash = parseHash(c.req.param("hash"));
  const grant = await deps.grants.authorize(c.req.raw.headers, hash);
  const { outcome, size } = await deps.uploadSlots.use(async () => {
    const limit = { maxBytes: CHUNK_BYTES_MAX, code: "chunk-too-large" } as const;
    const bytes = await receiveBody(c.req.raw, limit, deps.receiving);
    // A replay costs the grant nothing, even one that is used up.
    const charged = (await deps.chunks.verify(hash)) === null ? bytes.length : 0;
    const outcome = await deps.grants.charge(grant, charged, () => deps.chunks.put(hash, bytes));
    return { outcome, size: bytes.length };
  });
  if (outcome === "stored") deps.traffic.count("storedBytes", size);
  const receipt = await signReceipt({ hash, size }, grant.body.domain, deps);
  return c.json(formatSigned(receipt), outcome === "stored" ? 201 : 200, { "Cache-Control": "no-store" });
}

function signReceipt(
  chunk: { hash: Hash; size: number },
  domain: Domain,
  { identity, clock }: ChunkRoutesDeps,
): Promise<SignedStatement> {
  const time = new Date(clock.now()).toISOString();
  const body = { type: receiptKind.type, node: identity.id, domain, chunks: [chunk], time };
  return signStatement(receiptKind, body, identity.signer);
}
