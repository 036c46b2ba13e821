// A request's body on its way to a node. The node may answer before it has all of it: a runtime that is left with a body that
// nobody reads cuts the connection, and the client never sees the answer. So what is refused is read all the same, within limits.

import type { BodyReader } from "../lib/fetch.ts";
import { DATA_BYTES_MAX } from "../lib/tunnel/frames.ts";
import { NAMES_BODY_MAX } from "../lib/wire/names.ts";

/** It goes on in pieces of this size at least: a slow one must not look like a silent one. */
const PIECE_BYTES_MIN = 64 * 1024;
/** Of what was refused, so much is read, the most that any request may send, */
export const REFUSED_BYTES_MAX = NAMES_BODY_MAX;
/** and for so long. */
export const REFUSED_MS_MAX = 5_000;

type Piece = Awaited<ReturnType<BodyReader["read"]>>;

export class Upload implements BodyReader {
  readonly #reader: ReadableStreamBYOBReader;
  /** The runtime takes one read at a time. */
  #last: Promise<Piece> = Promise.resolve({ done: false });
  #isRefused = false;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader({ mode: "byob" });
  }

  read(): Promise<Piece> {
    return this.#isRefused ? Promise.resolve({ done: true }) : this.#read();
  }

  async cancel(reason?: unknown): Promise<void> {
    if (!this.#isRefused) await this.#reader.cancel(reason);
  }

  /** Nobody wants what is left: it is read to its end, or until it is too much. Never rejects. */
  async refuse(): Promise<void> {
    this.#isRefused = true;
    const { promise: tooLate, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, REFUSED_MS_MAX);
    await Promise.race([this.#readRest().catch(() => undefined), tooLate]);
    clearTimeout(timer);
    await this.#reader.cancel().catch(() => undefined);
  }

  async #readRest(): Promise<void> {
    let { done } = await this.#last;
    for (let bytes = 0; !done && bytes <= REFUSED_BYTES_MAX; ) {
      const piece = await this.#read();
      done = piece.done;
      bytes += piece.value?.length ?? 0;
    }
  }

  #read(): Promise<Piece> {
    this.#last = this.#reader.readAtLeast(PIECE_BYTES_MIN, new Uint8Array(DATA_BYTES_MAX));
    return this.#last;
  }
}
