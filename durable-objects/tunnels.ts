// The tunnels of one NodeLink: an opener for each registered socket, and HTTP requests passed through the newest one.
// In memory only. Whatever is under way when the object is evicted fails, and its readers ask another holder.

import { askThrough } from "../lib/tunnel/exchange.ts";
import { STREAM_ID_MAX } from "../lib/tunnel/frames.ts";
import { TunnelOpener } from "../lib/tunnel/opener.ts";
import { parseTunnelled } from "../lib/tunnel/passage.ts";
import { Upload } from "./upload.ts";

export class Tunnels {
  readonly #openers = new Map<WebSocket, TunnelOpener>();

  /** The node's answer to `request`, through `socket`. Throws what askThrough and parseTunnelled throw. */
  async relay(socket: WebSocket, request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const upload = request.body === null ? null : new Upload(request.body);
    const { status, headers, body } = await askThrough(this.#opener(socket), {
      ...parseTunnelled(request.method, pathname, search),
      headers: request.headers,
      body: upload,
      signal: request.signal,
    });
    if (status >= 400) await upload?.refuse();
    return new Response(body, { status, headers });
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

/** What is said into a closed socket is lost; its requests fail by `close`. */
function sendOpen(socket: WebSocket, message: Uint8Array): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(message);
}

function randomStream(): number {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return random % STREAM_ID_MAX;
}
