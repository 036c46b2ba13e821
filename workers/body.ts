// Bodies as home nodes and clients send them, read whole into one buffer of bounded size. The runtime hands a body out in small
// pieces unless it is asked for more at once: a chunk read so takes one step instead of hundreds.

import { parseJson } from "../lib/canonical-json.ts";
import { HoldfastError } from "../lib/error.ts";
import { readBody } from "../lib/fetch.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";

/** Bodies up to this size get a buffer before it is known that they fill it. */
const BUFFER_BYTES_MAX = CHUNK_BYTES_MAX;
const LENGTH = /^\d{1,15}$/;

type Message = Pick<Request | Response, "headers" | "body">;

/** At most `maxBytes`. Throws `body-too-large`, before reading where the length is declared. */
export async function readBytes(message: Message, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = message;
  const length = declaredLength(message) ?? maxBytes;
  if (body === null || length > BUFFER_BYTES_MAX || length > maxBytes) return readBody(message, maxBytes);
  // One byte more than there may be: a body that fills the buffer is too large.
  const reader = body.getReader({ mode: "byob" });
  const { value } = await reader.readAtLeast(length + 1, new Uint8Array(length + 1));
  if (value === undefined) return new Uint8Array(0);
  if (value.length <= length) return value;
  await reader.cancel();
  throw new HoldfastError("body-too-large", `the body is larger than ${length} bytes`);
}

/** What a node declares through its tunnel may be anything: what is no length is not looked at. */
export function declaredLength({ headers }: Message): number | null {
  const text = headers.get("Content-Length") ?? "";
  return LENGTH.test(text) ? Number(text) : null;
}

export async function readJsonBody(message: Message, maxBytes: number): Promise<unknown> {
  return parseJson(await readBytes(message, maxBytes), maxBytes);
}
