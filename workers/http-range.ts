// RFC 9110: which bytes of a representation a request asks for, and whether it asks for any. Pure functions of
// headers; malformed conditions are ignored, as the RFC has it.

import type { ByteRange } from "../lib/manifest.ts";

/** What identifies a representation: an entity tag's opaque text, and its date in milliseconds. */
export interface Validators {
  etag: string;
  modifiedMs: number;
}

export type RangeAnswer =
  | { status: 200 }
  | { status: 206; range: ByteRange }
  | { status: 304 }
  | { status: 416 };

/** The answer to a GET or HEAD under the preconditions of its headers (RFC 9110 13.2.2). */
export function evaluateConditions(headers: Headers, validators: Validators, sizeBytes: number): RangeAnswer {
  if (isNotModified(headers, validators)) return { status: 304 };
  const range = headers.get("Range");
  if (range === null || !mayUseRange(headers.get("If-Range"), validators)) return { status: 200 };
  return parseRange(range, sizeBytes);
}

function isNotModified(headers: Headers, { etag, modifiedMs }: Validators): boolean {
  const noneMatch = headers.get("If-None-Match");
  if (noneMatch !== null) return listsEtag(noneMatch, etag);
  const since = Date.parse(headers.get("If-Modified-Since") ?? "");
  return !Number.isNaN(since) && toSeconds(modifiedMs) <= toSeconds(since);
}

function listsEtag(list: string, etag: string): boolean {
  return list.split(",").some((entry) => {
    const tag = entry.trim();
    return tag === "*" || tag.replace(/^W\//, "") === `"${etag}"`;
  });
}

/** If-Range takes a strong tag or an exact date; where it does not match, the whole is sent. */
function mayUseRange(ifRange: string | null, { etag, modifiedMs }: Validators): boolean {
  if (ifRange === null) return true;
  if (ifRange.trim().startsWith('"')) return ifRange.trim() === `"${etag}"`;
  return toSeconds(Date.parse(ifRange)) === toSeconds(modifiedMs);
}

/** A single byte range. Several ranges, other units and malformed ones are answered with the whole (RFC 9110 14.2). */
function parseRange(text: string, sizeBytes: number): RangeAnswer {
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(text);
  const [, from = "", to = ""] = match ?? [];
  if (match === null || (from === "" && to === "")) return { status: 200 };
  if (from === "") return suffixRange(Number(to), sizeBytes);
  const [first, last] = [Number(from), to === "" ? sizeBytes - 1 : Number(to)];
  if (to !== "" && last < first) return { status: 200 };
  if (first >= sizeBytes) return { status: 416 };
  return { status: 206, range: { first, last: Math.min(last, sizeBytes - 1) } };
}

function suffixRange(length: number, sizeBytes: number): RangeAnswer {
  if (length === 0 || sizeBytes === 0) return { status: 416 };
  return { status: 206, range: { first: Math.max(0, sizeBytes - length), last: sizeBytes - 1 } };
}

function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}
