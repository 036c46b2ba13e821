// Sizes for people. Programs get bytes.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `12 B`, `3.4 MiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}
