// Linear combinations of chunks over GF(2^8): what encoding and decoding spend their time in. Chunks are added one at a
// time, so that none of them need stay in memory; shorter ones count as if zeros followed.
// Four results share a word, byte by byte: one look-up multiplies a byte by the coefficients of all four.

import { FIELD_SIZE, multiply } from "./galois.ts";

const WORD_BYTES = 4;
const NOTHING = new Uint32Array(0);

export class Combination {
  readonly #sizeBytes: number;
  readonly #count: number;
  /** For each four results, the word of each position. */
  readonly #sums: Uint32Array<ArrayBuffer>[];

  /** `count` results of `sizeBytes` each, all zero to begin with. */
  constructor(count: number, sizeBytes: number) {
    this.#count = count;
    this.#sizeBytes = sizeBytes;
    const length = Math.ceil(sizeBytes / WORD_BYTES) * WORD_BYTES;
    this.#sums = Array.from({ length: Math.ceil(count / WORD_BYTES) }, () => new Uint32Array(length));
  }

  /** Adds a chunk, of `sizeBytes` at most, to each result: multiplied by that result's coefficient. */
  add(bytes: Uint8Array<ArrayBuffer>, coefficients: readonly number[]): void {
    if (bytes.length > this.#sizeBytes || coefficients.length !== this.#count) {
      throw new RangeError(
        `a chunk of ${bytes.length} bytes and ${coefficients.length} coefficients do not fit`,
      );
    }
    const tables = this.#sums.map((_, group) =>
      tableOf(coefficients.slice(group * WORD_BYTES, (group + 1) * WORD_BYTES)),
    );
    const wholeWords = Math.floor(bytes.length / WORD_BYTES);
    const words = wordsOf(bytes, wholeWords);
    for (let group = 0; group < tables.length; group += 2) {
      const [sums, more] = this.#sums.slice(group, group + 2);
      const [table, moreTable] = tables.slice(group, group + 2);
      if (sums === undefined || table === undefined) continue;
      if (more === undefined || moreTable === undefined) addWords(sums, words, table);
      else addWordsTwice(sums, more, words, table, moreTable);
    }
    for (let i = wholeWords * WORD_BYTES; i < bytes.length; i++) {
      this.#sums.forEach((sums, group) => {
        sums[i] = at(sums, i) ^ at(tables[group], at(bytes, i));
      });
    }
  }

  /** The results, the first `sizeBytes` of each, in memory from `allocate`; then all are zero again. */
  take(
    sizeBytes: number,
    allocate: (length: number) => Uint8Array<ArrayBuffer> = (length) => new Uint8Array(length),
  ): Uint8Array<ArrayBuffer>[] {
    const results = Array.from({ length: this.#count }, (_, i) => {
      const result = allocate(sizeBytes);
      takeBytes(result, this.#sums[Math.floor(i / WORD_BYTES)] ?? NOTHING, (i % WORD_BYTES) * 8);
      return result;
    });
    for (const sums of this.#sums) sums.fill(0);
    return results;
  }
}

/** For each byte, its products with up to four coefficients, in one word. */
function tableOf(coefficients: readonly number[]): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(FIELD_SIZE);
  for (let byte = 0; byte < FIELD_SIZE; byte++) {
    table[byte] = coefficients.reduce((word, factor, i) => word | (multiply(factor, byte) << (8 * i)), 0);
  }
  return table;
}

/** Little-endian, as every runtime's typed arrays are. */
function wordsOf(bytes: Uint8Array<ArrayBuffer>, count: number): Uint32Array<ArrayBuffer> {
  const { buffer, byteOffset } = byteOffsetIsWhole(bytes) ? bytes : bytes.slice();
  return new Uint32Array(buffer, byteOffset, count);
}

function byteOffsetIsWhole({ byteOffset }: Uint8Array): boolean {
  return byteOffset % WORD_BYTES === 0;
}

// The two loops below are the whole cost of the code. Each is written out because reading four bytes at once, and adding to
// eight results for each, is three times as fast as a byte and four results at a time (bench/programs/reed-solomon.ts).

function addWords(sums: Uint32Array, words: Uint32Array, table: Uint32Array): void {
  for (let i = 0, at = 0; i < words.length; i++, at += WORD_BYTES) {
    const word = words[i] ?? 0;
    sums[at] = (sums[at] ?? 0) ^ (table[word & 255] ?? 0);
    sums[at + 1] = (sums[at + 1] ?? 0) ^ (table[(word >>> 8) & 255] ?? 0);
    sums[at + 2] = (sums[at + 2] ?? 0) ^ (table[(word >>> 16) & 255] ?? 0);
    sums[at + 3] = (sums[at + 3] ?? 0) ^ (table[word >>> 24] ?? 0);
  }
}

function addWordsTwice(
  sums: Uint32Array,
  more: Uint32Array,
  words: Uint32Array,
  table: Uint32Array,
  moreTable: Uint32Array,
): void {
  for (let i = 0, at = 0; i < words.length; i++, at += WORD_BYTES) {
    const word = words[i] ?? 0;
    const [a, b, c, d] = [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24];
    sums[at] = (sums[at] ?? 0) ^ (table[a] ?? 0);
    sums[at + 1] = (sums[at + 1] ?? 0) ^ (table[b] ?? 0);
    sums[at + 2] = (sums[at + 2] ?? 0) ^ (table[c] ?? 0);
    sums[at + 3] = (sums[at + 3] ?? 0) ^ (table[d] ?? 0);
    more[at] = (more[at] ?? 0) ^ (moreTable[a] ?? 0);
    more[at + 1] = (more[at + 1] ?? 0) ^ (moreTable[b] ?? 0);
    more[at + 2] = (more[at + 2] ?? 0) ^ (moreTable[c] ?? 0);
    more[at + 3] = (more[at + 3] ?? 0) ^ (moreTable[d] ?? 0);
  }
}

function takeBytes(result: Uint8Array, sums: Uint32Array, shift: number): void {
  for (let i = 0; i < result.length; i++) result[i] = (sums[i] ?? 0) >>> shift;
}

function at(array: Uint8Array | Uint32Array | undefined, i: number): number {
  return array?.[i] ?? 0;
}
