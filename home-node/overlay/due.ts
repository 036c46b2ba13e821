// When something is to be done next: a time that can be moved, and whoever waits for it notices.

import type { Clock } from "../clock.ts";

export class Due {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #dueMs: number;
  #moved = new AbortController();

  /** Aborting `signal` ends all waiting. */
  constructor(clock: Clock, signal: AbortSignal, dueMs: number) {
    this.#clock = clock;
    this.#signal = signal;
    this.#dueMs = dueMs;
  }

  /** Due at this time, and no other; Infinity: not until it is moved. */
  set(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#moved.abort();
  }

  /** Due now, if it was not before. */
  now(): void {
    this.set(Math.min(this.#dueMs, this.#clock.now()));
  }

  /** Due by this time at the latest. */
  by(dueMs: number): void {
    this.set(Math.min(this.#dueMs, dueMs));
  }

  /** Returns true when it is due, false when all is over. */
  async wait(): Promise<boolean> {
    for (;;) {
      if (this.#signal.aborted) return false;
      const leftMs = this.#dueMs - this.#clock.now();
      if (leftMs <= 0) return true;
      this.#moved = new AbortController();
      const signal = AbortSignal.any([this.#signal, this.#moved.signal]);
      await (Number.isFinite(leftMs) ? this.#clock.sleep(leftMs, signal) : ended(signal));
    }
  }
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
