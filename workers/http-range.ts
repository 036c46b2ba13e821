// RFC 9110: which bytes of a representation a request asks for, and whether it asks for any. Pure functions of the
// request's headers. Where the RFC leaves a choice, the answer is nginx's: clients are written against it.

import type { ByteRange } from "../lib/manifest.ts";
import { parseHttpDate } from "./http-date.ts";

/** Ranges in one request; with more, the whole is sent. Each can cost two chunks for a single byte. */
export const RANGES_MAX = 32;

/** What identifies a representation: an entity tag's opaque text, and its date in milliseconds. */
export interface Validators {
  etag: string;
  modifiedMs: number;
}

export type RangeAnswer =
  | { status: 200 }
  | { status: 206; ranges: ByteRange[] }
  | { status: 304 }
  | { status: 412 }
  | { status: 416 };

/** The answer to a GET or HEAD under the preconditions of its headers, in the order of RFC 9110 13.2.2. */
export function evaluateConditions(
  request: Pick<Request, "method" | "headers">,
  validators: Validators,
  sizeBytes: number,
): RangeAnswer {
  const { method, headers } = request;
  if (hasOtherState(headers, validators)) return { status: 412 };
  if (isNotModified(headers, validators)) return { status: 304 };
  const range = headers.get("Range");
  // Range is defined for GET alone (RFC 9110 14.2).
  if (method !== "GET" || range === null || !mayUseRange(headers, validators)) return { status: 200 };
  return parseRange(range, sizeBytes);
}

/** The client wants the state that it knows, and this is another one. */
function hasOtherState(headers: Headers, { etag, modifiedMs }: Validators): boolean {
  const match = headers.get("If-Match");
  if (match !== null) return !listsTag(match, etag);
  const since = dateOf(headers, "If-Unmodified-Since");
  return since !== null && toSeconds(modifiedMs) > since;
}

function isNotModified(headers: Headers, { etag, modifiedMs }: Validators): boolean {
  const noneMatch = headers.get("If-None-Match");
  if (noneMatch !== null) return listsTag(noneMatch.replaceAll('W/"', '"'), etag);
  const since = dateOf(headers, "If-Modified-Since");
  return since !== null && toSeconds(modifiedMs) <= since;
}

/** If-Range takes a strong tag or the exact date; where it does not match, the whole is sent. */
function mayUseRange(headers: Headers, { etag, modifiedMs }: Validators): boolean {
  const ifRange = headers.get("If-Range");
  if (ifRange === null || ifRange === `"${etag}"`) return true;
  return dateOf(headers, "If-Range") === toSeconds(modifiedMs);
}

/** A weak tag never equals the strong one that is asked about. */
function listsTag(list: string, etag: string): boolean {
  return list === "*" || list.split(",").some((entry) => entry.trim() === `"${etag}"`);
}

function parseRange(text: string, sizeBytes: number): RangeAnswer {
  const [, list] = /^bytes=(.+)$/i.exec(text) ?? [];
  if (list === undefined) return { status: 200 };
  const specs = list
    .split(",")
    .filter((entry) => entry.trim() !== "") // a list may have empty elements (RFC 9110 5.6.1.2)
    .map((entry) => parseSpec(entry, sizeBytes));
  const wanted = specs.filter((spec) => spec !== null);
  if (wanted.length === 0 || wanted.length < specs.length) return { status: 416 };
  // An empty object has no range that Content-Range could name: who always sends one gets the nothing that there is.
  if (sizeBytes === 0 && wanted.some(({ first }) => first === 0)) return { status: 200 };
  const ranges = wanted.filter(({ first, last }) => first <= last);
  if (ranges.length === 0) return { status: 416 };
  if (ranges.length > RANGES_MAX || totalBytes(ranges) > sizeBytes) return { status: 200 };
  return { status: 206, ranges };
}

/** One range, cut to the object's end; with `first` past `last` where it holds no byte. Null where it is malformed. */
function parseSpec(text: string, sizeBytes: number): ByteRange | null {
  const match = /^[ \t]*(?:(\d+)[ \t]*-[ \t]*(\d*)|-(\d+))[ \t]*$/.exec(text);
  if (match === null) return null;
  const [, first, last = "", suffix] = match;
  if (suffix !== undefined) return { first: Math.max(0, sizeBytes - Number(suffix)), last: sizeBytes - 1 };
  const end = last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  return { first: Number(first), last: end };
}

export function totalBytes(ranges: ByteRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** Seconds, or null where the header is not there or not an HTTP-date: then it is as if it were not there. */
function dateOf(headers: Headers, name: string): number | null {
  const text = headers.get(name);
  return text === null ? null : parseHttpDate(text);
}

function toSeconds(ms: number): number {
  return Math.floor(ms / 1000);
}
