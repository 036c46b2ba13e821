// Progress on stderr: a bar on a terminal, else a plain line every few seconds and at the end.

import { SingleBar } from "cli-progress";
import { formatRate, formatSize } from "./format.ts";
import { say, sayAboveBar } from "./output.ts";

const LINE_INTERVAL_MS = 5000;

export interface Progress {
  /** Bytes done so far. */
  update(bytes: number): void;
  /** Words between the progress: shown without tearing the bar. */
  note(text: string): void;
  stop(): void;
}

/** `totalBytes` is null where it is not known (a pipe). */
export function startProgress(verb: string, totalBytes: number | null): Progress {
  return process.stderr.isTTY && totalBytes !== null && totalBytes > 0
    ? new BarProgress(verb, totalBytes)
    : new LineProgress(verb, totalBytes);
}

class BarProgress implements Progress {
  readonly #bar: SingleBar;
  readonly #startMs = Date.now();

  constructor(verb: string, totalBytes: number) {
    this.#bar = new SingleBar({
      format: `${verb} [{bar}] {percentage}%  {done} of {whole}  {rate}`,
      stream: process.stderr,
      hideCursor: false,
    });
    this.#bar.start(totalBytes, 0, { done: "0 B", whole: formatSize(totalBytes), rate: "" });
  }

  update(bytes: number): void {
    const rate = formatRate(bytes, Date.now() - this.#startMs);
    this.#bar.update(bytes, { done: formatSize(bytes), rate });
  }

  note(text: string): void {
    sayAboveBar(text);
  }

  stop(): void {
    this.#bar.stop();
  }
}

class LineProgress implements Progress {
  readonly #verb: string;
  readonly #whole: string;
  readonly #startMs = Date.now();
  #saidMs = Date.now();
  #bytes = 0;

  constructor(verb: string, totalBytes: number | null) {
    this.#verb = verb;
    this.#whole = totalBytes === null ? "" : ` of ${formatSize(totalBytes)}`;
  }

  update(bytes: number): void {
    this.#bytes = bytes;
    if (Date.now() - this.#saidMs >= LINE_INTERVAL_MS) this.#say();
  }

  note(text: string): void {
    say(text);
  }

  stop(): void {
    this.#say();
  }

  #say(): void {
    this.#saidMs = Date.now();
    say(
      `${this.#verb} ${formatSize(this.#bytes)}${this.#whole}, ${formatRate(this.#bytes, Date.now() - this.#startMs)}`,
    );
  }
}
