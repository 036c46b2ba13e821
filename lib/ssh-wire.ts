// The SSH wire encoding (RFC 4251 5) as far as keys and signatures use it: uint32 and string.

import { concatBytes } from "@noble/hashes/utils.js";
import { type ErrorCode, HoldfastError } from "./error.ts";

export function sshUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

export function sshString(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return concatBytes(sshUint32(bytes.length), bytes);
}

/** Reads fields in order; running past the end, or leaving bytes over, throws the code it was made with. */
export class SshReader {
  readonly #bytes: Uint8Array;
  readonly #code: ErrorCode;
  #offset = 0;

  constructor(bytes: Uint8Array, code: ErrorCode) {
    this.#bytes = bytes;
    this.#code = code;
  }

  uint32(): number {
    const field = this.#take(4);
    return new DataView(field.buffer, field.byteOffset, 4).getUint32(0);
  }

  string(): Uint8Array {
    return this.#take(this.uint32());
  }

  text(): string {
    return decodeUtf8(this.string(), this.#code);
  }

  fixedText(length: number): string {
    return decodeUtf8(this.#take(length), this.#code);
  }

  end(): void {
    if (this.#offset !== this.#bytes.length)
      throw new HoldfastError(this.#code, "bytes are left over at the end");
  }

  #take(length: number): Uint8Array {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new HoldfastError(this.#code, "the data ends too early");
    const field = this.#bytes.slice(this.#offset, end);
    this.#offset = end;
    return field;
  }
}

function decodeUtf8(bytes: Uint8Array, code: ErrorCode): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HoldfastError(code, "the text is not UTF-8", { cause });
  }
}
