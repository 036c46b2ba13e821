// A pair of hands on a home node's WebSocket to the edge: text passes as it is, and the tunnel's frames are altered where
// a plot says so.

import { type RawData, WebSocket } from "ws";
import { encodeFrame, FRAME_BYTES_MAX, type Frame, parseFrame } from "../../lib/tunnel/frames.ts";
import { flipped, type Plot, SURPLUS, type Way } from "./plot.ts";

const CHUNK_PATH = /^\/chunk\/([0-9a-f]{64})$/;

/** Connects a node's socket on to `url`; the edge hears `host`, because it binds a registration to the origin dialled. */
export function relayLink(node: WebSocket, url: string, host: string, plot: Plot): void {
  const edge = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    headers: { host },
  });
  const tunnel = new BadTunnel({
    plot,
    toEdge: (frame) => sendTo(edge, encodeFrame(frame)),
    toNode: (frame) => sendTo(node, encodeFrame(frame)),
  });
  relay(node, edge, (frame) => tunnel.fromNode(frame));
  relay(edge, node, (frame) => tunnel.fromEdge(frame));
}

/** Passes text on as it is, and hands frames to whoever decides about them. Nothing is lost while the other end opens. */
function relay(from: WebSocket, to: WebSocket, onFrame: (frame: Frame) => void): void {
  const waiting: (() => void)[] = [];
  const whenOpen = (work: () => void) =>
    to.readyState === WebSocket.CONNECTING ? waiting.push(work) : work();
  to.on("open", () => {
    for (const work of waiting.splice(0)) work();
  });
  from.on("message", (data: RawData, isBinary: boolean) => {
    const bytes = bytesOf(data);
    whenOpen(() => (isBinary ? onFrame(parseFrame(bytes)) : sendTo(to, bytes.toString())));
  });
  from.on("close", () => to.terminate());
  from.on("error", () => to.terminate());
}

function sendTo(socket: WebSocket, message: Uint8Array | string): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(message);
}

interface BadTunnelOptions {
  plot: Plot;
  toEdge: (frame: Frame) => void;
  toNode: (frame: Frame) => void;
}

interface BadStream {
  way: Way;
  sizeBytes: number;
  sentBytes: number;
  /** Nothing more of it reaches the edge. */
  isOver: boolean;
}

/** The tunnel's frames, of which some requests are answered badly. */
class BadTunnel {
  readonly #options: BadTunnelOptions;
  readonly #streams = new Map<number, BadStream>();

  constructor(options: BadTunnelOptions) {
    this.#options = options;
  }

  fromEdge(frame: Frame): void {
    const { plot, toNode } = this.#options;
    const isRead = frame.type === "request" && frame.head.method === "GET";
    const [, hash] = (isRead && CHUNK_PATH.exec(frame.head.path)) || [];
    const plan = hash === undefined ? null : plot.take(hash, "tunnel");
    if (!isRead || plan === null) toNode(frame);
    else this.#begin(frame, plan.way, plan.other);
  }

  fromNode(frame: Frame): void {
    const { toEdge } = this.#options;
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) toEdge(frame);
    else if (!stream.isOver) this.#alter(stream, frame);
  }

  #begin(frame: Extract<Frame, { type: "request" }>, way: Way, other: string): void {
    const { toEdge, toNode } = this.#options;
    const { stream, head } = frame;
    if (way === "is silent") return;
    if (way === "refuses") toEdge({ type: "reset", stream, code: "internal" });
    else if (way === "is busy") {
      toEdge({ type: "response", stream, head: { status: 503, headers: [], body: false } });
    } else {
      this.#streams.set(stream, { way, sizeBytes: 0, sentBytes: 0, isOver: false });
      const path = way === "swaps in another chunk" ? `/chunk/${other}` : head.path;
      toNode({ ...frame, head: { ...head, path } });
    }
  }

  #alter(stream: BadStream, frame: Frame): void {
    const { toEdge } = this.#options;
    if (frame.type === "data") this.#alterData(stream, frame);
    else if (frame.type === "response") toEdge({ ...frame, head: this.#alterHead(stream, frame.head) });
    else {
      if (frame.type === "end" && stream.way.startsWith("extends")) {
        toEdge({ type: "data", stream: frame.stream, bytes: SURPLUS });
      }
      toEdge(frame);
    }
  }

  #alterHead(stream: BadStream, head: Extract<Frame, { type: "response" }>["head"]) {
    stream.sizeBytes = Number(head.headers.find(([name]) => name === "content-length")?.[1] ?? 0);
    const declared = stream.sizeBytes + lengthLie(stream.way);
    const headers = head.headers.map(([name, value]): [string, string] =>
      name === "content-length" ? [name, String(declared)] : [name, value],
    );
    return { ...head, headers };
  }

  #alterData(stream: BadStream, frame: Extract<Frame, { type: "data" }>): void {
    const { toEdge, toNode } = this.#options;
    const bytes = stream.way === "flips a bit" && stream.sentBytes === 0 ? flipped(frame.bytes) : frame.bytes;
    const left = lastByteOf(stream) - stream.sentBytes;
    const passed = bytes.subarray(0, left);
    stream.sentBytes += passed.length;
    if (passed.length > 0) toEdge({ ...frame, bytes: passed });
    if (passed.length === bytes.length) return;
    stream.isOver = true;
    if (stream.way.startsWith("truncates")) toEdge({ type: "end", stream: frame.stream });
    if (stream.way === "vanishes midway") toEdge({ type: "reset", stream: frame.stream, code: "internal" });
    toNode({ type: "reset", stream: frame.stream, code: "cancelled" });
  }
}

/** How many bytes of the chunk reach the edge. */
function lastByteOf({ way, sizeBytes }: BadStream): number {
  if (way === "truncates, and declares what it sends") return sizeBytes - 1;
  const isCut = way === "truncates" || way === "stalls midway" || way === "vanishes midway";
  return isCut ? sizeBytes >> 1 : Number.POSITIVE_INFINITY;
}

function lengthLie(way: Way): number {
  if (way === "truncates, and declares what it sends") return -1;
  return way === "extends, and declares what it sends" ? SURPLUS.length : 0;
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : data;
}
