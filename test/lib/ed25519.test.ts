import { bytesToHex, hexToBytes, randomBytes } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { importSigner, verifyEd25519 } from "../../lib/ed25519.ts";
import vectors from "../vectors/ed25519.json" with { type: "json" };

describe("strict Ed25519", () => {
  test.each(vectors.cases)("$why", async ({ key, message, signature, valid }) => {
    expect(await verifyEd25519(hexToBytes(key), hexToBytes(message), hexToBytes(signature))).toBe(valid);
  });

  test("what is signed verifies, and with any one bit flipped does not", async () => {
    const signer = await importSigner(randomBytes(32));
    const message = new TextEncoder().encode("holdfast");
    const signature = await signer.sign(message);
    expect(await verifyEd25519(signer.publicKey, message, signature)).toBe(true);
    for (let bit = 0; bit < 512; bit += 7) {
      const flipped = Uint8Array.from(signature);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await verifyEd25519(signer.publicKey, message, flipped), bytesToHex(flipped)).toBe(false);
    }
  });
});
