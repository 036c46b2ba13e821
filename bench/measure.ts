// How figures are measured: every contestant runs as often as the others and in turn with them, so that whatever else
// the machine does falls on all of them alike. All samples are kept; their median is shown.

export const BYTES_PER_MB = 1e6;
export const BYTES_PER_MIB = 1024 ** 2;

/** Something that is timed: `work` does it once and returns the seconds that count. */
export class Contestant {
  readonly seconds: number[] = [];
  readonly #work: () => Promise<number>;

  constructor(work: () => Promise<number>) {
    this.#work = work;
  }

  async run(): Promise<void> {
    this.seconds.push(await this.#work());
  }
}

/** Runs all of them `runs` times, in an order that is turned around each time: none is always first. */
export async function inTurn(
  runs: number,
  contestants: readonly (Contestant | null)[],
  prepare: (run: number) => Promise<void>,
): Promise<void> {
  const present = contestants.filter((contestant) => contestant !== null);
  for (let run = 0; run < runs; run++) {
    await prepare(run);
    for (const contestant of run % 2 === 0 ? present : present.toReversed()) await contestant.run();
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError("there is no median of nothing");
  return (upper + lower) / 2;
}

/** MB/s of each run. `startUp` is what does not count: its median is taken off each. */
export function rates(bytes: number, timed: Contestant, startUp: Contestant | null = null): number[] {
  const off = startUp === null ? 0 : median(startUp.seconds);
  return timed.seconds.map((seconds) => bytes / BYTES_PER_MB / (seconds - off));
}

export function perSecond(count: number, timed: Contestant): number[] {
  return timed.seconds.map((seconds) => count / seconds);
}
