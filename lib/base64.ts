// Base64 of statements as they travel: RFC 4648, padded, one encoding, nothing else.

import { HoldfastError } from "./error.ts";
import { primitives } from "./primitives.ts";

/** As the host has it fastest. `decode` throws for what `encode` does not make. */
export const base64 = {
  encode: (bytes: Uint8Array): string => primitives().encodeBase64(bytes),
  decode: (text: string): Uint8Array<ArrayBuffer> => primitives().decodeBase64(text),
};

/** Throws `invalid-statement`. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return base64.decode(text);
  } catch (cause) {
    throw new HoldfastError("invalid-statement", "the statement is not base64", { cause });
  }
}
