// Time that passes only from one event to the next. Events of one moment happen in the order in which they were
// asked for, so a run is the same each time.

/** Events happen at multiples of this: those of one moment share a turn of Node's loop. */
const TICK_MS = 10;

interface Event {
  atMs: number;
  order: number;
  happen: () => void;
}

export class Clock {
  nowMs = 0;
  /** A binary heap: the next event is first. */
  readonly #events: Event[] = [];
  #order = 0;

  after(delayMs: number, happen: () => void): void {
    const ticks = Math.round((this.nowMs + delayMs) / TICK_MS);
    const event = { atMs: ticks * TICK_MS, order: this.#order++, happen };
    this.#events.push(event);
    this.#rise(this.#events.length - 1);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Lets time pass until `work` is done; what was awaited has its turn between events. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const mark = () => {
      isDone = true;
    };
    work.then(mark, mark);
    await turn();
    while (!isDone) {
      const next = this.#events[0];
      if (next === undefined) throw new Error("nothing is left that could happen, and the work is not done");
      this.nowMs = next.atMs;
      while (this.#events[0]?.atMs === this.nowMs) this.#take()?.happen();
      await turn();
    }
    return work;
  }

  #take(): Event | undefined {
    const [first] = this.#events;
    const last = this.#events.pop();
    if (last !== undefined && this.#events.length > 0) {
      this.#events[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfEarlier(at, parent)) return;
      at = parent;
    }
  }

  #sink(): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const child = this.#isEarlier(left + 1, left) ? left + 1 : left;
      if (!this.#swapIfEarlier(child, at)) return;
      at = child;
    }
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    const [lower, upper] = [this.#events[child], this.#events[parent]];
    if (lower === undefined || upper === undefined || !this.#isEarlier(child, parent)) return false;
    this.#events[child] = upper;
    this.#events[parent] = lower;
    return true;
  }

  #isEarlier(a: number, b: number): boolean {
    const [one, other] = [this.#events[a], this.#events[b]];
    if (one === undefined || other === undefined) return false;
    return one.atMs === other.atMs ? one.order < other.order : one.atMs < other.atMs;
  }
}

/** Everything that waits on settled promises runs before the next event. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
