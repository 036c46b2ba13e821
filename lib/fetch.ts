// The least of `fetch` that lib uses. The global fetch of Node, workerd and browsers fits it,
// and so does a host's own faster client.

import { HoldfastError } from "./error.ts";

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

/** The whole body of a response or request, refused with `body-too-large` as soon as it passes `maxBytes`. */
export async function readBody(
  message: Pick<FetchResponse, "headers" | "body">,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(message.headers.get("content-length") ?? 0);
  if (declared > maxBytes) {
    await message.body?.getReader().cancel();
    throw new HoldfastError("body-too-large", `the body has ${declared} bytes, the limit is ${maxBytes}`);
  }
  return message.body === null ? new Uint8Array(0) : readAll(message.body.getReader(), maxBytes, declared);
}

async function readAll(
  reader: BodyReader,
  maxBytes: number,
  declared: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let buffer = new Uint8Array(declared > 0 ? declared : 64 * 1024);
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
