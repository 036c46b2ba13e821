// Several small chunks in one body of PUT /chunk: each as its length (four bytes, big-endian) and its bytes. Whose hashes
// they have is for the receiver to compute; the upload statement says which it may take.

import { HoldfastError } from "./error.ts";
import { CHUNK_BYTES_MAX } from "./manifest.ts";
import { CHUNKS_PER_UPLOAD_MAX } from "./upload.ts";

/** Chunks of a batch, and their bytes together: no more than one large chunk. */
export const BATCH_CHUNKS_MAX = CHUNKS_PER_UPLOAD_MAX;
export const BATCH_BYTES_MAX = CHUNK_BYTES_MAX;
const LENGTH_BYTES = 4;
export const BATCH_BODY_MAX = BATCH_BYTES_MAX + LENGTH_BYTES * BATCH_CHUNKS_MAX;
export const BATCH_TYPE = "application/vnd.holdfast.chunks";

/** Throws RangeError for more than a batch takes: the caller makes batches that fit. */
export function encodeChunkBatch(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (chunks.length > BATCH_CHUNKS_MAX || bytes > BATCH_BYTES_MAX)
    throw new RangeError("too much for a batch");
  const body = new Uint8Array(bytes + LENGTH_BYTES * chunks.length);
  const view = new DataView(body.buffer);
  let at = 0;
  for (const chunk of chunks) {
    view.setUint32(at, chunk.length);
    body.set(chunk, at + LENGTH_BYTES);
    at += LENGTH_BYTES + chunk.length;
  }
  return body;
}

/** The chunks of a batch, which share the memory of `body`. Throws `invalid-request`. */
export function parseChunkBatch(body: Uint8Array): Uint8Array[] {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < body.length; ) {
    const start = at + LENGTH_BYTES;
    const end = start > body.length ? Number.POSITIVE_INFINITY : start + view.getUint32(at);
    if (end > body.length) throw new HoldfastError("invalid-request", "the batch ends within a chunk");
    chunks.push(body.subarray(start, end));
    at = end;
  }
  if (chunks.length === 0 || chunks.length > BATCH_CHUNKS_MAX) {
    throw new HoldfastError("invalid-request", `a batch has 1 to ${BATCH_CHUNKS_MAX} chunks`);
  }
  return chunks;
}
