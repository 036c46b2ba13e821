// The edge's end of a tunnel: sends requests to the home node and receives its answers. It lives in memory only: after
// an eviction the node's late frames meet an opener that does not know their streams, and are reset.

import { Deadline, type DeadlineLimits } from "../deadline.ts";
import { HoldfastError } from "../error.ts";
import type { BodyReader } from "../fetch.ts";
import { Credit, InboundBody, sendBody } from "./flow.ts";
import {
  checkRequestHead,
  encodeFrame,
  type Frame,
  parseFrame,
  type RequestHead,
  type ResponseHead,
  STREAM_ID_MAX,
  STREAMS_MAX,
} from "./frames.ts";

/** A stream over which nothing passes for this long, or that is not over after it, is given up. */
export const OPENER_LIMITS: DeadlineLimits = { idleMs: 15_000, totalMs: 120_000 };

export interface TunnelRequest {
  head: Omit<RequestHead, "body">;
  body: BodyReader | null;
  /** Gives the request up. */
  signal?: AbortSignal | undefined;
  /** Where the node has to work long before it can answer; in place of the tunnel's own. */
  limits?: DeadlineLimits | undefined;
}

export interface TunnelResponse extends Pick<ResponseHead, "status" | "headers"> {
  body: ReadableStream<Uint8Array> | null;
}

export interface OpenerOptions {
  /** Hands a binary message to the socket; one that is closed already drops it. */
  send: (message: Uint8Array<ArrayBuffer>) => void;
  /** Where stream ids begin: drawn at random, so that ids from before an eviction do not come again. */
  firstStream: number;
  limits?: DeadlineLimits;
}

export class TunnelOpener {
  readonly #options: OpenerOptions;
  readonly #streams = new Map<number, OutgoingStream>();
  #next: number;

  constructor(options: OpenerOptions) {
    this.#options = options;
    this.#next = options.firstStream;
  }

  /** Requests under way. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Sends a request and returns when the head of its response is there. Throws `invalid-request` or `frame-too-large`
   * (what a stranger put into a header must not cost the node its connection), `rate-limited` (STREAMS_MAX are under
   * way), `timeout`, or `unreachable` (the node gave the stream up, or the connection is gone).
   */
  async request(request: TunnelRequest): Promise<TunnelResponse> {
    if (this.#streams.size >= STREAMS_MAX) {
      throw new HoldfastError(
        "rate-limited",
        "the home node has too many requests under way: try again shortly",
      );
    }
    checkRequestHead({ ...request.head, body: request.body !== null });
    const id = this.#freeId();
    const stream = new OutgoingStream({
      id,
      send: (frame) => this.#send(frame),
      onOver: () => void this.#streams.delete(id),
      limits: request.limits ?? this.#options.limits ?? OPENER_LIMITS,
    });
    this.#streams.set(id, stream);
    return stream.start(request);
  }

  /** Takes a binary message from the socket. Throws `frame-malformed` or `frame-too-large`: close the socket then. */
  receive(message: Uint8Array): void {
    const frame = parseFrame(message);
    const stream = this.#streams.get(frame.stream);
    if (stream !== undefined) stream.receive(frame);
    else if (frame.type !== "reset")
      this.#send({ type: "reset", stream: frame.stream, code: "unknown-stream" });
  }

  /** The socket is gone: every request fails. */
  close(reason: string): void {
    const error = new HoldfastError("unreachable", reason);
    for (const stream of [...this.#streams.values()]) stream.fail(error);
  }

  #send(frame: Frame): void {
    this.#options.send(encodeFrame(frame));
  }

  #freeId(): number {
    do {
      this.#next = (this.#next + 1) % STREAM_ID_MAX;
    } while (this.#streams.has(this.#next));
    return this.#next;
  }
}

interface StreamOptions {
  id: number;
  send: (frame: Frame) => void;
  /** Called once. */
  onOver: () => void;
  limits: DeadlineLimits;
}

class OutgoingStream {
  readonly #options: StreamOptions;
  readonly #credit = new Credit();
  readonly #body: InboundBody;
  readonly #deadline: Deadline;
  readonly #head = Promise.withResolvers<ResponseHead>();
  readonly #over = new AbortController();
  #isAnswered = false;

