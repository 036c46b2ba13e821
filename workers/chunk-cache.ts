// Hot chunks in the platform's cache, so that a crowd costs the holders one read for each data centre. A chunk is looked
// for only from its second read in this isolate on: what is read once never touches the cache. Whatever comes out of
// it is hashed like a stranger's bytes.

import { waitUntil } from "cloudflare:workers";
import { readBytes } from "../durable-objects/body.ts";
import { digest } from "../durable-objects/digest.ts";
import type { Hash } from "../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";
import { IMMUTABLE } from "./app.ts";

/** Chunks whose last read this isolate remembers: some 100 bytes each. */
export const READS_REMEMBERED_MAX = 8192;

/** In the order of their last reads. */
const lastRead = new Set<Hash>();

/** Notes a read; says whether the chunk was read before. */
export function noteRead(hash: Hash): boolean {
  const isAgain = lastRead.delete(hash);
  lastRead.add(hash);
  if (lastRead.size > READS_REMEMBERED_MAX) {
    const [oldest] = lastRead;
    if (oldest !== undefined) lastRead.delete(oldest);
  }
  return isAgain;
}

/** The chunk's verified bytes where it is hot, else null: a cache that fails costs its readers nothing but itself. */
export async function hotChunk(hash: Hash): Promise<Uint8Array<ArrayBuffer> | null> {
  if (!lastRead.has(hash)) return null;
  try {
    return await cachedChunk(hash);
  } catch (error) {
    console.warn(`the cache failed for chunk ${hash}: ${error}`);
    return null;
  }
}

async function cachedChunk(hash: Hash): Promise<Uint8Array<ArrayBuffer> | null> {
  const response = await caches.default.match(keyOf(hash));
  if (response === undefined) return null;
  const bytes = await readBytes(response, CHUNK_BYTES_MAX);
  return (await digest(bytes)) === hash ? bytes : null;
}

/** Keeps verified bytes, after the answer is out. */
export function keepInCache(hash: Hash, bytes: Uint8Array<ArrayBuffer>): void {
  const response = new Response(bytes, {
    headers: { "Cache-Control": IMMUTABLE, "Content-Length": String(bytes.length) },
  });
  waitUntil(caches.default.put(keyOf(hash), response));
}

/** No address of the edge's own: nobody asks for it but this module. */
function keyOf(hash: Hash): string {
  return `https://chunk.holdfast.invalid/${hash}`;
}

/** Forgets a chunk that may not be given any more. In other data centres nobody asks for it until it has expired. */
export function dropFromCache(hash: Hash): void {
  lastRead.delete(hash);
  waitUntil(caches.default.delete(keyOf(hash)));
}
