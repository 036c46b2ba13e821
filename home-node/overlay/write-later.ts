// Writes something to disk a while after it changed, and once more at the end: what changes often is written seldom.

import type { Logger } from "pino";
import type { Clock } from "../clock.ts";

export interface WriteLaterDeps {
  clock: Clock;
  log: Logger;
  /** What is written, for the log. */
  what: string;
  delayMs: number;
  write: () => Promise<void>;
}

export class WriteLater {
  readonly #deps: WriteLaterDeps;
  readonly #stopping = new AbortController();
  #isDirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: WriteLaterDeps) {
    this.#deps = deps;
  }

  changed(): void {
    if (this.#isDirty || this.#stopping.signal.aborted) return;
    this.#isDirty = true;
    void this.#later();
  }

  /** Writes what is not on disk yet. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (this.#isDirty) this.#write();
    await this.#writing;
  }

  async #later(): Promise<void> {
    await this.#deps.clock.sleep(this.#deps.delayMs, this.#stopping.signal);
    if (!this.#stopping.signal.aborted) this.#write();
  }

  #write(): void {
    const { write, log, what } = this.#deps;
    this.#isDirty = false;
    this.#writing = this.#writing.then(write).catch((error: unknown) => {
      log.warn({ err: error, what }, "a file could not be written");
      this.changed();
    });
  }
}
