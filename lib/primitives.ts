// The hashes, signatures and base64 of small statements, as a host has them fastest: portable ones here, for every runtime.
// What may be signed with, and which keys and signatures are refused, is decided above, in ed25519.ts and sshsig.ts, for all
// of them alike.

import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { base64 } from "@scure/base";

/** Signs a message. */
export type Sign = (message: Uint8Array) => Promise<Uint8Array>;
/** Whether `signature`, 64 bytes, is one of `message`. */
export type Verify = (message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

export interface Primitives {
  sha256(bytes: Uint8Array): Uint8Array;
  sha512(bytes: Uint8Array): Uint8Array;
  /** RFC 4648 4, padded. */
  encodeBase64(bytes: Uint8Array): string;
  /** Throws for what encodeBase64 does not make: other alphabets, white space, missing padding, stray bits. */
  decodeBase64(text: string): Uint8Array<ArrayBuffer>;
  /** An Ed25519 key of 32 bytes that ed25519.ts has judged. */
  importVerifier(publicKey: Uint8Array): Promise<Verify>;
  /** An Ed25519 private key, as PKCS#8 in DER. */
  importSigner(pkcs8: Uint8Array<ArrayBuffer>): Promise<Sign>;
}

const ALGORITHM = { name: "Ed25519" };

/** In the calling thread, and WebCrypto, which every runtime has. */
export const portablePrimitives: Primitives = {
  sha256,
  sha512,
  encodeBase64: (bytes) => base64.encode(bytes),
  decodeBase64: (text) => new Uint8Array(base64.decode(text)),
  async importVerifier(publicKey) {
    const key = await crypto.subtle.importKey("raw", concatBytes(publicKey), ALGORITHM, false, ["verify"]);
    return (message, signature) =>
      crypto.subtle.verify(ALGORITHM, key, concatBytes(signature), concatBytes(message));
  },
  async importSigner(pkcs8) {
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
    return async (message) => new Uint8Array(await crypto.subtle.sign(ALGORITHM, key, concatBytes(message)));
  },
};

let current = portablePrimitives;

export function primitives(): Primitives {
  return current;
}

/** For a host, before anything is computed. */
export function usePrimitives(own: Primitives): void {
  current = own;
}
