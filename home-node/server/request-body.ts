// Request bodies: read as they come, at the pace of the pledge, up to a limit, and not one byte short of what was
// announced. Only so many at once, because each is held in memory until it is verified.

import type { IncomingMessage } from "node:http";
import { type ErrorCode, HoldfastError } from "../../lib/error.ts";
import type { Pace } from "./rate.ts";

const DIGITS = /^\d{1,15}$/;
/** For a body that does not announce its length: doubled as it grows. */
const UNANNOUNCED_BYTES = 64 * 1024;

export interface BodyLimit {
  maxBytes: number;
  /** The code of what is larger. */
  code: ErrorCode;
}

type Allocate = (bytes: number) => Uint8Array<ArrayBuffer>;
const allocateNew: Allocate = (bytes) => new Uint8Array(bytes);

// The streams that stand between a Request and Node's message cost more than all else that receiving a chunk takes.
const messages = new WeakMap<Request, IncomingMessage>();

/** Lets the body of `request` be read from the message that it came in. */
export function readDirectly(request: Request, message: IncomingMessage): void {
  messages.set(request, message);
}

/**
 * The whole body, in memory from `allocate`.
 * Throws `limit.code`, `length-mismatch` (broken off, or another length than announced) or `invalid-request`.
 */
export async function receiveBody(
  request: Request,
  limit: BodyLimit,
  pace: Pace,
  allocate: Allocate = allocateNew,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = declaredLength(request);
  if (declared !== null && declared > limit.maxBytes) throw tooLarge(limit);
  let buffer = allocate(declared ?? Math.min(UNANNOUNCED_BYTES, limit.maxBytes));
  let length = 0;
  for await (const piece of piecesOf(request)) {
    const end = length + piece.length;
    if (end > limit.maxBytes) throw tooLarge(limit);
    if (declared !== null && end > declared) throw lengthMismatch(`more than ${declared} bytes`, declared);
    if (end > buffer.length) buffer = enlarge(buffer, Math.min(Math.max(end, 2 * length), limit.maxBytes));
    buffer.set(piece, length);
    length = end;
    await pace.take(piece.length);
  }
  if (declared !== null && length !== declared) throw lengthMismatch(`${length} bytes`, declared);
  return buffer.subarray(0, length);
}

function enlarge(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}

function lengthMismatch(has: string, declared: number): HoldfastError {
  return new HoldfastError("length-mismatch", `the body has ${has}, Content-Length says ${declared}`);
}

/** The body as it comes. Throws `length-mismatch` where it breaks off. */
export async function* piecesOf(request: Request): AsyncGenerator<Uint8Array> {
  const message = messages.get(request);
  try {
    // Not destroyed where its reader stops early: that would take the connection away from the answer.
    if (message !== undefined) yield* message.iterator({ destroyOnReturn: false });
    else if (request.body !== null) yield* bodyOf(request.body);
  } catch (cause) {
    throw new HoldfastError("length-mismatch", "the body broke off", { cause });
  }
}

async function* bodyOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

function declaredLength(request: Request): number | null {
  const text = request.headers.get("content-length");
  if (text === null) return null;
  if (!DIGITS.test(text)) throw new HoldfastError("invalid-request", "Content-Length is not a number");
  return Number(text);
}

function tooLarge(limit: BodyLimit): HoldfastError {
  return new HoldfastError(limit.code, `at most ${limit.maxBytes} bytes are accepted`);
}

/** So many at once, and no queue: whoever comes then is told to come again. */
export class Slots {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Throws `rate-limited` while all slots are taken. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#max)
      throw new HoldfastError("rate-limited", "the home node is busy: try again shortly");
    this.#taken += 1;
    try {
      return await work();
    } finally {
      this.#taken -= 1;
    }
  }
}
