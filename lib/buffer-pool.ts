// Memory for chunks that is used again. A megabyte fresh from the runtime costs a page fault for each of its pages, and
// goes back only when the collector looks; what is given back here is taken by the next chunk of about that size.

/** Buffers come in multiples of it, so that chunks of nearly one size can follow each other in one buffer. */
export const BUFFER_STEP_BYTES = 256 * 1024;
/** Given back and not taken again; past it the collector has them. More than a window of chunks comes back at once. */
export const FREE_BYTES_MAX = 48 * 1024 * 1024;

export class BufferPool {
  readonly #free = new Map<number, ArrayBuffer[]>();
  readonly #taken = new WeakSet<ArrayBuffer>();
  readonly #freeBytesMax: number;
  #freeBytes = 0;
  #largest = 0;

  constructor(freeBytesMax: number = FREE_BYTES_MAX) {
    this.#freeBytesMax = freeBytesMax;
  }

  /** `length` bytes, which may still hold what an earlier user left there. */
  take(length: number): Uint8Array<ArrayBuffer> {
    // A small chunk would leave most of a step empty.
    if (length < BUFFER_STEP_BYTES / 2) return new Uint8Array(length);
    const size = Math.ceil(length / BUFFER_STEP_BYTES) * BUFFER_STEP_BYTES;
    const buffer = this.#reuse(size) ?? new ArrayBuffer(size);
    this.#taken.add(buffer);
    return new Uint8Array(buffer, 0, length);
  }

  /** Gives back what `take` gave: whoever looks at it later sees another's bytes. Of memory from elsewhere nothing is kept. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (!this.#taken.delete(buffer)) return;
    const size = buffer.byteLength;
    if (this.#freeBytes + size > this.#freeBytesMax) return;
    const free = this.#free.get(size) ?? [];
    free.push(buffer);
    this.#largest = Math.max(this.#largest, size);
    this.#free.set(size, free);
    this.#freeBytes += size;
  }

  /** The smallest that is large enough. */
  #reuse(leastSize: number): ArrayBuffer | undefined {
    for (let size = leastSize; size <= this.#largest; size += BUFFER_STEP_BYTES) {
      const buffer = this.#free.get(size)?.pop();
      if (buffer === undefined) continue;
      this.#freeBytes -= size;
      return buffer;
    }
    return undefined;
  }
}
