// Base64 of statements as they travel: RFC 4648, one encoding, nothing else.

import { base64 } from "@scure/base";
import { HoldfastError } from "./error.ts";

/** Throws `invalid-statement`. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(base64.decode(text));
  } catch (cause) {
    throw new HoldfastError("invalid-statement", "the statement is not base64", { cause });
  }
}
