// Bodies as home nodes and clients send them, read whole into one buffer of bounded size. The runtime hands a body out in small
// pieces unless it is asked for more at once: a chunk read so takes one step instead of hundreds.

import { parseJson } from "../lib/canonical-json.ts";
import { HoldfastError } from "../lib/error.ts";
import { joinBytes } from "../lib/join-bytes.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";

/** So much gets a buffer before it is known whether it is filled. */
const BUFFER_BYTES_MAX = CHUNK_BYTES_MAX;
/** What a body of undeclared length is expected to have. */
const UNDECLARED_BYTES = 256 * 1024;
const LENGTH = /^\d{1,15}$/;

type Message = Pick<Request | Response, "headers" | "body">;

/** At most `maxBytes`. Throws `body-too-large`, before reading where the length is declared. */
export async function readBytes(message: Message, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = message;
  if (body === null) return new Uint8Array(0);
  const length = declaredLength(message);
  if (length !== null && length > maxBytes) {
    await body.cancel();
    throw new HoldfastError("body-too-large", `the body has ${length} bytes, the limit is ${maxBytes}`);
  }
  return readParts(body, maxBytes, length ?? UNDECLARED_BYTES);
}

/** One read where there is no more than `expected` bytes; then reads of what has come so far. */
async function readParts(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  expected: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader({ mode: "byob" });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (let size = expected; ; size = length) {
    // One byte more than is expected tells that there is more; one more than there may be, that it is too large.
    const wanted = Math.min(size, BUFFER_BYTES_MAX, maxBytes - length) + 1;
    const { value } = await reader.readAtLeast(wanted, new Uint8Array(wanted));
    if (value !== undefined) parts.push(value);
    length += value?.length ?? 0;
    if (length > maxBytes) {
      await reader.cancel();
      throw new HoldfastError("body-too-large", `the body is larger than ${maxBytes} bytes`);
    }
    if (value === undefined || value.length < wanted) return joinBytes(parts);
  }
}

/** What a node declares through its tunnel may be anything: what is no length is not looked at. */
export function declaredLength({ headers }: Message): number | null {
  const text = headers.get("Content-Length") ?? "";
  return LENGTH.test(text) ? Number(text) : null;
}

export async function readJsonBody(message: Message, maxBytes: number): Promise<unknown> {
  return parseJson(await readBytes(message, maxBytes), maxBytes);
}
