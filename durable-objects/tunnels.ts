// The tunnels of one NodeLink: an opener for each registered socket, and HTTP requests passed through the newest one.
// In memory only. Whatever is under way when the object is evicted fails, and its readers ask another holder.

import type { DeadlineLimits } from "../lib/deadline.ts";
import { PULL_PATIENCE_MS } from "../lib/durability/pull.ts";
import { HoldfastError } from "../lib/error.ts";
import type { BodyReader } from "../lib/fetch.ts";
import { DATA_BYTES_MAX, STREAM_ID_MAX } from "../lib/tunnel/frames.ts";
import { TunnelOpener, type TunnelResponse } from "../lib/tunnel/opener.ts";
import { PULL_PATH, parseTunnelled, REQUEST_HEADERS } from "../lib/tunnel/passage.ts";

/** An upload goes on in pieces of this size at least: a slow one must not look like a silent one. */
const UPLOAD_PIECE_BYTES = 64 * 1024;
/** A node says nothing while it copies a chunk, from a line as slow as 64 KiB/s. */
const PULL_LIMITS: DeadlineLimits = { idleMs: PULL_PATIENCE_MS, totalMs: PULL_PATIENCE_MS };
/** Response headers that mean something to the edge; a node's others end here. */
const RESPONSE_HEADERS = ["content-length", "content-type"];
/** Statuses that no response with a body can have, and no answer of a home node has. */
const BODILESS_STATUSES = [204, 205, 304];

export class Tunnels {
  readonly #openers = new Map<WebSocket, TunnelOpener>();

  /** The node's answer to `request`, through `socket`. Throws `bad-answer`, and what the opener and parseTunnelled throw. */
  async relay(socket: WebSocket, request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const { method, path } = parseTunnelled(request.method, pathname, search);
    const answer = await this.#opener(socket).request({
      head: { method, path, headers: passedOn(request.headers) },
      body: request.body === null ? null : piecesOf(request.body),
      signal: request.signal,
      limits: path === PULL_PATH ? PULL_LIMITS : undefined,
    });
    return responseOf(answer);
  }

  /** A binary message of the node. Throws `frame-malformed` or `frame-too-large`. */
  receive(socket: WebSocket, message: ArrayBuffer): void {
    this.#opener(socket).receive(new Uint8Array(message));
  }

  /** The socket is gone, or about to be. */
  close(socket: WebSocket): void {
    this.#openers.get(socket)?.close("the home node's connection is gone");
    this.#openers.delete(socket);
  }

  #opener(socket: WebSocket): TunnelOpener {
    const known = this.#openers.get(socket);
    if (known !== undefined) return known;
    const opener = new TunnelOpener({
      send: (message) => sendOpen(socket, message),
      firstStream: randomStream(),
    });
    this.#openers.set(socket, opener);
    return opener;
  }
}

function passedOn(headers: Headers): [string, string][] {
  return REQUEST_HEADERS.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value] as [string, string]];
  });
}

function responseOf({ status, headers, body }: TunnelResponse): Response {
  if (BODILESS_STATUSES.includes(status)) {
    void body?.cancel();
    throw new HoldfastError(
      "bad-answer",
      `the home node answered ${status}, which is no answer of the protocol`,
    );
  }
  return new Response(body, { status, headers: headers.filter(([name]) => RESPONSE_HEADERS.includes(name)) });
}

/** The runtime hands a body out in small pieces unless larger ones are asked for. */
function piecesOf(body: ReadableStream<Uint8Array>): BodyReader {
  const reader = body.getReader({ mode: "byob" });
  return {
    read: () => reader.readAtLeast(UPLOAD_PIECE_BYTES, new Uint8Array(DATA_BYTES_MAX)),
    cancel: (reason) => reader.cancel(reason),
  };
}

/** What is said into a closed socket is lost; its requests fail by `close`. */
function sendOpen(socket: WebSocket, message: Uint8Array): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(message);
}

function randomStream(): number {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return random % STREAM_ID_MAX;
}
