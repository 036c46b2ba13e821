// The gear table of the content-defined chunker: 256 random-looking 32-bit numbers, derived so that anyone can
// make the same table again. A secret seed gives a private table, whose boundaries tell an outsider nothing.

import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";

const PUBLIC_SEED = new TextEncoder().encode("holdfast-gear-1");

/** Entry i is the first 4 bytes (big-endian) of SHA-256(seed ‖ i as one byte). */
export function makeGearTable(seed: Uint8Array = PUBLIC_SEED): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const digest = sha256(concatBytes(seed, Uint8Array.of(i)));
    return new DataView(digest.buffer, digest.byteOffset, 4).getUint32(0);
  });
}
