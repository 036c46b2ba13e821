// A real nginx with a configuration, a folder and a port of its own: what other programs' clients are written against.

import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "../../cli/local/child.ts";
import { freePort } from "../../cli/local/free-port.ts";
import { RANGES_MAX } from "../../workers/http-range.ts";
import { findProgram } from "./requires.ts";

/** As for the local networks: below the ports that Linux gives to outgoing connections. */
const PORTS = { min: 10_000, max: 30_000 };
const START_TIMEOUT_MS = 20_000;
const POLL_MS = 50;

export interface Nginx {
  url: string;
  stop(): Promise<void>;
}

/** Serves `files` by name, all of type application/octet-stream. */
export async function startNginx(files: Readonly<Record<string, Uint8Array>>): Promise<Nginx> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-nginx-"));
  await mkdir(join(dir, "root"));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(dir, "root", name), bytes);
  return start(dir, `root ${join(dir, "root")};`);
}

/** Passes everything on to `origin`, with no more said to it than nginx says by itself and `directives` add. */
export async function startNginxProxy(origin: string, directives = ""): Promise<Nginx> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-nginx-"));
  return start(dir, `location / { proxy_pass ${origin}; ${directives} }`);
}

/** A server of these directives, as they stand in a block of the documentation. */
export async function startNginxServer(directives: string): Promise<Nginx> {
  return start(await mkdtemp(join(tmpdir(), "holdfast-nginx-")), directives);
}

async function start(dir: string, server: string): Promise<Nginx> {
  const port = await freePort(randomInt(PORTS.min, PORTS.max));
  await writeFile(join(dir, "nginx.conf"), configuration(dir, port, server));
  const child = new Child({
    name: "nginx",
    command: findProgram("nginx") ?? "nginx",
    args: ["-p", dir, "-c", join(dir, "nginx.conf"), "-e", join(dir, "error.log")],
    logFile: join(dir, "output.log"),
  });
  child.start();
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await child.stop();
    await rm(dir, { recursive: true });
  };
  try {
    await waitUntilAnswered(`${url}/`, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

/** `if_modified_since before` is what RFC 9110 says; nginx's default takes the exact date only. */
function configuration(dir: string, port: number, server: string): string {
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(dir, name)};`,
  );
  return `daemon off;
master_process off;
pid ${join(dir, "nginx.pid")};
events {}
http {
  ${folders.join("\n  ")}
  access_log off;
  keepalive_timeout 0;
  types {}
  default_type application/octet-stream;
  max_ranges ${RANGES_MAX};
  if_modified_since before;
  server {
    listen 127.0.0.1:${port};
    ${server}
  }
}
`;
}

async function waitUntilAnswered(url: string, child: Child): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await isAnswered(url))) {
    if (!child.isRunning || Date.now() > deadline) throw new Error(`nginx did not start: ${child.logTail()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function isAnswered(url: string): Promise<boolean> {
  try {
    await (await fetch(url)).arrayBuffer();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false; // not listening yet
    throw error;
  }
}
