// Bandwidth caps. A transfer over the cap is slowed, not refused: a token bucket that may go into debt, and whoever
// takes it there waits until it is paid off.

import type { Clock } from "../clock.ts";

/** What an idle second saves up for the next burst. */
const BURST_MS = 1_000;

/** Whoever passes bytes on asks it for each piece. */
export interface Pace {
  /** Returns when `bytes` more may pass. */
  take(bytes: number): Promise<void>;
}

export class RateLimit implements Pace {
  readonly #bytesPerSecond: number | null;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  /** `bytesPerSecond` null: no limit. */
  constructor(bytesPerSecond: number | null, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#tokens = bytesPerSecond === null ? 0 : this.#burst(bytesPerSecond);
    this.#filledAtMs = clock.now();
  }

  /** Returns when `bytes` more may pass, or as soon as `signal` is aborted. Later callers queue behind the debt of earlier ones. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === null) return;
    this.#fill(this.#bytesPerSecond);
    this.#tokens -= bytes;
    if (this.#tokens < 0) await this.#clock.sleep((-this.#tokens / this.#bytesPerSecond) * 1000, signal);
  }

  /** How long whoever asks now would wait before the first byte. */
  get waitMs(): number {
    if (this.#bytesPerSecond === null) return 0;
    this.#fill(this.#bytesPerSecond);
    return Math.max(0, (-this.#tokens / this.#bytesPerSecond) * 1000);
  }

  /** How long whoever asks now for `bytes` would wait for the last of them. */
  msFor(bytes: number): number {
    if (this.#bytesPerSecond === null) return 0;
    this.#fill(this.#bytesPerSecond);
    return Math.max(0, ((bytes - this.#tokens) / this.#bytesPerSecond) * 1000);
  }

  #fill(bytesPerSecond: number): void {
    const now = this.#clock.now();
    const gained = ((now - this.#filledAtMs) * bytesPerSecond) / 1000;
    this.#tokens = Math.min(this.#burst(bytesPerSecond), this.#tokens + gained);
    this.#filledAtMs = now;
  }

  #burst(bytesPerSecond: number): number {
    return (bytesPerSecond * BURST_MS) / 1000;
  }
}
