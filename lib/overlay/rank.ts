// The rank of a failure domain, or of a node, for a chunk: a number that follows from SHA-256 of the one and the Content
// Hash of the other. SHA-256 runs once for each name; a mix of both hashes' words then costs some nanoseconds a pair,
// where another SHA-256 would cost milliseconds for each chunk. Nobody gains by a mix that can be computed: the names
// are networks, and whoever may choose among networks or chunks can try them on any public function.

import { sha256 } from "@noble/hashes/sha2.js";
import { decodeHash, type Hash } from "../hash.ts";

const WORDS = 8;
/** Names whose hash is remembered: twice the members of the largest shard. */
const NAMES_REMEMBERED_MAX = 65_536;

const remembered = new Map<string, Uint32Array>();

/** A hash as the words that `rankFor` mixes. */
export function wordsOf(hash: Hash): Uint32Array {
  return toWords(decodeHash(hash));
}

/** From 0 to below 2^53, lowest first; equal for equal names and chunks, everywhere. */
export function rankFor(name: string, chunk: Uint32Array): number {
  const words = nameWords(name);
  let mixed = 0;
  let high = 0;
  for (let i = 0; i < WORDS; i++) {
    mixed = mix(Math.imul(mixed ^ (words[i] ?? 0), 0x9e3779b1) + (chunk[i] ?? 0));
    if (i === WORDS - 2) high = mixed;
  }
  return (high >>> 0) * 2 ** 21 + (mixed >>> 11);
}

/** The finaliser of MurmurHash3: each bit of what goes in changes half of those that come out. */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function nameWords(name: string): Uint32Array {
  const known = remembered.get(name);
  if (known !== undefined) return known;
  if (remembered.size >= NAMES_REMEMBERED_MAX) remembered.clear();
  const words = toWords(sha256(new TextEncoder().encode(name)));
  remembered.set(name, words);
  return words;
}

function toWords(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: WORDS }, (_, i) => view.getUint32(4 * i));
}
