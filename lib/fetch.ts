// The least of `fetch` that lib uses. The global fetch of Node, workerd and browsers fits it,
// and so does a host's own faster client.

import { HoldfastError } from "./error.ts";

/** For a body that does not announce its length: doubled as it grows. */
const UNANNOUNCED_BYTES = 64 * 1024;

export interface FetchInit {
  method?: string;
  headers?: Record<string, string>;
  body?: Uint8Array<ArrayBuffer> | string;
  signal?: AbortSignal;
  redirect?: "manual" | "follow" | "error";
}

export interface BodyReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(reason?: unknown): Promise<void>;
}

export interface FetchResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): BodyReader } | null;
}

export type Fetch = (url: string, init?: FetchInit) => Promise<FetchResponse>;

/** Memory for so many bytes, whatever is in it. */
export type Allocate = (bytes: number) => Uint8Array<ArrayBuffer>;

const allocateNew: Allocate = (bytes) => new Uint8Array(bytes);

/**
 * The whole body of a response or request, refused with `body-too-large` as soon as it passes `maxBytes`. One that
 * announces its length is read into memory from `allocate`.
 */
export async function readBody(
  message: Pick<FetchResponse, "headers" | "body">,
  maxBytes: number,
  allocate: Allocate = allocateNew,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(message.headers.get("content-length") ?? 0);
  if (declared > maxBytes) {
    await message.body?.getReader().cancel();
    throw new HoldfastError("body-too-large", `the body has ${declared} bytes, the limit is ${maxBytes}`);
  }
  if (message.body === null) return new Uint8Array(0);
  const buffer = declared > 0 ? allocate(declared) : new Uint8Array(Math.min(UNANNOUNCED_BYTES, maxBytes));
  return readAll(message.body.getReader(), maxBytes, buffer);
}

async function readAll(
  reader: BodyReader,
  maxBytes: number,
  into: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  let buffer = into;
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || value === undefined) return buffer.length === length ? buffer : buffer.slice(0, length);
    if (length + value.length > maxBytes) {
      await reader.cancel();
      throw new HoldfastError("body-too-large", `the body is larger than ${maxBytes} bytes`);
    }
    if (length + value.length > buffer.length) buffer = grow(buffer, length + value.length, maxBytes);
    buffer.set(value, length);
    length += value.length;
  }
}

function grow(buffer: Uint8Array<ArrayBuffer>, needed: number, maxBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(needed, Math.min(maxBytes, 2 * buffer.length)));
  larger.set(buffer);
  return larger;
}
