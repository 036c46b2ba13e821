// How long to wait before the next attempt: exponential with full jitter, so that nodes that an edge lost together
// do not come back together.

export const BACKOFF_FIRST_MS = 1_000;
export const BACKOFF_MAX_MS = 60_000;

/** Milliseconds before attempt `attempt` (0 is the first retry); `random` gives a number from 0 to below 1. */
export function backoffDelay(attempt: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
}
