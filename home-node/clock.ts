// Time as the home node uses it: an argument everywhere, so that tests decide when a timeout has passed.

import { setTimeout as sleepMs } from "node:timers/promises";

export interface Clock {
  /** Milliseconds since the epoch of time. */
  now(): number;
  /** Returns after `ms`, or as soon as `signal` is aborted: the caller looks at the signal. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await sleepMs(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};
