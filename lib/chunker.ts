// FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking: boundaries follow the content, so an insertion
// changes the chunks around it and no others. 256 KiB at least, about 1 MiB, 2 MiB at most.

import { makeGearTable } from "./gear-table.ts";
import { CHUNK_BYTES_MAX } from "./manifest.ts";

export const CHUNK_BYTES_MIN = 256 * 1024;
export const CHUNK_BYTES_NORMAL = 1024 * 1024;

// Two bits more before the normal size and two fewer after it than log2(normal) = 20. The top bits are judged:
// a left-shifting gear hash has mixed 32 bytes into them and only a few into the low ones.
const SHIFT_SMALL = 32 - 22;
const SHIFT_LARGE = 32 - 18;

const publicTable = makeGearTable();

/**
 * The length of the first chunk of `data`, which must hold CHUNK_BYTES_MAX bytes or everything that is left.
 * Returns data.length where no boundary is found.
 */
export function cutPoint(data: Uint8Array, table: Uint32Array = publicTable): number {
  const end = Math.min(data.length, CHUNK_BYTES_MAX);
  if (end <= CHUNK_BYTES_MIN) return end;
  const normal = Math.min(end, CHUNK_BYTES_NORMAL);
  let hash = 0;
  let i = CHUNK_BYTES_MIN;
  for (; i < normal; i++) {
    hash = ((hash << 1) + (table[data[i] as number] as number)) | 0;
    if (hash >>> SHIFT_SMALL === 0) return i + 1;
  }
  for (; i < end; i++) {
    hash = ((hash << 1) + (table[data[i] as number] as number)) | 0;
    if (hash >>> SHIFT_LARGE === 0) return i + 1;
  }
  return end;
}

/**
 * Cuts a stream of byte blocks into chunks. Each chunk is a copy of its own, so the caller may keep it; at most
 * one chunk and one block are held at a time.
 */
export async function* chunkStream(
  blocks: AsyncIterable<Uint8Array>,
  table: Uint32Array = publicTable,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const window = new Window();
  for await (const block of blocks) {
    for (const piece of piecesOf(block)) {
      window.append(piece);
      while (window.length >= CHUNK_BYTES_MAX) yield window.take(cutPoint(window.view(), table));
    }
  }
  while (window.length > 0) yield window.take(cutPoint(window.view(), table));
}

/** A buffer twice a chunk long: appended at one end, cut at the other, moved down when it runs out. */
class Window {
  readonly #buffer = new Uint8Array(2 * CHUNK_BYTES_MAX);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  view(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  append(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#buffer.set(piece, this.#end);
    this.#end += piece.length;
  }

  take(length: number): Uint8Array<ArrayBuffer> {
    const chunk = this.#buffer.slice(this.#start, this.#start + length);
    this.#start += length;
    return chunk;
  }
}

function* piecesOf(block: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < block.length; i += CHUNK_BYTES_MAX) yield block.subarray(i, i + CHUNK_BYTES_MAX);
}
