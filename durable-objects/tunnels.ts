// The tunnels of one NodeLink: an opener for each registered socket, and HTTP requests passed through the newest one.
// In memory only. Whatever is under way when the object is evicted fails, and its readers ask another holder.

import type { BodyReader } from "../lib/fetch.ts";
import { askThrough } from "../lib/tunnel/exchange.ts";
import { DATA_BYTES_MAX, STREAM_ID_MAX } from "../lib/tunnel/frames.ts";
import { TunnelOpener } from "../lib/tunnel/opener.ts";
import { parseTunnelled } from "../lib/tunnel/passage.ts";

/** An upload goes on in pieces of this size at least: a slow one must not look like a silent one. */
const UPLOAD_PIECE_BYTES = 64 * 1024;

export class Tunnels {
  readonly #openers = new Map<WebSocket, TunnelOpener>();

  /** The node's answer to `request`, through `socket`. Throws what askThrough and parseTunnelled throw. */
  async relay(socket: WebSocket, request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const { headers, body } = request;
    const { status, ...answer } = await askThrough(this.#opener(socket), {
      ...parseTunnelled(request.method, pathname, search),
      headers,
      body: body === null ? null : piecesOf(body),
      signal: request.signal,
    });
    return new Response(answer.body, { status, headers: answer.headers });
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
