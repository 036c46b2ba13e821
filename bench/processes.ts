// Programs in processes of their own: run to their end and timed, or kept running until the row ends. Where one fails,
// the error says what it said last.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Child, type ChildOptions } from "../cli/local/child.ts";
import type { Ending, Rig } from "./rig.ts";

const WORDS_KEPT = 2000;
const READY_POLL_MS = 100;
const READY_TIMEOUT_MS = 60_000;

export interface RunOptions {
  env?: NodeJS.ProcessEnv;
  /** Standard output goes to /dev/null in place of the result. */
  discardOutput?: boolean;
}

export interface RunResult {
  stdout: string;
  /** From before its start to its end. */
  seconds: number;
}

/** Runs a program to its end. Throws with the end of its standard error where it fails. */
export async function run(
  rig: Rig,
  command: string,
  args: readonly string[],
  { env = {}, discardOutput = false }: RunOptions = {},
): Promise<RunResult> {
  const startedMs = performance.now();
  const child = spawn(command, args, {
    stdio: ["ignore", discardOutput ? "ignore" : "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const output = Promise.all(
    [child.stdout, child.stderr].map((stream) => (stream === null ? "" : text(stream))),
  );
  const [code, signal] = await rig.during(endingOf(child), () => once(child, "close"));
  const seconds = (performance.now() - startedMs) / 1000;
  const [stdout = "", stderr = ""] = await output;
  if (code === 0) return { stdout, seconds };
  throw new Error(
    `${command} ${args.join(" ")} ended with ${code ?? signal}: ${stderr.slice(-WORDS_KEPT).trim()}`,
  );
}

/** Runs one of bench/programs. What it prints is JSON. */
export async function runBenchProgram(
  rig: Rig,
  name: string,
  input: object,
  options: RunOptions = {},
): Promise<unknown> {
  const { stdout } = await run(
    rig,
    process.execPath,
    [...benchProgram(name), JSON.stringify(input)],
    options,
  );
  return JSON.parse(stdout);
}

/** The seconds that a bench program measured itself: its start-up does not count. */
export async function timeBenchProgram(
  rig: Rig,
  name: string,
  input: object,
  options: RunOptions = {},
): Promise<number> {
  return parseSeconds(await runBenchProgram(rig, name, input, options));
}

export function benchProgram(name: string): string[] {
  return [join(import.meta.dirname, "programs", `${name}.ts`)];
}

function parseSeconds(value: unknown): number {
  const { seconds } = value as { seconds?: unknown };
  if (typeof seconds !== "number") throw new TypeError("a bench program did not say how long it took");
  return seconds;
}

/** Starts a process that runs until the row ends, and returns when `isReady`. Throws with its log where it ends before. */
export async function startProcess(
  rig: Rig,
  options: Omit<ChildOptions, "logFile">,
  isReady: () => Promise<boolean>,
): Promise<Child> {
  const child = new Child({ ...options, logFile: join(rig.dir, `${options.name}.log`) });
  child.start();
  rig.atEnd({ end: () => child.stop(), kill: () => child.kill("SIGKILL") });
  const deadlineMs = Date.now() + READY_TIMEOUT_MS;
  while (!(await isReady())) {
    if (!child.isRunning) throw new Error(`${child.name} ended:\n${child.logTail()}`);
    if (Date.now() > deadlineMs) throw new Error(`${child.name} is not ready:\n${child.logTail()}`);
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  return child;
}

/** Whether a server answers at `url` with success. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return false; // not listening yet
    throw error;
  }
}

function endingOf(child: ChildProcess): Ending {
  const kill = () => void child.kill("SIGKILL");
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    kill();
    await once(child, "close");
  };
  return { end, kill };
}
