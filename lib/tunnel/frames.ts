// The tunnel's frames: HTTP messages in binary WebSocket messages. One byte says what it is, four which stream
// (big-endian), the rest is the payload. Text messages on the same socket are registration.ts's.

import * as v from "valibot";
import { parseJson } from "../canonical-json.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { parseWith } from "../schema.ts";

export const FRAME_HEADER_BYTES = 5;
/** Body bytes that one frame carries. */
export const DATA_BYTES_MAX = 256 * 1024;
export const FRAME_BYTES_MAX = FRAME_HEADER_BYTES + DATA_BYTES_MAX;
/** Two signed headers of an upload come to 12 KiB each. */
export const HEAD_BYTES_MAX = 32 * 1024;
/** Body bytes that a sender may have under way before the receiver gives more credit. */
export const WINDOW_BYTES = 1024 * 1024;
/** Streams of one connection at a time. With WINDOW_BYTES it bounds what slow readers keep in memory. */
export const STREAMS_MAX = 32;
export const STREAM_ID_MAX = 0xffff_ffff;
const HEADERS_MAX = 32;
const HEADER_VALUE_MAX = 16 * 1024;
const PATH_MAX = 2048;
const CODE_TEXT_MAX = 64;
const CREDIT_BYTES = 4;

const headersSchema = v.pipe(
  v.array(
    v.strictTuple([
      v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/)),
      v.pipe(v.string(), v.maxLength(HEADER_VALUE_MAX), v.regex(/^[\t\x20-\x7e]*$/)),
    ]),
  ),
  v.maxLength(HEADERS_MAX),
);
const requestHeadSchema = v.strictObject({
  method: v.picklist(["GET", "HEAD", "PUT", "POST"]),
  path: v.pipe(v.string(), v.maxLength(PATH_MAX), v.regex(/^\/[\x21-\x7e]*$/)),
  headers: headersSchema,
  /** Whether data frames and an end follow. */
  body: v.boolean(),
});
const responseHeadSchema = v.strictObject({
  status: v.pipe(v.number(), v.integer(), v.minValue(200), v.maxValue(599)),
  headers: headersSchema,
  body: v.boolean(),
});
const resetSchema = v.strictObject({ code: v.pipe(v.string(), v.maxLength(CODE_TEXT_MAX)) });

export type RequestHead = v.InferOutput<typeof requestHeadSchema>;
export type ResponseHead = v.InferOutput<typeof responseHeadSchema>;

export type Frame = { stream: number } & (
  | { type: "request"; head: RequestHead }
  | { type: "response"; head: ResponseHead }
  | { type: "data"; bytes: Uint8Array }
  | { type: "end" }
  /** The stream is over at once, in both directions; `code` says why. */
  | { type: "reset"; code: string }
  /** So many more body bytes may be sent. */
  | { type: "credit"; bytes: number }
);

const TYPES = ["request", "response", "data", "end", "reset", "credit"] as const;

export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const payload = encodePayload(frame);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  bytes[0] = TYPES.indexOf(frame.type);
  new DataView(bytes.buffer).setUint32(1, frame.stream);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** Throws `invalid-request` for a head that the other end would take for a breach of the protocol. */
export function checkRequestHead(head: RequestHead): void {
  parseWith(requestHeadSchema, head, "invalid-request");
}

/** `data` frames share the memory of `bytes`. Throws `frame-too-large` or `frame-malformed`. */
export function parseFrame(bytes: Uint8Array): Frame {
  if (bytes.length > FRAME_BYTES_MAX) {
    throw new HoldfastError("frame-too-large", `a frame has at most ${FRAME_BYTES_MAX} bytes`);
  }
  const type = TYPES[bytes[0] ?? TYPES.length];
  if (type === undefined || bytes.length < FRAME_HEADER_BYTES) throw malformed("no such frame");
  const stream = uint32(bytes, 1);
  return { stream, ...parsePayload(type, bytes.subarray(FRAME_HEADER_BYTES)) };
}

type WithoutStream<T> = T extends unknown ? Omit<T, "stream"> : never;

function encodePayload(frame: Frame): Uint8Array {
  if (frame.type === "data") return frame.bytes;
  if (frame.type === "end") return new Uint8Array(0);
  if (frame.type === "credit") return encodeUint32(frame.bytes);
  return encodeJson(frame.type === "reset" ? { code: frame.code } : frame.head);
}

function parsePayload(type: Frame["type"], payload: Uint8Array): WithoutStream<Frame> {
  switch (type) {
    case "request":
      return { type, head: parseHead(requestHeadSchema, payload) };
    case "response":
      return { type, head: parseHead(responseHeadSchema, payload) };
    case "reset":
      return { type, ...parseHead(resetSchema, payload) };
    case "data":
      if (payload.length === 0) throw malformed("a data frame carries bytes");
      return { type, bytes: payload };
    case "credit":
      if (payload.length !== CREDIT_BYTES) throw malformed("credit is four bytes");
      return { type, bytes: uint32(payload, 0) };
    case "end":
      if (payload.length !== 0) throw malformed("an end frame is empty");
      return { type };
  }
}

function parseHead<S extends v.GenericSchema<unknown, unknown>>(
  schema: S,
  payload: Uint8Array,
): v.InferOutput<S> {
  try {
    return parseWith(schema, parseJson(payload, HEAD_BYTES_MAX), "frame-malformed");
  } catch (cause) {
    if (isHoldfastError(cause, "frame-malformed")) throw cause;
    throw new HoldfastError(
      isHoldfastError(cause, "body-too-large") ? "frame-too-large" : "frame-malformed",
      `a head is JSON of at most ${HEAD_BYTES_MAX} bytes`,
      { cause },
    );
  }
}

function encodeJson(value: unknown): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  if (bytes.length > HEAD_BYTES_MAX) {
    throw new HoldfastError("frame-too-large", `a head has at most ${HEAD_BYTES_MAX} bytes`);
  }
  return bytes;
}

function encodeUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(CREDIT_BYTES);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function uint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0);
}

function malformed(what: string): HoldfastError {
  return new HoldfastError("frame-malformed", what);
}
