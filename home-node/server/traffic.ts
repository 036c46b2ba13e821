// What the node has carried, for its volunteer: bytes served and stored since the start, and today (UTC).

import type { Clock } from "../clock.ts";

export interface TrafficReport {
  servedBytes: number;
  storedBytes: number;
  today: { servedBytes: number; storedBytes: number };
}

export class Traffic {
  readonly #clock: Clock;
  readonly #total = { servedBytes: 0, storedBytes: 0 };
  #today = { servedBytes: 0, storedBytes: 0 };
  #day = "";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(kind: "servedBytes" | "storedBytes", bytes: number): void {
    this.#turnDay();
    this.#total[kind] += bytes;
    this.#today[kind] += bytes;
  }

  report(): TrafficReport {
    this.#turnDay();
    return { ...this.#total, today: { ...this.#today } };
  }

  #turnDay(): void {
    const day = new Date(this.#clock.now()).toISOString().slice(0, 10);
    if (day === this.#day) return;
    this.#day = day;
    this.#today = { servedBytes: 0, storedBytes: 0 };
  }
}
