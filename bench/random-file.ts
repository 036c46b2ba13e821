// Bytes that nothing can compress or find again: an AES keystream, the same for the same seed.

import { createCipheriv, createHash } from "node:crypto";
import { open } from "node:fs/promises";

const BLOCK_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(16);

export function* randomBlocks(seed: string, sizeBytes: number): Generator<Uint8Array> {
  const key = createHash("sha256").update(seed).digest();
  const stream = createCipheriv("aes-256-ctr", key, NO_BYTES);
  const zeros = new Uint8Array(BLOCK_BYTES);
  for (let left = sizeBytes; left > 0; left -= BLOCK_BYTES) {
    yield stream.update(zeros.subarray(0, Math.min(left, BLOCK_BYTES)));
  }
}

/** Writes the file and brings it to disk, so that no later sync pays for it. Returns its SHA-256 in hex. */
export async function writeRandomFile(path: string, seed: string, sizeBytes: number): Promise<string> {
  const digest = createHash("sha256");
  const file = await open(path, "w");
  try {
    for (const block of randomBlocks(seed, sizeBytes)) {
      digest.update(block);
      await file.writeFile(block);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return digest.digest("hex");
}
