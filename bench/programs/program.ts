// What the programs of this folder have in common: their input is JSON, the only argument; so is what they print.

// Written by the bench itself, in the row that runs the program.
export function inputOf<T>(): T {
  return JSON.parse(process.argv[2] ?? "{}") as T;
}

export function report(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1000;
}
