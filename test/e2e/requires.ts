// Programs that a suite drives and npm does not install. Where one is missing the suite is left out, and says so;
// HOLDFAST_REQUIRE_ALL=1 makes that a failure, so that a machine meant to run everything cannot skip silently.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Servers live in sbin, which is not on every user's PATH. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/** `packages` maps each program to the Debian package that brings it. */
export function requirePrograms(packages: Readonly<Record<string, string>>): { missing: string[] } {
  const missing = Object.keys(packages).filter((program) => findProgram(program) === null);
  if (missing.length === 0) return { missing };
  const wanted = [...new Set(missing.map((program) => packages[program]))].join(" ");
  const line = `left out: tests that need ${missing.join(", ")} (Debian: apt-get install ${wanted})`;
  if (process.env.HOLDFAST_REQUIRE_ALL === "1") throw new Error(line);
  process.stderr.write(`${line}\n`);
  return { missing };
}

/** The program's path, or null. */
export function findProgram(program: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}
