// The clock that the daemon runs by.

import { expect, test } from "vitest";
import { systemClock } from "../../home-node/clock.ts";

const MONTH_MS = 30 * 24 * 3600 * 1000;

test("a sleep of a month is not over at once, as a timer of that length would be", async () => {
  const stop = new AbortController();
  const asleep = systemClock.sleep(MONTH_MS, stop.signal).then(() => "awake");
  expect(await Promise.race([asleep, systemClock.sleep(50).then(() => "asleep")])).toBe("asleep");
  stop.abort();
  expect(await asleep).toBe("awake");
});

test("a sleep lasts as long as was asked", async () => {
  const start = performance.now();
  await systemClock.sleep(40);
  expect(performance.now() - start).toBeGreaterThanOrEqual(40);
});
