// The ways in which a holder's answer to GET /chunk can be wrong. Each takes the right bytes and makes another answer of
// them, as a transport would deliver it: in process, so that hundreds of thousands can be asked for.

import type { SeededRandom } from "../random.ts";

/** One request to a bad holder: the bytes that it should give, and what it may give instead. */
export interface Asked {
  bytes: Uint8Array<ArrayBuffer>;
  /** Another chunk that the holder has, whole and valid. */
  another: Uint8Array<ArrayBuffer>;
  random: SeededRandom;
  /** How long the reader waits for the next byte; a holder that drips stays below it. */
  idleMs: number;
  signal: AbortSignal;
}

type Misbehave = (asked: Asked) => Response | Promise<Response>;

export const BAD_ANSWERS = {
  "flips a bit": ({ bytes, random }) => {
    const altered = bytes.slice();
    const at = random.between(0, bytes.length - 1);
    altered[at] = (altered[at] ?? 0) ^ (1 << random.between(0, 7));
    return whole(altered);
  },
  "truncates, and declares the whole": (asked) => answer(beginning(asked), asked.bytes.length),
  "truncates, and declares what it sends": (asked) => whole(beginning(asked)),
  "sends no byte": () => whole(new Uint8Array(0)),
  "extends, and declares the chunk": (asked) => answer(extended(asked), asked.bytes.length),
  "extends, and declares what it sends": (asked) => whole(extended(asked)),
  "extends, and declares nothing": (asked) => answer(extended(asked), null),
  "swaps in another chunk": ({ another }) => whole(another),
  "is silent": ({ signal }) => neverUnless(signal),
  "stalls midway": (asked) =>
    answer(
      bodyOf([beginning(asked)], () => neverUnless(asked.signal)),
      asked.bytes.length,
    ),
  drips: (asked) => answer(dripping(asked), asked.bytes.length),
  "refuses the connection": () => Promise.reject(connectionError("ECONNREFUSED")),
  "is busy": () => problem(503, "rate-limited"),
  "denies that it has it": () => problem(404, "not-found"),
  "answers with a page": () => new Response("<h1>It works!</h1>", { status: 200 }),
  "vanishes midway": (asked) =>
    answer(
      bodyOf([beginning(asked)], () => Promise.reject(connectionError("ECONNRESET"))),
      asked.bytes.length,
    ),
} as const satisfies Record<string, Misbehave>;

export type BadAnswer = keyof typeof BAD_ANSWERS;
export const BAD_ANSWER_NAMES = Object.keys(BAD_ANSWERS) as BadAnswer[];

/** Waits until the reader gives up. */
export function neverUnless(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function whole(bytes: Uint8Array<ArrayBuffer>): Response {
  return answer(bytes, bytes.length);
}

function answer(body: Uint8Array<ArrayBuffer> | ReadableStream, declared: number | null): Response {
  const headers: Record<string, string> = declared === null ? {} : { "content-length": String(declared) };
  return new Response(body, { headers: { "content-type": "application/octet-stream", ...headers } });
}

function problem(status: number, code: string): Response {
  const body = JSON.stringify({ type: "about:blank", title: code, status, code, detail: "" });
  return new Response(body, { status, headers: { "content-type": "application/problem+json" } });
}

/** At least a byte less than all. */
function beginning({ bytes, random }: Asked): Uint8Array<ArrayBuffer> {
  return bytes.slice(0, random.between(0, bytes.length - 1));
}

function extended({ bytes, random }: Asked): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat([bytes, random.bytes(random.between(1, 5000))]));
}

/** The right bytes, one by one, so slowly that the whole takes hours. */
async function* drops({ bytes, idleMs, signal }: Asked): AsyncGenerator<Uint8Array> {
  for (const byte of bytes) {
    signal.throwIfAborted();
    yield Uint8Array.of(byte);
    await new Promise((resolve) => setTimeout(resolve, idleMs / 2));
  }
}

function dripping(asked: Asked): ReadableStream {
  return ReadableStream.from(drops(asked));
}

function bodyOf(pieces: Uint8Array[], end: () => Promise<never>): ReadableStream {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield* pieces.filter((piece) => piece.length > 0);
    await end();
  }
  return ReadableStream.from(body());
}

/** As Node's fetch fails. */
function connectionError(code: string): TypeError {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}
