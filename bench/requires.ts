// Programs that limits and rows use and npm does not install. What lacks one is named, never left out in silence.

import { findProgram } from "../test/e2e/requires.ts";

export function missingPrograms(programs: readonly string[]): string[] {
  return programs.filter((program) => findProgram(program) === null);
}

/** The path of a program that is known to be there. */
export function programPath(program: string): string {
  const path = findProgram(program);
  if (path === null) throw new Error(`${program} is not installed`);
  return path;
}

/** The obstacle of a row that needs these programs, and nothing else. */
export function needs(...programs: string[]): () => Promise<string | null> {
  return async () => {
    const missing = missingPrograms(programs);
    return missing.length === 0 ? null : `needs ${missing.join(", ")}`;
  };
}
