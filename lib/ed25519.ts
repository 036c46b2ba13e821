// Strict Ed25519: one verdict in every runtime. The runtime verifies; before it, this module refuses the encodings
// on which libraries disagree: S >= L, non-canonical or small-order A and R, A with a torsion component.

import { ed25519 } from "@noble/curves/ed25519.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { primitives, type Verify } from "./primitives.ts";

export const SIGNATURE_BYTES = 64;
const KEY_CACHE_MAX = 1024;
/** DER of a PKCS#8 Ed25519 key up to its 32-byte seed (RFC 8410 7). */
const PKCS8_PREFIX = hexToBytes("302e020100300506032b657004220420");

/** Signs with one private key, held by the runtime. */
export interface Ed25519Signer {
  publicKey: Uint8Array<ArrayBuffer>;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Imports a 32-byte seed. */
export async function importSigner(seed: Uint8Array): Promise<Ed25519Signer> {
  return {
    publicKey: concatBytes(ed25519.getPublicKey(seed)),
    sign: await primitives().importSigner(concatBytes(PKCS8_PREFIX, seed)),
  };
}

/** True if `signature` (64 bytes, R ‖ S) over `message` is valid under `publicKey` (32 bytes), strictly. */
export async function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (signature.length !== SIGNATURE_BYTES || !isStrictSignature(signature)) return false;
  const verify = await importStrictKey(publicKey);
  return verify === null ? false : verify(message, signature);
}

// Insertion order makes the Map an LRU; null remembers a refused key.
const keyCache = new Map<string, Verify | null>();

async function importStrictKey(publicKey: Uint8Array): Promise<Verify | null> {
  const id = bytesToHex(publicKey);
  const known = keyCache.get(id);
  const key = known === undefined ? await importKey(publicKey) : known;
  keyCache.delete(id);
  keyCache.set(id, key);
  if (keyCache.size > KEY_CACHE_MAX) keyCache.delete(keyCache.keys().next().value ?? id);
  return key;
}

async function importKey(publicKey: Uint8Array): Promise<Verify | null> {
  return isStrictKey(publicKey) ? primitives().importVerifier(publicKey) : null;
}

function isStrictKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32) return false;
  try {
    const point = ed25519.Point.fromBytes(publicKey, false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch (error) {
    if (error instanceof Error) return false; // noble throws for what is no point
    throw error;
  }
}

// R needs no decoding: verification computes a point of the prime-order group (A is torsion-free) and compares
// encodings, so a decodable R with torsion never matches; what is left to refuse is refused bytewise.
function isStrictSignature(signature: Uint8Array): boolean {
  const r = littleEndian(signature.subarray(0, 32));
  const s = littleEndian(signature.subarray(32));
  const y = r & ((1n << 255n) - 1n);
  return y < FIELD_ORDER && s < GROUP_ORDER && !SMALL_ORDER_Y.has(y);
}

const FIELD_ORDER = ed25519.Point.Fp.ORDER;
const GROUP_ORDER = ed25519.Point.Fn.ORDER;
const SMALL_ORDER_Y = smallOrderY();

/** The y coordinates of the eight points of small order: multiples of one point of order 8. */
function smallOrderY(): Set<bigint> {
  const order8 = ed25519.Point.fromBytes(
    hexToBytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
  );
  const multiples = Array.from({ length: 7 }, (_, i) => order8.multiplyUnsafe(BigInt(i + 1)));
  return new Set([1n, ...multiples.map((point) => point.toAffine().y)]);
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytesToHex(Uint8Array.from(bytes).reverse())}`);
}
