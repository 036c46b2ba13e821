import { expect, test } from "vitest";
import { BUFFER_STEP_BYTES, BufferPool, FREE_BYTES_MAX } from "../../lib/buffer-pool.ts";

const STEP = BUFFER_STEP_BYTES;

test("gives out what was given back to whoever needs about as much", () => {
  const pool = new BufferPool();
  const first = pool.take(3 * STEP - 1);
  pool.give(first);
  const second = pool.take(2 * STEP + 1);
  expect(second.buffer).toBe(first.buffer);
  expect(second.length).toBe(2 * STEP + 1);
});

test("takes the smallest that is large enough, and none that is too small", () => {
  const pool = new BufferPool();
  const [small, middle, large] = [pool.take(STEP), pool.take(3 * STEP), pool.take(4 * STEP)];
  for (const bytes of [large, small, middle]) pool.give(bytes);
  expect(pool.take(2 * STEP).buffer).toBe(middle.buffer);
  expect(pool.take(2 * STEP).buffer).toBe(large.buffer);
  const fresh = pool.take(2 * STEP);
  expect(fresh.buffer).not.toBe(small.buffer);
  expect(fresh.length).toBe(2 * STEP);
});

test("never gives out memory that is in use, however often it was given back", () => {
  const pool = new BufferPool();
  const first = pool.take(STEP);
  pool.give(first);
  pool.give(first);
  expect(pool.take(STEP).buffer).toBe(first.buffer);
  expect(pool.take(STEP).buffer).not.toBe(first.buffer);
});

test("keeps nothing that it did not give out", () => {
  const pool = new BufferPool();
  const stranger = new Uint8Array(STEP);
  pool.give(stranger);
  expect(pool.take(STEP).buffer).not.toBe(stranger.buffer);
});

test("keeps no more than its limit", () => {
  const count = FREE_BYTES_MAX / STEP + 4;
  const pool = new BufferPool();
  const taken = Array.from({ length: count }, () => pool.take(STEP));
  for (const bytes of taken) pool.give(bytes);
  const before = new Set(taken.map(({ buffer }) => buffer));
  const again = Array.from({ length: count }, () => pool.take(STEP));
  expect(again.filter(({ buffer }) => before.has(buffer)).length).toBe(count - 4);
});

test("has no buffer for a small chunk", () => {
  const bytes = new BufferPool().take(1000);
  expect(bytes.buffer.byteLength).toBe(1000);
});
