import { describe, expect, test } from "vitest";
import { flatten, onceInARow, runAhead, windowsOf } from "../../workers/run-ahead.ts";

async function* count(end: number): AsyncGenerator<number, void> {
  for (let i = 0; i < end; i++) yield i;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Until everything that can go on without a timer has gone on. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("work begun ahead", () => {
  test("is in order, whatever ends first", async () => {
    const results = runAhead(count(20), 4, async (i) => {
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 5));
      return i;
    });
    expect(await collect(results)).toEqual(await collect(count(20)));
  });

  test("is a bounded number of steps beyond what the reader has", async () => {
    const begun: number[] = [];
    const results = runAhead(count(20), 3, async (i) => begun.push(i));
    for (let taken = 1; taken <= 5; taken++) {
      await results.next();
      await settled();
      expect(begun).toHaveLength(taken + 3);
    }
    await results.return();
  });

  test("is not begun before the first is asked for", async () => {
    const begun: number[] = [];
    runAhead(count(3), 3, async (i) => begun.push(i));
    await settled();
    expect(begun).toEqual([]);
  });

  test("ends when its reader does: nothing is begun after that, and the source is closed", async () => {
    const begun: number[] = [];
    let isClosed = false;
    let release = () => undefined as unknown;
    const gate = new Promise((resolve) => {
      release = () => resolve(null);
    });
    async function* gated(): AsyncGenerator<number, void> {
      try {
        yield 0;
        await gate;
        yield* [1, 2, 3];
      } finally {
        isClosed = true;
      }
    }
    const results = runAhead(gated(), 2, async (i) => begun.push(i));
    await results.next();
    const ended = results.return();
    release();
    await ended;
    await settled();
    expect({ begun, isClosed }).toEqual({ begun: [0], isClosed: true });
  });

  test("fails when its turn comes, not before", async () => {
    const results = runAhead(count(5), 3, async (i) => {
      if (i === 2) throw new RangeError("two");
      return i;
    });
    expect(await results.next()).toMatchObject({ value: 0 });
    await settled();
    expect(await results.next()).toMatchObject({ value: 1 });
    await expect(results.next()).rejects.toThrow("two");
    expect(await results.next()).toMatchObject({ done: true });
  });

  test("that fails unheard, after its reader has gone, is dropped", async () => {
    const results = runAhead(count(5), 3, async (i) => {
      await settled();
      if (i > 0) throw new RangeError("nobody listens");
      return i;
    });
    await results.next();
    await results.return();
    await settled();
  });

  test("passes on a failure of what it reads from", async () => {
    async function* broken(): AsyncGenerator<number, void> {
      yield 0;
      throw new RangeError("the source");
    }
    const results = runAhead(broken(), 3, async (i) => i);
    await results.next();
    await expect(results.next()).rejects.toThrow("the source");
  });
});

test("the next window is looked up while one is read, and the one after is not", async () => {
  const lookedUp: number[][] = [];
  const windows = runAhead(windowsOf(count(40), 10), 1, async (window) => {
    lookedUp.push(window);
    return window;
  });
  const pieces = runAhead(flatten(windows), 4, async (i) => i);
  expect(await pieces.next()).toMatchObject({ value: 0 });
  await settled();
  expect(lookedUp).toHaveLength(2);
  for (let i = 1; i < 10; i++) await pieces.next();
  await settled();
  expect(lookedUp).toHaveLength(3);
  expect(await collect(pieces)).toEqual((await collect(count(40))).slice(10));
  expect(lookedUp).toHaveLength(4);
});

test("windows have the size asked for, but the last", async () => {
  expect(await collect(windowsOf(count(5), 2))).toEqual([[0, 1], [2, 3], [4]]);
  expect(await collect(windowsOf(count(4), 2))).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(await collect(windowsOf(count(0), 2))).toEqual([]);
});

test("what is asked for in a row is loaded once", async () => {
  const loaded: string[] = [];
  const load = onceInARow(async (key: string) => {
    loaded.push(key);
    return key;
  });
  const keys = ["a", "a", "b", "b", "b", "a"];
  expect(await Promise.all(keys.map((key) => load(key)))).toEqual(keys);
  expect(loaded).toEqual(["a", "b", "a"]);
});
