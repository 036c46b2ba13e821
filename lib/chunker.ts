// FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking: boundaries follow the content, so an insertion
// changes the chunks around it and no others. 256 KiB at least, about 1 MiB, 2 MiB at most.

import { makeGearTable } from "./gear-table.ts";
import { CHUNK_BYTES_MAX } from "./manifest.ts";

export const CHUNK_BYTES_MIN = 256 * 1024;
export const CHUNK_BYTES_NORMAL = 1024 * 1024;

// Two bits more before the normal size and two fewer after it than log2(normal) = 20. The top bits are judged:
// a left-shifting gear hash has mixed 32 bytes into them and only a few into the low ones.
const MASK_SMALL = -1 << (32 - 22);
const MASK_LARGE = -1 << (32 - 18);
/** Each byte is shifted out of the hash by the 32 that follow it. */
const HASH_REACH_BYTES = 32;

const publicTable = makeGearTable();

/**
 * The length of the first chunk of `data`, which must hold CHUNK_BYTES_MAX bytes or everything that is left.
 * Returns data.length where no boundary is found.
 */
export function cutPoint(data: Uint8Array, table: Uint32Array = publicTable): number {
  const end = Math.min(data.length, CHUNK_BYTES_MAX);
  if (end <= CHUNK_BYTES_MIN) return end;
  const normal = Math.min(end, CHUNK_BYTES_NORMAL);
  return (
    findBoundary(data, { from: CHUNK_BYTES_MIN, to: normal, hash: 0, mask: MASK_SMALL }, table) ??
    findBoundary(
      data,
      { from: normal, to: end, hash: hashBefore(data, normal, table), mask: MASK_LARGE },
      table,
    ) ??
    end
  );
}

interface Stretch {
  from: number;
  to: number;
  /** The hash of what comes before `from`. */
  hash: number;
  /** The bits that are zero at a boundary. */
  mask: number;
}

/**
 * The length up to the first boundary of a stretch; null where there is none. Two bytes a step and plain 32-bit
 * integers: 1,300 MB/s, against 650 for a loop over single bytes.
 */
function findBoundary(
  data: Uint8Array,
  { from, to, hash, mask }: Stretch,
  table: Uint32Array,
): number | null {
  const pairsEnd = to - ((to - from) & 1);
  let i = from;
  for (; i < pairsEnd; i += 2) {
    const first = table[data[i] as number] as number;
    const second = table[data[i + 1] as number] as number;
    const between = ((hash << 1) + first) | 0;
    hash = ((hash << 2) + (((first << 1) + second) | 0)) | 0;
    if ((between & mask) === 0) return i + 1;
    if ((hash & mask) === 0) return i + 2;
  }
  if (i === to) return null;
  hash = ((hash << 1) + (table[data[i] as number] as number)) | 0;
  return (hash & mask) === 0 ? to : null;
}

/** The hash over the bytes before `end`, of which no more than the last few count. */
function hashBefore(data: Uint8Array, end: number, table: Uint32Array): number {
  let hash = 0;
  for (let i = Math.max(CHUNK_BYTES_MIN, end - HASH_REACH_BYTES); i < end; i++) {
    hash = ((hash << 1) + (table[data[i] as number] as number)) | 0;
  }
  return hash;
}

export interface ChunkStreamOptions {
  table?: Uint32Array;
  /** Memory for a chunk of `length` bytes: what it returns is filled and given to the caller. */
  allocate?: (length: number) => Uint8Array<ArrayBuffer>;
}

/**
 * Cuts a stream of byte blocks into chunks. Each chunk has memory of its own, and a block may be overwritten once the
 * next is asked for; beside the chunks that the caller keeps, two of the largest size are held.
 */
export async function* chunkStream(
  blocks: AsyncIterable<Uint8Array>,
  { table = publicTable, allocate = (length) => new Uint8Array(length) }: ChunkStreamOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const window = new Window();
  const next = (): Uint8Array<ArrayBuffer> => {
    const length = cutPoint(window.view(), table);
    return window.take(allocate(length));
  };
  for await (const block of blocks) {
    for (const piece of piecesOf(block)) {
      window.append(piece);
      while (window.length >= CHUNK_BYTES_MAX) yield next();
    }
  }
  while (window.length > 0) yield next();
}

/**
 * A buffer that grows to twice a chunk, since most objects are small: appended at one end, cut at the other, moved down
 * when it runs out.
 */
class Window {
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  view(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  append(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#buffer.length) this.#makeRoom(this.length + piece.length);
    this.#buffer.set(piece, this.#end);
    this.#end += piece.length;
  }

  #makeRoom(needed: number): void {
    const kept = this.view();
    if (needed > this.#buffer.length) {
      const doubled = Math.min(2 * this.#buffer.length, 2 * CHUNK_BYTES_MAX);
      this.#buffer = new Uint8Array(Math.max(needed, doubled));
    }
    this.#buffer.set(kept);
    this.#end = kept.length;
    this.#start = 0;
  }

  /** Moves the first bytes into `chunk`, as many as it has room for. */
  take(chunk: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    chunk.set(this.#buffer.subarray(this.#start, this.#start + chunk.length));
    this.#start += chunk.length;
    return chunk;
  }
}

function* piecesOf(block: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < block.length; i += CHUNK_BYTES_MAX) yield block.subarray(i, i + CHUNK_BYTES_MAX);
}
