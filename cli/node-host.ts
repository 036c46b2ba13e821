// What this process lends to lib: Node's fetch, clock, randomness and OpenSSL's SHA-256.

import { createHash, randomBytes } from "node:crypto";
import type { ClientHost } from "../lib/client/host.ts";
import { type Hasher, parseHash } from "../lib/hash.ts";

export const nodeHasher: Hasher = {
  digest: async (bytes) => parseHash(createHash("sha256").update(bytes).digest("hex")),
  start: () => {
    const state = createHash("sha256");
    return {
      update: (bytes) => void state.update(bytes),
      digest: () => parseHash(state.digest("hex")),
    };
  },
};

export const nodeHost: ClientHost = {
  fetch,
  hasher: nodeHasher,
  now: Date.now,
  randomBytes: (length) => randomBytes(length),
};
