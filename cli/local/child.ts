// A child process of the local network: its output goes to a log file, it ends with its whole process group, and a
// start that fails says what the log said last.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";

export const STOP_TIMEOUT_MS = 8000;
const LOG_TAIL_LINES = 15;
const END_POLL_MS = 10;

export interface ChildOptions {
  name: string;
  command: string;
  args: string[];
  logFile: string;
  env?: NodeJS.ProcessEnv;
}

export class Child {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ChildOptions;
  #process: ChildProcess | null = null;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.name = options.name;
    this.logFile = options.logFile;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  get isRunning(): boolean {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Starts the process in a group of its own, so that what it starts itself can be ended with it. */
  start(): void {
    const { command, args, logFile, env } = this.#options;
    const log = openSync(logFile, "a");
    try {
      this.#process = spawn(command, args, {
        stdio: ["ignore", log, log],
        detached: true,
        env: { ...process.env, ...env },
      });
    } finally {
      closeSync(log);
    }
    this.#process.on("error", (error) =>
      console.error(`${this.name} could not be started: ${error.message}`),
    );
    // What it has started ends with it, whoever ended it and how.
    this.#process.on("exit", () => this.#signalGroup("SIGKILL"));
  }

  /** Has `tell` called once when the running process ends, by whomever. */
  onEnd(tell: () => void): void {
    this.#process?.once("exit", tell);
  }

  /** Asks the group to end, and ends it after STOP_TIMEOUT_MS. */
  async stop(): Promise<void> {
    if (this.#process === null || !this.isRunning) return;
    const exited = once(this.#process, "exit");
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  /** Ends the group at once, and returns when none of it is left. */
  async end(): Promise<void> {
    this.kill("SIGKILL");
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (this.isRunning || this.#signalGroup(0)) {
      if (Date.now() > deadline) throw new Error(`${this.name} did not end`);
      await new Promise((resolve) => setTimeout(resolve, END_POLL_MS));
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#signalGroup(signal);
  }

  /** False where nobody of the group is left. Signal 0 only asks. */
  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    if (this.pid === null) return false;
    try {
      return process.kill(-this.pid, signal);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
      throw error;
    }
  }

  /** The last lines of the log, for a person to read. */
  logTail(): string {
    return readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
  }
}
