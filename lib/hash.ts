// SHA-256 names: Content Hash, Name Hash, node id, statement id. One text form: 64 lower-case hex digits,
// so that comparing two texts is comparing two hashes bytewise.

import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { HoldfastError } from "./error.ts";
import { primitives } from "./primitives.ts";

/** SHA-256 as 64 lower-case hex digits. The brand exists in types only. */
export type Hash = string & { readonly __brand: "Hash" };

/** A home node's id: the SHA-256 of its SSH public key blob. */
export type NodeId = Hash & { readonly __nodeBrand: "NodeId" };

export const HASH_BYTES = 32;
const HASH_TEXT = /^[0-9a-f]{64}$/;

/** A partition is the top 10 bits of a hash: 1,024 partitions. */
export const PARTITION_BITS = 10;
export const PARTITION_COUNT = 1 << PARTITION_BITS;

/** Hashing as the host does it fastest: node:crypto in Node, WebCrypto in workerd and browsers. */
export interface Hasher {
  /** SHA-256 of `bytes`. */
  digest(bytes: Uint8Array): Promise<Hash>;
  /** SHA-256 of a stream too large to hold. */
  start(): RunningHash;
}

export interface RunningHash {
  update(bytes: Uint8Array): void;
  digest(): Hash;
}

export function isHash(text: unknown): text is Hash {
  return typeof text === "string" && HASH_TEXT.test(text);
}

/** The only way in for a hash from outside. Throws `invalid-hash`; upper case is refused, not folded. */
export function parseHash(text: unknown): Hash {
  if (!isHash(text)) {
    throw new HoldfastError("invalid-hash", "a hash is 64 lower-case hex digits (as sha256sum prints it)");
  }
  return text;
}

export function parseNodeId(text: unknown): NodeId {
  return parseHash(text) as NodeId;
}

export function encodeHash(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_BYTES)
    throw new RangeError(`a hash has ${HASH_BYTES} bytes, not ${bytes.length}`);
  return parseHash(bytesToHex(bytes));
}

export function decodeHash(hash: Hash): Uint8Array {
  return hexToBytes(hash);
}

/** SHA-256 in the calling thread, for statements and names: a few kilobytes. Chunks go through a Hasher. */
export function hashBytes(bytes: Uint8Array): Hash {
  return encodeHash(primitives().sha256(bytes));
}

/** The partition of a hash: its top 10 bits, 0 to 1,023. */
export function partitionOf(hash: Hash): number {
  return partitionOfDigits(hash.slice(0, 3));
}

/** The partition of every hash that begins with these three hex digits. */
export function partitionOfDigits(digits: string): number {
  return Number.parseInt(digits, 16) >> 2;
}
