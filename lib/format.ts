// Numbers and times for people, the same on a terminal and on a page. Programs read JSON.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const MINUTE_LENGTH = "2026-01-02T03:04".length;

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

export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `99.2 %` of a share of one, never more than it is. */
export function formatShare(share: number): string {
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
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

/** `2026-01-02 03:04 UTC` of a time as statements write it. */
export function formatTime(iso: string): string {
  return `${iso.slice(0, MINUTE_LENGTH).replace("T", " ")} UTC`;
}
