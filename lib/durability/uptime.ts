// How much of the time since it was first seen a node was online: one sum, brought forward at each change.

export interface Presence {
  /** 0 where it is not known. */
  firstSeenMs: number;
  /** Online time up to `sinceMs`. */
  onlineMs: number;
  online: boolean;
  /** When it came online or went offline. */
  sinceMs: number;
}

/** 0 to 1; null where it is not known since when the node is. */
export function uptimeOf({ firstSeenMs, onlineMs, online, sinceMs }: Presence, nowMs: number): number | null {
  if (firstSeenMs === 0) return null;
  const sumMs = onlineMs + (online ? Math.max(0, nowMs - sinceMs) : 0);
  const allMs = nowMs - firstSeenMs;
  return allMs <= 0 ? null : Math.min(1, sumMs / allMs);
}
