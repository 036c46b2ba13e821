// A bare route and a bare relay: what `wrangler dev`, hono, a Durable Object and a WebSocket cost by themselves. The
// relay moves pieces of 1 MiB in frames of 256 KiB, in the order of asking, and hashes each piece, as the edge hashes
// each chunk. There is no protocol, no index and no choice of a holder.

import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";

interface Env {
  BARE_RELAY: DurableObjectNamespace<BareRelay>;
}

const FRAME_BYTES = 256 * 1024;
const PIECE_BYTES = 4 * FRAME_BYTES;
/** As many pieces on their way as the edge has chunks. */
const PIECES_AHEAD = 4;

/** A piece on its way from the node. */
interface Arriving {
  bytes: Uint8Array<ArrayBuffer>;
  filled: number;
  done: (bytes: Uint8Array<ArrayBuffer>) => void;
}

export class BareRelay extends DurableObject<Env> {
  readonly #arriving: Arriving[] = [];
  readonly #leaving: (() => void)[] = [];

  /** Takes the node's WebSocket. */
  override async fetch(): Promise<Response> {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** A piece from the node's memory. */
  piece(): Promise<Uint8Array<ArrayBuffer>> {
    this.#node().send("send");
    return new Promise((done) => {
      this.#arriving.push({ bytes: new Uint8Array(PIECE_BYTES), filled: 0, done });
    });
  }

  /** Brings a piece to the node; returns when the node has said that it has all of it. */
  async take(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    const node = this.#node();
    node.send(String(piece.length));
    for (let i = 0; i < piece.length; i += FRAME_BYTES) node.send(piece.subarray(i, i + FRAME_BYTES));
    await new Promise<void>((done) => this.#leaving.push(done));
  }

  override async webSocketMessage(_socket: WebSocket, message: string | ArrayBuffer): Promise<void> {
    if (typeof message === "string") return this.#leaving.shift()?.();
    const first = this.#arriving[0];
    if (first === undefined) return;
    first.bytes.set(new Uint8Array(message), first.filled);
    first.filled += message.byteLength;
    if (first.filled === PIECE_BYTES) this.#arriving.shift()?.done(first.bytes);
  }

  isConnected(): boolean {
    return this.ctx.getWebSockets().length > 0;
  }

  #node(): WebSocket {
    const [socket] = this.ctx.getWebSockets();
    if (socket === undefined) throw new Error("no node is connected");
    return socket;
  }
}

const app = new Hono<{ Bindings: Env }>()
  .get("/hello", (c) => c.text("hello"))
  .get("/node", (c) => relayOf(c.env).fetch(c.req.raw))
  .get("/connected", async (c) => c.body(null, (await relayOf(c.env).isConnected()) ? 200 : 503))
  .get("/relay/:pieces", (c) => {
    const pieces = Number(c.req.param("pieces"));
    const { readable, writable } = new FixedLengthStream(pieces * PIECE_BYTES);
    c.executionCtx.waitUntil(pump(relayOf(c.env), pieces, writable));
    return new Response(readable);
  })
  .put("/relay", async (c) => {
    const piece = new Uint8Array(await c.req.arrayBuffer());
    await crypto.subtle.digest("SHA-256", piece);
    await relayOf(c.env).take(piece);
    return c.text("ok");
  });

function relayOf(env: Env): DurableObjectStub<BareRelay> {
  return env.BARE_RELAY.get(env.BARE_RELAY.idFromName("the only one"));
}

async function pump(
  relay: DurableObjectStub<BareRelay>,
  pieces: number,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  const ahead: Promise<Uint8Array>[] = [];
  for (let i = 0; i < pieces + PIECES_AHEAD; i++) {
    if (i < pieces) ahead.push(hashedPiece(relay));
    const due = i < PIECES_AHEAD ? undefined : ahead.shift();
    if (due !== undefined) await writer.write(await due);
  }
  await writer.close();
}

async function hashedPiece(relay: DurableObjectStub<BareRelay>): Promise<Uint8Array> {
  const piece = await relay.piece();
  await crypto.subtle.digest("SHA-256", piece);
  return piece;
}

export default app;
