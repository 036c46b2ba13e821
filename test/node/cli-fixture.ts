// Runs the command as a user does: a process of its own, with an environment that holds nothing of this machine.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { buffer, text } from "node:stream/consumers";

const MAIN = join(import.meta.dirname, "..", "..", "cli", "main.ts");

const STATE = mkdtempSync(join(tmpdir(), "holdfast-state-"));
process.once("exit", () => rmSync(STATE, { recursive: true, force: true }));

/** What the command remembers when it runs in `cwd`: not among the files that it leaves there. */
export function stateFolder(cwd: string): string {
  return join(STATE, basename(cwd));
}

export interface Run {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

export interface RunOptions {
  cwd: string;
  env?: Record<string, string>;
  input?: string | Uint8Array;
}

export async function holdfast(args: string[], options: RunOptions): Promise<Run> {
  const { input = "" } = options;
  const child = start(args, options);
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [stdout, stderr, code] = await Promise.all([buffer(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

/** A command that runs on, once it has printed something. */
export async function startHoldfast(args: string[], options: RunOptions): Promise<RunningCommand> {
  const child = start(args, options);
  const errors = text(child.stderr);
  const ended = once(child, "exit").then(async () => {
    throw new Error(`the command ended: ${await errors}`);
  });
  const [first] = await Promise.race([once(child.stdout, "data"), ended]);
  ended.catch(() => undefined);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return { stdout: String(first), end };
}

export interface RunningCommand {
  /** What it printed first. */
  stdout: string;
  /** Sends the signal and returns when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

function start(args: string[], { cwd, env = {} }: RunOptions) {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: {
      ...{ PATH: process.env.PATH, HOME: cwd, GIT_CONFIG_NOSYSTEM: "1" },
      XDG_STATE_HOME: stateFolder(cwd),
      ...env,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
}
