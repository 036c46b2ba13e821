// SHA-256 by the platform, which is many times faster than any of JavaScript.

import { encodeHash, type Hash } from "../lib/hash.ts";

export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Hash> {
  return encodeHash(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
