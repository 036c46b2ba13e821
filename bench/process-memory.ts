// The memory of processes as Linux tells it in /proc: how far a process's resident set grew above what it was when the
// watch began.

import { existsSync } from "node:fs";
import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PROC = "/proc";
const KIB_PER_MIB = 1024;
/** proc(5): writing 5 to clear_refs sets a process's peak to what it has now. */
const RESET_PEAK = "5";

export function hasProc(): boolean {
  return existsSync(join(PROC, "self", "clear_refs"));
}

export class MemoryWatch {
  readonly #pid: number;
  readonly #idleMib: number;

  private constructor(pid: number, idleMib: number) {
    this.#pid = pid;
    this.#idleMib = idleMib;
  }

  /** What the process has now counts as idle. */
  static async start(pid: number): Promise<MemoryWatch> {
    await writeFile(join(PROC, String(pid), "clear_refs"), RESET_PEAK);
    return new MemoryWatch(pid, await peakOf(pid));
  }

  /** MiB by which the peak since the start is above idle. */
  async growth(): Promise<number> {
    return (await peakOf(this.#pid)) - this.#idleMib;
  }
}

async function peakOf(pid: number): Promise<number> {
  return parsePeak(await readFile(join(PROC, String(pid), "status"), "utf8"));
}

/** VmHWM of a /proc/<pid>/status, in MiB. */
export function parsePeak(status: string): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  if (kib === undefined) throw new TypeError("a process status without VmHWM");
  return Number(kib) / KIB_PER_MIB;
}

/** The processes under `root` whose program is called `name`. */
export async function descendantsNamed(root: number, name: string): Promise<number[]> {
  const parents = await parentsOfAll();
  const isUnderRoot = (pid: number): boolean => {
    const parent = parents.get(pid)?.parent;
    return parent !== undefined && (parent === root || isUnderRoot(parent));
  };
  return [...parents].flatMap(([pid, process]) => (process.name === name && isUnderRoot(pid) ? [pid] : []));
}

/** Whether the process has a file under `folder` open. */
export async function hasOpenUnder(pid: number, folder: string): Promise<boolean> {
  const descriptors = join(PROC, String(pid), "fd");
  const links = (await readdir(descriptors)).map((fd) => readlink(join(descriptors, fd)).catch(() => "")); // it may just be closed
  return (await Promise.all(links)).some((target) => target.startsWith(`${folder}/`));
}

async function parentsOfAll(): Promise<Map<number, { name: string; parent: number }>> {
  const found = new Map<number, { name: string; parent: number }>();
  for (const entry of await readdir(PROC)) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(join(PROC, entry, "stat"), "utf8").catch(() => ""); // it may just have ended
    const [, name, parent] = /^\d+ \((.*)\) \S (\d+) /s.exec(stat) ?? [];
    if (name !== undefined) found.set(Number(entry), { name, parent: Number(parent) });
  }
  return found;
}
