// Time as the home node uses it: an argument everywhere, so that tests decide when a timeout has passed.

import { setTimeout as sleepMs } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since the epoch of time. */
  now(): number;
  /** Returns after `ms`, or as soon as `signal` is aborted: the caller looks at the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A timer of Node's that is set for longer (2^31 ms, 25 days) goes off at once. */
const TIMER_MS_MAX = 24 * 3600 * 1000;

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    const until = performance.now() + ms;
    try {
      do {
        const left = Math.max(0, Math.min(until - performance.now(), TIMER_MS_MAX));
        await sleepMs(left, undefined, signal === undefined ? {} : { signal });
      } while (performance.now() < until);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};
