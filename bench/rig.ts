// What one row works with: a folder of its own, the options of the run, and a list of what has to be ended when the
// row is over, however it ends.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RigOptions {
  runs: number;
  /** Null: each row's own. */
  sizeBytes: number | null;
}

export interface Ending {
  end(): Promise<void>;
  /** At once, for an exit that cannot wait. */
  kill(): void;
}

export class Rig {
  readonly dir: string;
  readonly runs: number;
  readonly #options: RigOptions;
  readonly #id: string;
  readonly #endings: Ending[] = [];
  #ended: Promise<void> | null = null;

  private constructor(dir: string, id: string, options: RigOptions) {
    this.dir = dir;
    this.runs = options.runs;
    this.#options = options;
    this.#id = id;
  }

  static async create(id: string, options: RigOptions): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), "holdfast-bench-")), id, options);
  }

  /** What `--size` says, or the row's own size. */
  sizeBytes(fallback: number): number {
    return this.#options.sizeBytes ?? fallback;
  }

  sayRun(run: number): void {
    this.say(`run ${run + 1} of ${this.runs}`);
  }

  say(text: string): void {
    process.stderr.write(`${this.#id}: ${text}\n`);
  }

  /** Has `ending` ended with the row. */
  atEnd(ending: Ending): void {
    this.#endings.push(ending);
  }

  /** Has `ending` ended should the row be interrupted while `work` runs. */
  async during<T>(ending: Ending, work: () => Promise<T>): Promise<T> {
    this.#endings.push(ending);
    try {
      return await work();
    } finally {
      this.#endings.splice(this.#endings.indexOf(ending), 1);
    }
  }

  /** Ends what was started, the last first, and removes the folder. */
  end(): Promise<void> {
    this.#ended ??= this.#endAll();
    return this.#ended;
  }

  async #endAll(): Promise<void> {
    for (const ending of this.#endings.toReversed()) await ending.end();
    await rm(this.dir, { recursive: true, force: true });
  }

  kill(): void {
    for (const ending of this.#endings) ending.kill();
  }
}
