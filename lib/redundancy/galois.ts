// Arithmetic in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d), as most Reed-Solomon codes of storage use it:
// single elements, and small matrices of them. The long loops over bytes are in combination.ts.

const POLYNOMIAL = 0x11d;
export const FIELD_SIZE = 256;
const ORDER = FIELD_SIZE - 1;

const { powers, logarithms } = makeTables();

/** A matrix as its rows. */
export type Matrix = number[][];

export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : at(powers, at(logarithms, a) + at(logarithms, b));
}

/** Throws RangeError for 0. */
export function invert(a: number): number {
  if (a === 0) throw new RangeError("0 has no inverse");
  return at(powers, ORDER - at(logarithms, a));
}

/** The inverse of a square matrix, by Gauss and Jordan. Throws RangeError where there is none. */
export function invertMatrix(matrix: Matrix): Matrix {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...unitRow(i, size)]);
  for (let column = 0; column < size; column++) {
    const pivot = rows.findIndex((row, i) => i >= column && element(row, column) !== 0);
    if (pivot < 0) throw new RangeError("the matrix is singular");
    const lead = scaled(rowOf(rows, pivot), invert(element(rowOf(rows, pivot), column)));
    rows[pivot] = rowOf(rows, column);
    rows[column] = lead;
    rows.forEach((row, i) => {
      const factor = element(row, column);
      if (i !== column && factor !== 0) rows[i] = sum(row, scaled(lead, factor));
    });
  }
  return rows.map((row) => row.slice(size));
}

/** The row `i` of the unit matrix. */
export function unitRow(i: number, size: number): number[] {
  return Array.from({ length: size }, (_, j) => (i === j ? 1 : 0));
}

function scaled(row: readonly number[], factor: number): number[] {
  return row.map((value) => multiply(value, factor));
}

function sum(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value ^ element(b, i));
}

/** The powers of 2, twice over so that a sum of two logarithms needs no remainder; and their inverse. */
function makeTables(): { powers: Uint8Array; logarithms: Uint8Array } {
  const powers = new Uint8Array(2 * ORDER);
  const logarithms = new Uint8Array(FIELD_SIZE);
  let power = 1;
  for (let i = 0; i < ORDER; i++) {
    powers[i] = power;
    powers[i + ORDER] = power;
    logarithms[power] = i;
    power <<= 1;
    if (power >= FIELD_SIZE) power ^= POLYNOMIAL;
  }
  return { powers, logarithms };
}

function at(table: Uint8Array, i: number): number {
  return table[i] ?? 0;
}

function element(row: readonly number[], i: number): number {
  return row[i] ?? 0;
}

function rowOf(rows: Matrix, i: number): number[] {
  return rows[i] ?? [];
}
