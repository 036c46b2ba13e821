// Linear combinations of chunks over GF(2^8): what encoding and decoding spend their time in. Shorter chunks count as if zeros
// followed them. Four results share a word, byte by byte: one look-up multiplies a byte by the coefficients of all four. Chunks
// are gone through in blocks, all of them for one block, so that the sums stay in the processor's cache.

import { FIELD_SIZE, multiply } from "./galois.ts";

const WORD_BYTES = 4;
/** Two groups of sums for a block are 32 KiB. */
const BLOCK_BYTES = 4096;

/** A chunk, and by what it is multiplied in each result. */
export interface Term {
  bytes: Uint8Array<ArrayBuffer>;
  coefficients: readonly number[];
}

/** A term made ready: for each four results, the products of each byte with their coefficients. */
interface Factor {
  bytes: Uint8Array<ArrayBuffer>;
  words: Uint32Array;
  tables: Uint32Array[];
}

type Allocate = (length: number) => Uint8Array<ArrayBuffer>;

/** `count` results of `sizeBytes` each, no shorter than any of the terms. */
export function combine(
  terms: readonly Term[],
  count: number,
  sizeBytes: number,
  allocate: Allocate = (length) => new Uint8Array(length),
): Uint8Array<ArrayBuffer>[] {
  const factors = terms.map((term) => factorOf(term, count, sizeBytes));
  const results = Array.from({ length: count }, () => allocate(sizeBytes));
  const sums = Array.from({ length: Math.ceil(count / WORD_BYTES) }, () => new Uint32Array(BLOCK_BYTES));
  for (let start = 0; start < sizeBytes; start += BLOCK_BYTES) {
    for (const group of sums) group.fill(0);
    for (const factor of factors) addBlock(sums, factor, start);
    const end = Math.min(start + BLOCK_BYTES, sizeBytes);
    for (const [i, result] of results.entries()) {
      const group = sums[Math.floor(i / WORD_BYTES)];
      if (group !== undefined) takeBytes(result.subarray(start, end), group, (i % WORD_BYTES) * 8);
    }
  }
  return results;
}

function factorOf({ bytes, coefficients }: Term, count: number, sizeBytes: number): Factor {
  if (bytes.length > sizeBytes || coefficients.length !== count)
    throw new RangeError(
      `a chunk of ${bytes.length} bytes and ${coefficients.length} coefficients do not fit`,
    );
  const groups = Math.ceil(count / WORD_BYTES);
  const tables = Array.from({ length: groups }, (_, group) =>
    tableOf(coefficients.slice(group * WORD_BYTES, (group + 1) * WORD_BYTES)),
  );
  return { bytes, words: wordsOf(bytes), tables };
}

/** For each byte, its products with up to four coefficients, in one word. */
function tableOf(coefficients: readonly number[]): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(FIELD_SIZE);
  for (let byte = 0; byte < FIELD_SIZE; byte++) {
    table[byte] = coefficients.reduce((word, factor, i) => word | (multiply(factor, byte) << (8 * i)), 0);
  }
  return table;
}

/** Little-endian, as every runtime's typed arrays are. The last bytes, where they fill no word, are left out. */
function wordsOf(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  const { buffer, byteOffset } = bytes.byteOffset % WORD_BYTES === 0 ? bytes : bytes.slice();
  return new Uint32Array(buffer, byteOffset, Math.floor(bytes.length / WORD_BYTES));
}

function addBlock(groups: readonly Uint32Array[], { bytes, words, tables }: Factor, start: number): void {
  const block = words.subarray(start / WORD_BYTES, (start + BLOCK_BYTES) / WORD_BYTES);
  for (let group = 0; group < groups.length; group += 2) {
    const [sums, more] = groups.slice(group, group + 2);
    const [table, moreTable] = tables.slice(group, group + 2);
    if (sums === undefined || table === undefined) continue;
    if (more === undefined || moreTable === undefined) addWords(sums, block, table);
    else addWordsTwice(sums, more, block, table, moreTable);
  }
  const end = Math.min(bytes.length, start + BLOCK_BYTES);
  for (let i = start + block.length * WORD_BYTES; i < end; i++) {
    for (const [group, sums] of groups.entries()) {
      sums[i - start] = at(sums, i - start) ^ at(tables[group], at(bytes, i));
    }
  }
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
