// What a host lends the client: the library itself opens no socket, reads no clock and draws no randomness.

import type { Fetch } from "../fetch.ts";
import type { Hasher } from "../hash.ts";

export interface ClientHost {
  fetch: Fetch;
  hasher: Hasher;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Cryptographically random bytes. */
  randomBytes(length: number): Uint8Array;
}
