// A headless Chromium, driven over the DevTools protocol: tabs that collect what the console and the Content Security
// Policy complain about. No more of the protocol than the page's check needs.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { findProgram } from "./requires.ts";

const POLL_MS = 100;
const START_MS = 30_000;
const WAIT_MS = 30_000;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
];
const COLLECT_VIOLATIONS = `globalThis.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + " " + event.blockedURI));`;

type Json = Record<string, unknown>;

export interface Browser {
  /** A new tab, of so many CSS pixels. */
  open(width: number, height: number): Promise<Tab>;
  /** Closes every window and tab but this one. */
  closeOthers(tab: Tab): Promise<void>;
  stop(): Promise<void>;
}

export async function startBrowser(): Promise<Browser> {
  const program = findProgram("chromium");
  if (program === null) throw new Error("chromium is not installed");
  const folder = await mkdtemp(join(tmpdir(), "holdfast-chromium-"));
  // Its own process group: the program may be a wrapper script, and it starts helpers.
  const child = spawn(program, [...FLAGS, `--user-data-dir=${folder}`, "about:blank"], {
    stdio: "ignore",
    detached: true,
  });
  const stop = async () => {
    await endGroup(child);
    await rm(folder, { recursive: true, maxRetries: 10, retryDelay: POLL_MS });
  };
  try {
    const port = await poll(() => readPort(folder), START_MS, "Chromium's port");
    return {
      open: (width, height) => openTab(port, width, height),
      closeOthers: (tab) => closeOthers(port, tab),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One tab. What goes wrong in it is collected, not thrown. */
export class Tab {
  readonly id: string;
  readonly consoleErrors: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (message: Json) => void>();
  /** Bodies to answer with in place of the network's, by path. */
  readonly #answers = new Map<string, unknown>();
  readonly #listeners = new Map<string, (params: Json) => void>();
  #lastId = 0;

  constructor(id: string, socket: WebSocket) {
    this.id = id;
    this.#socket = socket;
    socket.on("message", (data) => this.#receive(JSON.parse(String(data))));
  }

  async start(width: number, height: number): Promise<void> {
    for (const domain of ["Page", "Log", "Runtime"]) await this.send(`${domain}.enable`);
    await this.send("Page.addScriptToEvaluateOnNewDocument", { source: COLLECT_VIOLATIONS });
    const mobile = width < 600;
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: 1 });
  }

  async send(method: string, params: Json = {}): Promise<Json> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<Json>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const message = await answer;
    if (message.error !== undefined) throw new Error(`${method}: ${JSON.stringify(message.error)}`);
    return asRecord(message.result);
  }

  /** Calls `listener` with each event of this name; the event's domain must be enabled. */
  on(event: string, listener: (params: Json) => void): void {
    this.#listeners.set(event, listener);
  }

  async goto(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
    await this.until(`location.protocol !== "about:" && document.readyState === "complete"`);
  }

  /** The value of an expression, as a JSON value. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (answer.exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${JSON.stringify(answer.exceptionDetails)}`);
    }
    return asRecord(answer.result).value;
  }

  /** The visible text of the first element that `selector` finds. */
  async text(selector: string): Promise<string> {
    return String(await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`));
  }

  async until(expression: string): Promise<void> {
    await poll(async () => ((await this.evaluate(expression)) === true ? true : null), WAIT_MS, expression);
  }

  /** Clicks into the middle of an element, as a person does. */
  async click(selector: string): Promise<void> {
    const middle = `(() => {
      const { x, y, width, height } = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`;
    const at = { ...asRecord(await this.evaluate(middle)), button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...at });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...at });
  }

  async press(key: string): Promise<void> {
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", key });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  /** Requests for these paths are answered with this JSON from now on. */
  async answerWith(answers: Readonly<Record<string, unknown>>): Promise<void> {
    for (const [path, body] of Object.entries(answers)) this.#answers.set(path, body);
    await this.send("Fetch.enable", { patterns: [{ urlPattern: "*" }] });
  }

  async cspViolations(): Promise<string[]> {
    const violations = await this.evaluate("violations");
    return Array.isArray(violations) ? violations.map(String) : [];
  }

  #receive(message: Json): void {
    if (typeof message.id === "number") {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
      return;
    }
    const params = asRecord(message.params);
    this.#listeners.get(String(message.method))?.(params);
    if (message.method === "Fetch.requestPaused") void this.#answer(params);
    const complaint = complaintOf(String(message.method), params);
    if (complaint !== null) this.consoleErrors.push(complaint);
  }

  async #answer(params: Json): Promise<void> {
    const { requestId } = params;
    const { pathname } = new URL(String(asRecord(params.request).url));
    if (!this.#answers.has(pathname)) {
      await this.send("Fetch.continueRequest", { requestId });
      return;
    }
    const body = Buffer.from(JSON.stringify(this.#answers.get(pathname))).toString("base64");
    const responseHeaders = [{ name: "Content-Type", value: "application/json" }];
    await this.send("Fetch.fulfillRequest", { requestId, responseCode: 200, responseHeaders, body });
  }
}

function complaintOf(method: string, params: Json): string | null {
  if (method === "Runtime.exceptionThrown") return JSON.stringify(params.exceptionDetails);
  if (method === "Runtime.consoleAPICalled" && params.type === "error") return JSON.stringify(params.args);
  const entry = asRecord(params.entry);
  return method === "Log.entryAdded" && entry.level === "error" ? `${entry.text} ${entry.url}` : null;
}

async function openTab(port: number, width: number, height: number): Promise<Tab> {
  const response = await fetch(`http://127.0.0.1:${port}/json/new`, { method: "PUT" });
  const { id, webSocketDebuggerUrl } = asRecord(await response.json());
  const socket = new WebSocket(String(webSocketDebuggerUrl));
  await once(socket, "open");
  const tab = new Tab(String(id), socket);
  await tab.start(width, height);
  return tab;
}

async function closeOthers(port: number, tab: Tab): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/json/list`);
  const targets: unknown = await response.json();
  const others = (Array.isArray(targets) ? targets.map(asRecord) : []).filter(
    ({ id, type }) => type === "page" && id !== tab.id,
  );
  for (const { id } of others) await fetch(`http://127.0.0.1:${port}/json/close/${String(id)}`);
}

async function readPort(folder: string): Promise<number | null> {
  try {
    const [port = ""] = (await readFile(join(folder, "DevToolsActivePort"), "utf8")).split("\n");
    return port === "" ? null : Number(port);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

async function poll<T>(attempt: () => Promise<T | null>, timeoutMs: number, what: string): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    const value = await attempt();
    if (value !== null) return value;
    await delay(POLL_MS);
  }
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
}

async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  process.kill(-child.pid, "SIGKILL");
  await exited;
}

function asRecord(value: unknown): Json {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}
