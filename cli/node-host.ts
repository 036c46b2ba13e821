// What this process lends to lib: HTTP, clock, randomness and OpenSSL's SHA-256.

import { createHash, hash, randomBytes, webcrypto } from "node:crypto";
import { BufferPool } from "../lib/buffer-pool.ts";
import type { ClientHost } from "../lib/client/host.ts";
import { encodeHash, type Hash, type Hasher, parseHash } from "../lib/hash.ts";
import { httpFetch } from "./http-fetch.ts";

/** From here on a digest is worth a thread of its own, which copies the bytes and takes 0.1 ms to be asked. */
const THREAD_BYTES_MIN = 128 * 1024;

export const nodeHasher: Hasher = {
  digest: (bytes) => (bytes.length < THREAD_BYTES_MIN ? digestHere(bytes) : digestInThread(bytes)),
  start: () => {
    const state = createHash("sha256");
    return {
      update: (bytes) => void state.update(bytes),
      digest: () => parseHash(state.digest("hex")),
    };
  },
};

async function digestHere(bytes: Uint8Array): Promise<Hash> {
  return parseHash(hash("sha256", bytes, "hex"));
}

async function digestInThread(bytes: Uint8Array): Promise<Hash> {
  return encodeHash(new Uint8Array(await webcrypto.subtle.digest("SHA-256", bytes)));
}

/** Memory for the chunks of a download, and how much of it is kept for the chunks that come next. */
const CHUNK_MEMORY_FREE_MAX = 24 * 1024 * 1024;
export const chunkMemory = new BufferPool(CHUNK_MEMORY_FREE_MAX);

export const nodeHost: ClientHost = {
  fetch: httpFetch,
  hasher: nodeHasher,
  now: Date.now,
  randomBytes: (length) => randomBytes(length),
};
