// `npm start`, as people run it: its sample is there, is there without the edge, and is there again when the edge has lost all that
// it had.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { SAMPLE_NAME } from "../../cli/local/sample.ts";
import { run } from "./publisher.ts";
import { freeRange } from "./setup.ts";

const START = join(import.meta.dirname, "..", "..", "cli", "local", "start.ts");
const MAIN = join(import.meta.dirname, "..", "..", "cli", "main.ts");
const PATIENCE = { timeout: 90_000, interval: 200 };

let folder = "";
let port = 0;
let started: ChildProcess | null = null;
let words = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-start-"));
  port = await freeRange();
});
afterAll(async () => {
  await stop();
  await rm(folder, { recursive: true });
});

/** Starts it in a folder of its own, and returns all that it says until it is ready. */
async function start(): Promise<string> {
  words = "";
  const env = { ...process.env, PORT: String(port), XDG_STATE_HOME: join(folder, "state") };
  const child = spawn(process.execPath, [START], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      words += text;
    });
  started = child;
  await said("Ctrl-C ends everything");
  return words;
}

const said = (what: string) => vi.waitFor(() => expect(words).toContain(what), PATIENCE);

async function stop(): Promise<void> {
  if (started === null || started.exitCode !== null) return;
  const ended = once(started, "exit");
  started.kill("SIGTERM");
  await ended;
}

const sample = async () => (await fetch(`http://localhost:${port}/obj/${SAMPLE_NAME}`)).text();

async function getFrom(node: string): Promise<string> {
  const args = [MAIN, "get", "--from", node, SAMPLE_NAME, "-o", "-"];
  const env = { ...process.env, XDG_STATE_HOME: join(folder, "state") };
  return (await run(process.execPath, args, { cwd: folder, env })).stdout;
}

function match(pattern: RegExp, text: string): string {
  const [, found] = pattern.exec(text) ?? [];
  if (found === undefined) throw new Error(`${pattern} is not in: ${text}`);
  return found;
}

test("the sample outlives the edge, and the edge's whole index, by the home nodes alone", async () => {
  const greeting = await start();
  const text = await sample();
  expect(text).toContain("Hello from Holdfast");
  const node = match(/get --from (http:\S+) /, greeting);

  process.kill(Number(match(/edge .*pid (\d+)/, greeting)), "SIGKILL");
  await said("the edge has ended");
  await expect(sample()).rejects.toThrow();
  expect(await getFrom(node)).toBe(text);

  await stop();
  await rm(join(folder, ".holdfast", "edge"), { recursive: true });
  expect(await start()).toContain("the home nodes bring it back");
  await vi.waitFor(async () => expect(await sample()).toBe(text), PATIENCE);
  expect(await getFrom(node)).toBe(text);
}, 300_000);
