// Systematic Reed-Solomon over GF(2^8): `k` data chunks, and parity chunks such that any `k` of all give the rest.
// The coefficients form a Cauchy matrix with its first row and column scaled to ones: the first parity chunk is the exclusive
// or of the data, and the parity of one data chunk is its copy. They do not depend on `k`.

import { combine } from "./combination.ts";
import { invert, invertMatrix, type Matrix, multiply, unitRow } from "./galois.ts";

/** Positions of data come below it, positions of parity from it on. */
const FIRST_PARITY = 128;

/** By what the data chunk `column` is multiplied in the parity chunk `row`. */
export function coefficient(row: number, column: number): number {
  const scale = multiply(cauchy(row, 0), cauchy(0, column));
  return multiply(multiply(cauchy(row, column), cauchy(0, 0)), invert(scale));
}

function cauchy(row: number, column: number): number {
  if (row >= FIRST_PARITY || column >= FIRST_PARITY) throw new RangeError("past the code's field");
  return invert((FIRST_PARITY + row) ^ column);
}

/** Parity of data chunks that come one after the other. Keeps copies of a stripe's chunks, in memory of its own. */
export class ParityEncoder {
  readonly #parity: number;
  readonly #sizeBytesMax: number;
  /** Used again for each stripe. */
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [];
  #chunks: Uint8Array<ArrayBuffer>[] = [];

  /** No chunk may have more than `sizeBytesMax`. */
  constructor(parity: number, sizeBytesMax: number) {
    this.#parity = parity;
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** Chunks of the stripe so far. */
  get added(): number {
    return this.#chunks.length;
  }

  add(bytes: Uint8Array): void {
    const buffer = this.#buffers[this.added] ?? new Uint8Array(this.#sizeBytesMax);
    this.#buffers[this.added] = buffer;
    buffer.set(bytes);
    this.#chunks.push(buffer.subarray(0, bytes.length));
  }

  /** The parity chunks, as long as the longest data chunk; then begins anew. */
  finish(allocate?: (length: number) => Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
    const sizeBytes = Math.max(...this.#chunks.map(({ length }) => length));
    const terms = this.#chunks.map((bytes, column) => ({
      bytes,
      coefficients: Array.from({ length: this.#parity }, (_, row) => coefficient(row, column)),
    }));
    this.#chunks = [];
    return combine(terms, this.#parity, sizeBytes, allocate);
  }
}

/** A chunk of a stripe and its position: data first, then parity. */
export interface Member {
  position: number;
  bytes: Uint8Array<ArrayBuffer>;
}

/**
 * The chunks at `wanted` positions of a stripe with `dataCount` data chunks, from as many others. They are as long as the
 * longest of `members`: whoever knows their sizes cuts them. Throws RangeError where the members are too few or the same.
 */
export function decode(
  dataCount: number,
  members: readonly Member[],
  wanted: readonly number[],
): Uint8Array<ArrayBuffer>[] {
  const used = members.slice(0, dataCount);
  if (used.length < dataCount) throw new RangeError(`${used.length} of ${dataCount} chunks are too few`);
  const inverse = invertMatrix(used.map(({ position }) => rowOf(position, dataCount)));
  const rows = wanted.map((position) => timesMatrix(rowOf(position, dataCount), inverse));
  const sizeBytes = Math.max(...used.map(({ bytes }) => bytes.length));
  const terms = used.map(({ bytes }, column) => ({
    bytes,
    coefficients: rows.map((row) => row[column] ?? 0),
  }));
  return combine(terms, wanted.length, sizeBytes);
}

/** How the chunk at a position is made of the data chunks. */
function rowOf(position: number, dataCount: number): number[] {
  if (position < dataCount) return unitRow(position, dataCount);
  return Array.from({ length: dataCount }, (_, column) => coefficient(position - dataCount, column));
}

function timesMatrix(row: readonly number[], matrix: Matrix): number[] {
  return row.map((_, column) =>
    row.reduce((sum, factor, i) => sum ^ multiply(factor, matrix[i]?.[column] ?? 0), 0),
  );
}
