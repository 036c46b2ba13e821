// Parts of a body as one: without a copy where there is only one.

import { concatBytes } from "@noble/hashes/utils.js";

export function joinBytes(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [only] = parts;
  return only !== undefined && parts.length === 1 ? only : concatBytes(...parts);
}
