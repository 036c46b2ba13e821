// Numbers, sizes and times as the page shows them.

const BYTE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
// Controls and bidi formatting: an author's address may contain them, and they could reorder a command.
const INVISIBLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

export const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
export const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** @param {number} value */
export const formatCount = (value) => value.toLocaleString("en");

/** @param {number} value */
export function formatBytes(value) {
  if (value < 1024) return counted(value, "byte");
  const power = Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length);
  const scaled = (value / 1024 ** power).toLocaleString("en", { maximumSignificantDigits: 3 });
  return `${scaled} ${BYTE_UNITS[power - 1]}`;
}

/** With the exact number where the short form hides it. @param {number} size */
export const formatSize = (size) => formatBytes(size) + (size < 1024 ? "" : ` (${formatCount(size)} bytes)`);

/** Whole percent, but neither 0 nor 100 for what is not. @param {number} part @param {number} whole */
export function formatPercent(part, whole) {
  const percent = Math.round((part / whole) * 100);
  if (percent === 0 && part > 0) return "under 1 %";
  if (percent === 100 && part < whole) return "over 99 %";
  return `${percent} %`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** @param {string} text */
export const visible = (text) => text.replace(INVISIBLE, "\ufffd");
