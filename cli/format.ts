// Numbers, times and tables for people. Programs read --json.

import { formatSize } from "../lib/size-text.ts";

export { formatSize };

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

export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `3 minutes`, for times since. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const steps: [number, string][] = [
    [86_400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const [size, unit] = steps.find(([step]) => seconds >= step) ?? [1, "second"];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
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
