// How many of so many things are done, on stderr: a bar on a terminal, else a line whenever there is something new to say,
// every few seconds at most.

import { SingleBar } from "cli-progress";
import { formatCount } from "../lib/format.ts";
import { say, sayAboveBar } from "./output.ts";

const LINE_INTERVAL_MS = 5000;

export interface CountProgress {
  update(done: number, total: number): void;
  /** What stands in the way, said once; null: nothing. */
  problem(text: string | null): void;
  stop(): void;
}

/** `noun` is what is counted, such as "chunks kept by others". */
export function startCount(noun: string): CountProgress {
  return process.stderr.isTTY ? new BarCount(noun) : new LineCount(noun);
}

class BarCount implements CountProgress {
  readonly #bar: SingleBar;
  #problem: string | null = null;

  constructor(noun: string) {
    const format = `[{bar}] {value} of {total} ${noun}`;
    this.#bar = new SingleBar({ format, stream: process.stderr, hideCursor: false });
    this.#bar.start(0, 0);
  }

  update(done: number, total: number): void {
    this.#bar.setTotal(total);
    this.#bar.update(done);
  }

  problem(text: string | null): void {
    if (text !== null && text !== this.#problem) sayAboveBar(`holdfast: ${text}`);
    this.#problem = text;
  }

  stop(): void {
    this.#bar.stop();
  }
}

class LineCount implements CountProgress {
  readonly #noun: string;
  #line = "";
  #said = "";
  #saidMs = 0;
  #problem: string | null = null;

  constructor(noun: string) {
    this.#noun = noun;
  }

  update(done: number, total: number): void {
    this.#line = `${formatCount(done)} of ${formatCount(total)} ${this.#noun}`;
    if (Date.now() - this.#saidMs >= LINE_INTERVAL_MS) this.#say();
  }

  problem(text: string | null): void {
    if (text !== null && text !== this.#problem) say(`holdfast: ${text}`);
    this.#problem = text;
  }

  stop(): void {
    this.#say();
  }

  #say(): void {
    if (this.#line === this.#said) return;
    this.#said = this.#line;
    this.#saidMs = Date.now();
    say(this.#line);
  }
}
