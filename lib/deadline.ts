// A deadline for one HTTP exchange: it ends when nothing was heard for `idleMs`, and in any case after `totalMs`,
// so that neither a silent server nor one that drips a byte now and then can hold a client up.

import { HoldfastError } from "./error.ts";

/** Each runtime has its own. */
type Timer = ReturnType<typeof setTimeout>;

export interface DeadlineLimits {
  idleMs: number;
  totalMs: number;
}

export class Deadline {
  readonly #controller = new AbortController();
  readonly #limits: DeadlineLimits;
  readonly #subject: string;
  readonly #total: Timer;
  #idle: Timer;

  constructor(subject: string, limits: DeadlineLimits) {
    this.#subject = subject;
    this.#limits = limits;
    this.#total = setTimeout(() => this.#expire(limits.totalMs), limits.totalMs);
    this.#idle = setTimeout(() => this.#expire(limits.idleMs), limits.idleMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something was heard: the idle time starts anew. */
  extend(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#expire(this.#limits.idleMs), this.#limits.idleMs);
  }

  /** The other side is not waited for: until something is heard again, only the total counts. */
  rest(): void {
    clearTimeout(this.#idle);
  }

  stop(): void {
    clearTimeout(this.#idle);
    clearTimeout(this.#total);
  }

  #expire(limitMs: number): void {
    const seconds = limitMs / 1000;
    this.#controller.abort(
      new HoldfastError(
        "timeout",
        `${this.#subject} did not answer within ${seconds} s; try again, or ask another server`,
      ),
    );
  }
}
