// Work that is begun before its turn comes, over async generators: a bounded number of steps ahead, results in order.
// Whoever stops reading stops the work: nothing is begun after that, and what fails unheard is dropped.

/** `start` of each item, in order, with up to `ahead` under way beyond the one that the reader has. */
export async function* runAhead<T, R>(
  items: AsyncGenerator<T, void>,
  ahead: number,
  start: (item: T) => Promise<R>,
): AsyncGenerator<R, void> {
  let isStopped = false;
  const pull = async (): Promise<IteratorResult<R, void>> => {
    const item = await items.next();
    if (item.done === true || isStopped) return { done: true, value: undefined };
    return { done: false, value: await start(item.value) };
  };
  // A generator answers its callers in the order in which they asked.
  const queue = Array.from({ length: ahead + 1 }, () => unheard(pull()));
  try {
    for (let due = queue.shift(); due !== undefined; due = queue.shift()) {
      const result = await due;
      if (result.done === true) return;
      yield result.value;
      queue.push(unheard(pull()));
    }
  } finally {
    isStopped = true;
    await items.return();
  }
}

/** `items` in groups of `size`; the last may be smaller. */
export async function* windowsOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[], void> {
  let window: T[] = [];
  for await (const item of items) {
    window.push(item);
    if (window.length < size) continue;
    yield window;
    window = [];
  }
  if (window.length > 0) yield window;
}

export async function* flatten<T>(groups: AsyncIterable<T[]>): AsyncGenerator<T, void> {
  for await (const group of groups) yield* group;
}

/** `load`, which the same key asked for again and again in a row calls once. */
export function onceInARow<K, A extends unknown[], R>(
  load: (key: K, ...rest: A) => Promise<R>,
): (key: K, ...rest: A) => Promise<R> {
  let last: { key: K; result: Promise<R> } | null = null;
  return (key, ...rest) => {
    if (last === null || last.key !== key) last = { key, result: load(key, ...rest) };
    return last.result;
  };
}

// A promise that waits in the queue may fail before it is awaited; that failure is met when its turn comes, if it does.
function unheard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
