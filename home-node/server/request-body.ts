// Request bodies: read as they come, at the pace of the pledge, up to a limit, and not one byte short of what was
// announced. Only so many at once, because each is held in memory until it is verified.

import { type ErrorCode, HoldfastError } from "../../lib/error.ts";
import type { RateLimit } from "./rate.ts";

const DIGITS = /^\d{1,15}$/;

export interface BodyLimit {
  maxBytes: number;
  /** The code of what is larger. */
  code: ErrorCode;
}

/** The whole body. Throws `limit.code`, `length-mismatch` (broken off, or another length than announced) or `invalid-request`. */
export async function receiveBody(request: Request, limit: BodyLimit, pace: RateLimit): Promise<Uint8Array> {
  const declared = declaredLength(request);
  if (declared !== null && declared > limit.maxBytes) throw tooLarge(limit);
  const body = await receivePieces(request, limit, pace);
  if (declared !== null && body.length !== declared) {
    throw new HoldfastError(
      "length-mismatch",
      `the body has ${body.length} bytes, Content-Length says ${declared}`,
    );
  }
  return body;
}

async function receivePieces(request: Request, limit: BodyLimit, pace: RateLimit): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bodyOf(request)) {
    length += piece.length;
    if (length > limit.maxBytes) throw tooLarge(limit);
    pieces.push(piece);
    await pace.take(piece.length);
  }
  return Buffer.concat(pieces, length);
}

async function* bodyOf(request: Request): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = await readPiece(reader);
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

async function readPiece(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (cause) {
    throw new HoldfastError("length-mismatch", "the body broke off", { cause });
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