  constructor(options: StreamOptions) {
    const { id, send, limits } = options;
    this.#options = options;
    this.#deadline = new Deadline("the home node", limits);
    this.#deadline.signal.addEventListener("abort", () =>
      this.#giveUp(this.#deadline.signal.reason, "timeout"),
    );
    this.#body = new InboundBody({
      giveCredit: (bytes) => {
        if (this.#isOver) return;
        this.#deadline.extend();
        send({ type: "credit", stream: id, bytes });
      },
      onCancel: () => this.#giveUp(new HoldfastError("internal", "the reader went away"), "cancelled"),
    });
  }

  async start({ head, body, signal }: TunnelRequest): Promise<TunnelResponse> {
    const giveUp = () => this.#giveUp(signal?.reason, "cancelled");
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    else this.#open(head, body);
    const { status, headers, body: hasBody } = await this.#head.promise;
    return { status, headers, body: hasBody ? this.#body.stream : null };
  }

  receive(frame: Frame): void {
    this.#deadline.extend();
    if (frame.type === "response") this.#onResponse(frame.head);
    else if (frame.type === "data") this.#onData(frame.bytes);
    else if (frame.type === "end") this.#onEnd();
    else if (frame.type === "credit") this.#credit.give(frame.bytes);
    else if (frame.type === "reset") this.fail(givenUp(frame.code));
    else throw new HoldfastError("frame-malformed", "a home node sends no requests");
  }

  /** Ends the stream without a word to the node. */
  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#finish();
    this.#head.reject(error);
    this.#body.fail(error);
  }

  #open(head: TunnelRequest["head"], body: BodyReader | null): void {
    const { id, send } = this.#options;
    try {
      send({ type: "request", stream: id, head: { ...head, body: body !== null } });
    } catch (error) {
      this.fail(error);
      return;
    }
    if (body !== null) void this.#sendBody(body);
  }

  async #sendBody(body: BodyReader): Promise<void> {
    const { id, send } = this.#options;
    try {
      const sendData = (bytes: Uint8Array) => {
        this.#deadline.extend();
        send({ type: "data", stream: id, bytes });
      };
      await sendBody(body, this.#credit, sendData, this.#over.signal);
      send({ type: "end", stream: id });
    } catch (error) {
      this.#giveUp(error, "cancelled");
    }
  }

  #onResponse(head: ResponseHead): void {
    if (this.#isAnswered) throw new HoldfastError("frame-malformed", "a second response");
    this.#isAnswered = true;
    this.#head.resolve(head);
    if (!head.body) this.#finish();
  }

  #onData(bytes: Uint8Array): void {
    if (!this.#isAnswered) throw new HoldfastError("frame-malformed", "data without a response");
    this.#body.push(bytes);
  }

  #onEnd(): void {
    if (!this.#isAnswered) throw new HoldfastError("frame-malformed", "an end without a response");
    this.#body.end();
    this.#finish();
  }

  #giveUp(error: unknown, code: string): void {
    if (this.#isOver) return;
    const { id, send } = this.#options;
    this.fail(error);
    send({ type: "reset", stream: id, code });
  }

  /** Nothing more is awaited of the node; what came may still be read. */
  #finish(): void {
    if (this.#isOver) return;
    const reason = new HoldfastError("internal", "the stream is over");
    this.#over.abort(reason);
    this.#deadline.stop();
    this.#credit.fail(reason);
    this.#options.onOver();
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted;
  }
}

function givenUp(code: string): HoldfastError {
  return new HoldfastError("unreachable", `the home node gave up the request: ${code}`);
}
