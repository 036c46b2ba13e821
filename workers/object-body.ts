// What the body of an answer at /obj is made of: ranges of the object, and for several of them the framing of
// multipart/byteranges around each (RFC 9110 14.6). Its length is known before its first byte.

import type { ByteRange } from "../lib/manifest.ts";
import { totalBytes } from "./http-range.ts";

export interface BodySection {
  /** Bytes before the range's own. */
  lead: Uint8Array;
  range: ByteRange;
}

export interface ObjectBody {
  sections: BodySection[];
  /** Bytes after the last range. */
  trail: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const BOUNDARY_BYTES = 10;

/** One range, as it stands. */
export function plainBody(range: ByteRange): ObjectBody {
  return { sections: [{ lead: NOTHING, range }], trail: NOTHING };
}

/** Several ranges, each with its own type and place. `boundary` must not be found in the object. */
export function multipartBody(
  ranges: ByteRange[],
  sizeBytes: number,
  contentType: string,
  boundary: string,
): ObjectBody {
  const encoder = new TextEncoder();
  const leadOf = (range: ByteRange) =>
    `\r\n--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: ${contentRange(range, sizeBytes)}\r\n\r\n`;
  return {
    sections: ranges.map((range) => ({ lead: encoder.encode(leadOf(range)), range })),
    trail: encoder.encode(`\r\n--${boundary}--\r\n`),
  };
}

export function bodyLength({ sections, trail }: ObjectBody): number {
  const leads = sections.reduce((sum, { lead }) => sum + lead.length, 0);
  return leads + totalBytes(sections.map(({ range }) => range)) + trail.length;
}

export function contentRange({ first, last }: ByteRange, sizeBytes: number): string {
  return `bytes ${first}-${last}/${sizeBytes}`;
}

/** 80 random bits: no publisher can put it into an object beforehand. */
export function randomBoundary(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(BOUNDARY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
