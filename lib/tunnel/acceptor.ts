// The home node's end of a tunnel: takes requests off the socket, has the node's router answer them, and sends the
// answers back as credit allows.

import { Deadline, type DeadlineLimits } from "../deadline.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import type { BodyReader } from "../fetch.ts";
import { Credit, InboundBody, sendBody } from "./flow.ts";
import { encodeFrame, type Frame, parseFrame, type RequestHead, STREAMS_MAX } from "./frames.ts";

/** Longer than the opener's: who waits for the answer decides when it is too late. */
export const ACCEPTOR_LIMITS: DeadlineLimits = { idleMs: 30_000, totalMs: 300_000 };

export interface AcceptedRequest extends Omit<RequestHead, "body"> {
  body: ReadableStream<Uint8Array> | null;
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal;
}

export interface Answer {
  status: number;
  headers: [name: string, value: string][];
  body: { getReader(): BodyReader } | null;
}

export interface AcceptorOptions {
  /** Hands a binary message to the socket. */
  send: (message: Uint8Array<ArrayBuffer>) => void;
  answer: (request: AcceptedRequest) => Promise<Answer>;
  /** An answer that failed for a reason that the other end learns nothing of. */
  onError: (error: unknown) => void;
  limits?: DeadlineLimits;
}

export class TunnelAcceptor {
  readonly #options: AcceptorOptions;
  readonly #streams = new Map<number, IncomingStream>();

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** Requests under way. */
  get size(): number {
    return this.#streams.size;
  }

  /** Takes a binary message from the socket. Throws `frame-malformed` or `frame-too-large`: close the socket then. */
  receive(message: Uint8Array): void {
    const frame = parseFrame(message);
    const stream = this.#streams.get(frame.stream);
    if (frame.type === "request") this.#accept(frame.stream, frame.head);
    // Frames of a stream that is over may still be on their way.
    else stream?.receive(frame);
  }

  /** The socket is gone: nobody waits for answers any more. */
  close(): void {
    const error = new HoldfastError("unreachable", "the connection to the edge is gone");
    for (const stream of [...this.#streams.values()]) stream.fail(error);
  }

  #accept(id: number, head: RequestHead): void {
    if (this.#streams.has(id)) throw new HoldfastError("frame-malformed", "the stream is open already");
    if (this.#streams.size >= STREAMS_MAX) {
      this.#send({ type: "reset", stream: id, code: "rate-limited" });
      return;
    }
    const stream = new IncomingStream({
      id,
      head,
      answer: this.#options.answer,
      onError: this.#options.onError,
      send: (frame) => this.#send(frame),
      limits: this.#options.limits ?? ACCEPTOR_LIMITS,
    });
    this.#streams.set(id, stream);
    void stream.run().finally(() => this.#streams.delete(id));
  }

  #send(frame: Frame): void {
    this.#options.send(encodeFrame(frame));
  }
}

interface StreamOptions extends Pick<AcceptorOptions, "answer" | "onError"> {
  id: number;
  head: RequestHead;
  send: (frame: Frame) => void;
  limits: DeadlineLimits;
}

class IncomingStream {
  readonly #options: StreamOptions;
  readonly #credit = new Credit();
  readonly #body: InboundBody | null;
  readonly #deadline: Deadline;
  readonly #gone = new AbortController();

  constructor(options: StreamOptions) {
    const { id, head, send, limits } = options;
    this.#options = options;
    this.#deadline = new Deadline("the edge", limits);
    this.#deadline.signal.addEventListener("abort", () => {
      if (this.#gone.signal.aborted) return;
      send({ type: "reset", stream: id, code: "timeout" });
      this.fail(this.#deadline.signal.reason);
    });
    const giveCredit = (bytes: number) => {
      if (this.#gone.signal.aborted) return;
      this.#deadline.extend();
      send({ type: "credit", stream: id, bytes });
    };
    this.#body = head.body ? new InboundBody({ giveCredit, onCancel: () => undefined }) : null;
  }

  /** Answers the request; never throws. */
  async run(): Promise<void> {
    try {
      await this.#answer();
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#deadline.stop();
      this.fail(new HoldfastError("internal", "the stream is over"));
    }
  }

  receive(frame: Frame): void {
    this.#deadline.extend();
    if (frame.type === "reset") this.fail(new HoldfastError("unreachable", `reset: ${frame.code}`));
    else if (frame.type === "credit") this.#credit.give(frame.bytes);
    else if (this.#body !== null && frame.type === "data") this.#body.push(frame.bytes);
    else if (this.#body !== null && frame.type === "end") this.#onEnd(this.#body);
    else throw new HoldfastError("frame-malformed", `a ${frame.type} frame is not expected on this stream`);
  }

  /** All of the request is here: from now on the edge waits, for as long as it likes. */
  #onEnd(body: InboundBody): void {
    body.end();
    this.#deadline.rest();
  }

  /** Ends the stream without a word to the edge. */
  fail(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    this.#gone.abort(error);
    this.#body?.fail(error);
    this.#credit.fail(error);
  }

  async #answer(): Promise<void> {
    const { id, head, send, answer } = this.#options;
    const { method, path, headers } = head;
    const body = this.#body?.stream ?? null;
    const response = await answer({ method, path, headers, body, signal: this.#gone.signal });
    const source = response.body?.getReader() ?? null;
    if (this.#gone.signal.aborted) {
      await source?.cancel(this.#gone.signal.reason);
      return;
    }
    const { status } = response;
    this.#deadline.extend();
    send({
      type: "response",
      stream: id,
      head: { status, headers: response.headers, body: source !== null },
    });
    if (source === null) return;
    const sendData = (bytes: Uint8Array) => {
      this.#deadline.extend();
      send({ type: "data", stream: id, bytes });
    };
    await sendBody(source, this.#credit, sendData, this.#gone.signal);
    send({ type: "end", stream: id });
  }

  #refuse(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    this.#options.onError(error);
    const code = isHoldfastError(error) ? error.code : "internal";
    this.#options.send({ type: "reset", stream: this.#options.id, code });
  }
}
