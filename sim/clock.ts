// Time that passes only from one event to the next. Events of one moment happen in the order in which they were
// asked for, so a run is the same each time.

/** Events happen at multiples of this: those of one moment share a turn of Node's queue. */
const TICK_MS = 10;

export class Clock {
  /** What happens at a tick, for those ticks at which something does. */
  readonly #events = new Map<number, (() => void)[]>();
  #tick = 0;

  get nowMs(): number {
    return this.#tick * TICK_MS;
  }

  after(delayMs: number, happen: () => void): void {
    const tick = Math.max(this.#tick + 1, Math.round(this.#tick + delayMs / TICK_MS));
    const events = this.#events.get(tick);
    if (events === undefined) this.#events.set(tick, [happen]);
    else events.push(happen);
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
      for (const happen of this.#nextEvents()) happen();
      await turn();
    }
    return work;
  }

  #nextEvents(): (() => void)[] {
    if (this.#events.size === 0)
      throw new Error("nothing is left that could happen, and the work is not done");
    for (;;) {
      this.#tick += 1;
      const events = this.#events.get(this.#tick);
      if (events === undefined) continue;
      this.#events.delete(this.#tick);
      return events;
    }
  }
}

/** Everything that waits on settled promises runs before the next event: Node's queue of ticks comes after all of it. */
function turn(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
