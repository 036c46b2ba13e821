// Sizes, rates and tables for people. Programs read --json. Numbers and times are lib's, as the home node's page has them.

import { formatSize } from "../lib/format.ts";

export { formatAge, formatCount, formatSize, formatTime, plural } from "../lib/format.ts";

const DECIMAL_UNITS: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const SIZE_TEXT = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i;

export function formatRate(bytes: number, elapsedMs: number): string {
  return `${formatSize((bytes * 1000) / Math.max(elapsedMs, 1))}/s`;
}

/** Bytes of `50GB`, `1.5 GiB`, `800k`; null for anything else. Powers of ten unless the unit has an i. */
export function parseSize(text: string): number | null {
  const match = SIZE_TEXT.exec(text.trim());
  if (match === null) return null;
  const [, number = "", unit = "", binary = ""] = match;
  const decimal = DECIMAL_UNITS[unit.toLowerCase()] ?? 1;
  const factor = binary === "" ? decimal : 1024 ** Math.round(Math.log10(decimal) / 3);
  const bytes = Math.round(Number(number) * factor);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Columns padded to their widest cell; the last is left as it is. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ");
  return rows.map((row) => `${line(row)}\n`).join("");
}

/** As formatTable, but with the columns from `numbers` on aligned at their right. */
export function formatColumns(rows: readonly (readonly string[])[], numbers: number): string {
  const width = (column: number) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0));
  const aligned = rows.map((row) =>
    row.map((cell, column) => (column < numbers ? cell : cell.padStart(width(column)))),
  );
  return formatTable(aligned);
}

/** Lines of at most `width` characters, broken at spaces; a longer word has a line to itself. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
