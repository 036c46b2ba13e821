// Flow control of one body. The receiver gives credit as its reader takes bytes, the sender sends no more than it has
// credit for: a slow reader keeps at most WINDOW_BYTES in memory, and slows only its own stream.

import { HoldfastError } from "../error.ts";
import type { BodyReader } from "../fetch.ts";
import { DATA_BYTES_MAX, WINDOW_BYTES } from "./frames.ts";

/** What a data frame costs at least: a window of tiny frames would take far more memory than its bytes. */
export const DATA_COST_MIN = 1024;

/** Credit is given back in portions of this size, so that credit frames stay few beside data frames. */
const CREDIT_PORTION_BYTES = WINDOW_BYTES / 4;

/** The credit that a data frame of so many bytes takes up. */
function costOf(bytes: number): number {
  return Math.max(bytes, DATA_COST_MIN);
}

/** What a sender may still send. */
export class Credit {
  #bytes = WINDOW_BYTES;
  #failure: unknown = null;
  #wake: (() => void) | null = null;

  /** Throws `frame-malformed` where more is given than the window holds. */
  give(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > WINDOW_BYTES) throw new HoldfastError("frame-malformed", "more credit than the window");
    this.#wake?.();
  }

  /** Ends waits for credit that will not come. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** Waits until something may be sent; returns how much of `wanted` bytes. */
  async take(wanted: number): Promise<number> {
    while (this.#bytes < DATA_COST_MIN && this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure;
    const taken = Math.min(wanted, this.#bytes);
    this.#bytes -= costOf(taken);
    return taken;
  }
}

/**
 * Sends a body in pieces of at most DATA_BYTES_MAX as credit allows. Where that fails or `signal` is aborted, the
 * source is cancelled; throws then.
 */
export async function sendBody(
  source: BodyReader,
  credit: Credit,
  send: (bytes: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  // A source may be silent for ever: a read that waits must not outlast the signal.
  const aborted = rejectionBy(signal);
  try {
    for (;;) {
      const { done, value } = await Promise.race([source.read(), aborted]);
      if (done) break;
      await sendBlock(value ?? new Uint8Array(0), credit, send);
    }
    signal.throwIfAborted();
  } catch (error) {
    void source.cancel(error).catch(() => undefined);
    throw error;
  }
}

function rejectionBy(signal: AbortSignal): Promise<never> {
  const rejection = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  rejection.catch(() => undefined);
  return rejection;
}

async function sendBlock(
  block: Uint8Array,
  credit: Credit,
  send: (bytes: Uint8Array) => void,
): Promise<void> {
  let left = block;
  while (left.length > 0) {
    const length = await credit.take(Math.min(left.length, DATA_BYTES_MAX));
    send(left.subarray(0, length));
    left = left.subarray(length);
  }
}

export interface InboundOptions {
  /** The reader took frames that cost so much: the sender may send as much more. */
  giveCredit: (bytes: number) => void;
  /** The reader is no longer interested. */
  onCancel: () => void;
}

/** A body on its way in, from frames to a stream. */
export class InboundBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #options: InboundOptions;
  readonly #queue: Uint8Array[] = [];
  #state: "open" | "ended" | "failed" = "open";
  #failure: unknown = null;
  /** What the sender may still send. */
  #window = WINDOW_BYTES;
  #owed = 0;
  #wake: (() => void) | null = null;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.stream = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#cancel() },
      { highWaterMark: 0 },
    );
  }

  /** Throws `frame-malformed` for bytes that no credit was given for, or that come after the end. */
  push(bytes: Uint8Array): void {
    if (this.#state === "failed") return;
    if (this.#state === "ended") throw new HoldfastError("frame-malformed", "data after the end");
    const cost = costOf(bytes.length);
    if (cost > this.#window) throw new HoldfastError("frame-malformed", "data without credit");
    this.#window -= cost;
    this.#queue.push(bytes);
    this.#wake?.();
  }

  end(): void {
    if (this.#state === "ended") throw new HoldfastError("frame-malformed", "a second end");
    if (this.#state === "open") this.#state = "ended";
    this.#wake?.();
  }

  /** The reader sees `error` at once: what came so far is not the whole. */
  fail(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    this.#failure = error;
    this.#queue.length = 0;
    this.#wake?.();
  }

  async #pull(controller: { enqueue(bytes: Uint8Array): void; close(): void }): Promise<void> {
    while (this.#queue.length === 0 && this.#state === "open") {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#state === "failed") throw this.#failure;
    const bytes = this.#queue.shift();
    if (bytes === undefined) return controller.close();
    controller.enqueue(bytes);
    this.#repay(costOf(bytes.length));
  }

  #repay(cost: number): void {
    this.#owed += cost;
    if (this.#owed < CREDIT_PORTION_BYTES || this.#state !== "open") return;
    this.#window += this.#owed;
    this.#options.giveCredit(this.#owed);
    this.#owed = 0;
  }

  #cancel(): void {
    const wasOpen = this.#state === "open" || this.#queue.length > 0;
    this.fail(new HoldfastError("internal", "nobody reads this body any more"));
    if (wasOpen) this.#options.onCancel();
  }
}
