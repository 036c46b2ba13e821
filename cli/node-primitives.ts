// OpenSSL, called as it is: WebCrypto in Node is the same library behind a thread pool, which takes twice as long for a
// statement, and the portable SHA-2 four times. Base64 in JavaScript takes ten times as long as Buffer's.

import { createPrivateKey, createPublicKey, hash, sign, verify } from "node:crypto";
import type { Primitives } from "../lib/primitives.ts";

export const nodePrimitives: Primitives = {
  sha256: (bytes) => hash("sha256", bytes, "buffer"),
  sha512: (bytes) => hash("sha512", bytes, "buffer"),
  encodeBase64: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"),
  decodeBase64(text) {
    const bytes = Buffer.from(text, "base64");
    // Buffer overlooks what it does not know.
    if (bytes.toString("base64") !== text) throw new TypeError("not base64 as it is written here");
    return new Uint8Array(bytes);
  },
  async importVerifier(publicKey) {
    const x = Buffer.from(publicKey).toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    return async (message, signature) => verify(null, message, key, signature);
  },
  async importSigner(pkcs8) {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
    return async (message) => new Uint8Array(sign(null, message, key));
  },
};
