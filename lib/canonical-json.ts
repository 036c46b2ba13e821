// RFC 8785 canonical JSON, strict in both directions: bytes that differ from the canonical form of their own
// parse are refused, which rules out duplicate keys, other number spellings and insignificant white space.

import canonicalize from "canonicalize";
import { HoldfastError } from "./error.ts";

/** Deeper nesting is refused before parsing: nothing of ours nests deeper than 4. */
export const JSON_DEPTH_MAX = 16;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The canonical bytes of a JSON value. Throws TypeError for what JSON cannot say (undefined, NaN, lone surrogates). */
export function encodeCanonical(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(canonicalText(value)));
}

/** Parses canonical bytes of at most `maxBytes`. Throws `body-too-large` or `not-canonical`. */
export function parseCanonical(bytes: Uint8Array, maxBytes: number): unknown {
  const text = decodeText(bytes, maxBytes);
  const value = parseText(text);
  if (!isCanonical(value, text)) {
    throw new HoldfastError("not-canonical", "the JSON is not in RFC 8785 canonical form");
  }
  return value;
}

/** Parses ordinary JSON of at most `maxBytes` (request bodies, answers). Throws `body-too-large` or `invalid-request`. */
export function parseJson(bytes: Uint8Array, maxBytes: number): unknown {
  try {
    return parseText(decodeText(bytes, maxBytes));
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "not-canonical") {
      throw new HoldfastError("invalid-request", "the body is not JSON in UTF-8", { cause: error });
    }
    throw error;
  }
}

function canonicalText(value: unknown): string {
  try {
    const text = canonicalize(value);
    if (text !== undefined) return text;
  } catch (cause) {
    throw new TypeError("not a JSON value", { cause }); // infinities, lone surrogates, cycles
  }
  throw new TypeError("not a JSON value");
}

function isCanonical(value: unknown, text: string): boolean {
  try {
    return canonicalText(value) === text;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

function decodeText(bytes: Uint8Array, maxBytes: number): string {
  if (bytes.length > maxBytes) {
    throw new HoldfastError("body-too-large", `${bytes.length} bytes of JSON, the limit is ${maxBytes}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HoldfastError("not-canonical", "the JSON is not UTF-8", { cause });
  }
}

function parseText(text: string): unknown {
  if (depthOf(text) > JSON_DEPTH_MAX) {
    throw new HoldfastError("not-canonical", `the JSON nests deeper than ${JSON_DEPTH_MAX}`);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HoldfastError("not-canonical", "the bytes are not JSON", { cause });
  }
}

/** The deepest nesting of brackets outside strings, for text that may not even be JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = endOfString(text, i);
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return deepest;
}

/** Where the string that begins at `start` ends; the text's end where it does not. Most of a request is base64 in strings. */
function endOfString(text: string, start: number): number {
  for (let end = start; ; ) {
    end = text.indexOf('"', end + 1);
    if (end === -1) return text.length;
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
}
