// PUT /chunk: several small chunks under one upload statement, for one receipt. The way of trees of small files, where a
// request, two signatures and a sync for each chunk would cost more than its bytes.

import { BATCH_BODY_MAX, parseChunkBatch } from "../../lib/chunk-batch.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { formatSigned } from "../../lib/wire/signed.ts";
import { digestOf } from "../store/digest.ts";
import { type ChunkRoutesDeps, signReceipt, storeChunk } from "./chunks.ts";
import type { Grant } from "./grants.ts";
import { countIn, type NodeContext } from "./node-context.ts";
import { receiveBody } from "./request-body.ts";

interface NamedChunk {
  hash: Hash;
  bytes: Uint8Array;
}

export async function putChunkBatch(c: NodeContext, deps: ChunkRoutesDeps): Promise<Response> {
  const { grant, chunks: allowed } = await deps.grants.authorizeBatch(c.req.raw.headers);
  const stored = await deps.uploadSlots.use(() => receiveBatch(c, grant, allowed, deps));
  const isNew = stored.some(({ outcome }) => outcome === "stored");
  const receipt = await signReceipt(
    stored.map(({ hash, size }) => ({ hash, size })),
    grant.body.domain,
    deps,
  );
  return c.json(formatSigned(receipt), isNew ? 201 : 200, { "Cache-Control": "no-store" });
}

/** Throws for the batch what goes wrong with one of its chunks; those that are stored by then stay. */
async function receiveBatch(c: NodeContext, grant: Grant, allowed: ReadonlySet<Hash>, deps: ChunkRoutesDeps) {
  const limit = { maxBytes: BATCH_BODY_MAX, code: "body-too-large" } as const;
  const body = await receiveBody(c.req.raw, limit, countIn(c, deps.counters, deps.receiving));
  const chunks = parseChunkBatch(body).map((bytes): NamedChunk => ({ hash: digestOf(bytes), bytes }));
  if (chunks.some(({ hash }) => !allowed.has(hash))) {
    throw new HoldfastError("grant-mismatch", "the upload statement does not name a chunk of the batch");
  }
  deps.denied.check(...chunks.map(({ hash }) => hash));
  const results = await Promise.allSettled(
    chunks.map(async ({ hash, bytes }) => {
      const outcome = await storeChunk(hash, bytes, grant, deps);
      return { hash, size: bytes.length, outcome };
    }),
  );
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
