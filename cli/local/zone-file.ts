// The zone file that stands in for DNS on one machine: TXT records in master-file syntax (RFC 1035 5.1), one a line,
// so that the same line can be pasted into a real zone. Not a general zone parser: what else a zone may hold
// ($ORIGIN, other types, parentheses, names without their final dot) is refused with the line's number.

import { HoldfastError } from "../../lib/error.ts";

export const ZONE_CHARACTERS_MAX = 1024 * 1024;
export const LOCAL_TTL_SECONDS = 5;

const STRING_BYTES_MAX = 255;
const TTL_SECONDS_MAX = 0x7fff_ffff;
const OWNER = /^([a-z0-9_-]{1,63}\.)+$/;
const OWNER_LENGTH_MAX = 254;
const TOKEN = /[ \t]*([^ \t";]+)/y;
const QUOTED = /[ \t]*"((?:[^"\\]|\\\d{3}|\\\D)*)"(?=[ \t;"]|$)/y;
const END = /[ \t]*(?:;.*)?$/y;
const CHARACTER = /\\(\d{3})|\\(\D)|[^\\]/gu;
const DIRECTIVE = /^\s*\$/;

export interface ZoneRecord {
  /** Lower case, without the final dot. */
  owner: string;
  ttlSeconds: number;
  /** The character-strings, each at most 255 bytes. */
  strings: Uint8Array[];
}

/** Throws `invalid-record`, naming the first line that is not a TXT record, a comment or empty. */
export function parseZoneFile(text: string): ZoneRecord[] {
  if (text.length > ZONE_CHARACTERS_MAX) throw invalid(`it has more than ${ZONE_CHARACTERS_MAX} characters`);
  return text.split(/\r?\n/).flatMap((line, index) => {
    try {
      const record = parseZoneLine(line);
      return record === null ? [] : [record];
    } catch (cause) {
      if (!(cause instanceof HoldfastError)) throw cause;
      throw new HoldfastError("invalid-record", `line ${index + 1}: ${cause.message}`, { cause });
    }
  });
}

/** A zone line that holds `text`, split at 255 bytes: `_holdfast.example.org. 5 IN TXT "…" "…"`. */
export function formatZoneRecord(
  owner: string,
  text: string,
  ttlSeconds: number = LOCAL_TTL_SECONDS,
): string {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > TTL_SECONDS_MAX) {
    throw new RangeError(`a TTL is 0 to ${TTL_SECONDS_MAX} seconds`);
  }
  const bytes = new TextEncoder().encode(text);
  const starts = Array.from(
    { length: Math.max(1, Math.ceil(bytes.length / STRING_BYTES_MAX)) },
    (_, i) => i * STRING_BYTES_MAX,
  );
  const strings = starts.map((start) => formatString(bytes.subarray(start, start + STRING_BYTES_MAX)));
  return `${parseOwner(`${owner}.`)}. ${ttlSeconds} IN TXT ${strings.join(" ")}`;
}

function parseZoneLine(line: string): ZoneRecord | null {
  if (matchAt(END, line, 0) !== null) return null;
  if (DIRECTIVE.test(line))
    throw invalid("directives ($ORIGIN, $TTL, …) are not supported; write full names");
  if (/^[ \t]/.test(line)) throw invalid("the line must start with the owner name");
  const { tokens, offset } = readTokens(line);
  const [owner = "", ...fields] = tokens;
  const ttlSeconds = parseFields(fields);
  return { owner: parseOwner(owner), ttlSeconds, strings: parseStrings(line, offset) };
}

/** Everything before the first quote: owner, TTL, class, type. */
function readTokens(line: string): { tokens: string[]; offset: number } {
  const tokens: string[] = [];
  let offset = 0;
  for (let match = matchAt(TOKEN, line, 0); match !== null; match = matchAt(TOKEN, line, offset)) {
    tokens.push(match[1] ?? "");
    offset += match[0].length;
  }
  return { tokens, offset };
}

/** `[TTL] [class] TXT` or `[class] [TTL] TXT`. */
function parseFields(fields: readonly string[]): number {
  const type = fields.at(-1) ?? "";
  if (type.toUpperCase() !== "TXT") {
    throw invalid(
      `expected: owner [TTL] [IN] TXT "text" (only TXT, and every text in quotes), not ${JSON.stringify(type)}`,
    );
  }
  const options = fields.slice(0, -1);
  const ttls = options.filter((field) => /^\d{1,10}$/.test(field));
  const classes = options.filter((field) => field.toUpperCase() === "IN");
  if (ttls.length > 1 || classes.length > 1 || ttls.length + classes.length !== options.length) {
    throw invalid(`${JSON.stringify(options.join(" "))} is not a TTL in seconds and the class IN`);
  }
  const ttlSeconds = Number(ttls[0] ?? LOCAL_TTL_SECONDS);
  if (ttlSeconds > TTL_SECONDS_MAX) throw invalid(`a TTL is 0 to ${TTL_SECONDS_MAX} seconds`);
  return ttlSeconds;
}

function parseOwner(text: string): string {
  const owner = text.toLowerCase();
  if (owner.length > OWNER_LENGTH_MAX || !OWNER.test(owner)) {
    throw invalid(
      `${JSON.stringify(text.slice(0, 80))} is not a full name that ends in a dot (_holdfast.my.test.)`,
    );
  }
  return owner.slice(0, -1);
}

function parseStrings(line: string, start: number): Uint8Array[] {
  const strings: Uint8Array[] = [];
  let offset = start;
  for (let match = matchAt(QUOTED, line, offset); match !== null; match = matchAt(QUOTED, line, offset)) {
    strings.push(decodeString(match[1] ?? ""));
    offset += match[0].length;
  }
  if (strings.length === 0) throw invalid("TXT has no text in quotes");
  if (matchAt(END, line, offset) === null)
    throw invalid("a quote is not closed, or something stands outside of quotes");
  return strings;
}

/** Resolves RFC 1035 escapes: `\DDD` is the byte with that decimal number, `\X` is X. */
function decodeString(text: string): Uint8Array {
  const bytes = Array.from(text.matchAll(CHARACTER), ([whole, decimal, escaped]) =>
    decimal === undefined ? [...new TextEncoder().encode(escaped ?? whole)] : [parseByte(decimal)],
  ).flat();
  if (bytes.length > STRING_BYTES_MAX) {
    throw invalid(`a string has ${bytes.length} bytes; ${STRING_BYTES_MAX} are allowed: split it in two`);
  }
  return Uint8Array.from(bytes);
}

function parseByte(decimal: string): number {
  if (Number(decimal) > 255) throw invalid(`\\${decimal} is not a byte`);
  return Number(decimal);
}

function formatString(bytes: Uint8Array): string {
  return `"${Array.from(bytes, formatByte).join("")}"`;
}

function formatByte(byte: number): string {
  if (byte < 0x20 || byte > 0x7e) return `\\${String(byte).padStart(3, "0")}`;
  const character = String.fromCharCode(byte);
  return character === '"' || character === "\\" ? `\\${character}` : character;
}

function matchAt(pattern: RegExp, text: string, offset: number): RegExpExecArray | null {
  pattern.lastIndex = offset;
  return pattern.exec(text);
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("invalid-record", message);
}
