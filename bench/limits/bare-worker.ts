// What relaying and answering cost by themselves: a Worker of the bench's own, in the same runtime behind the same
// `wrangler dev` as the edge, and a bare WebSocket client in the place of a home node.

import { randomInt } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { freePort } from "../../cli/local/free-port.ts";
import { WRANGLER_ENVIRONMENT } from "../../cli/local/network.ts";
import { BYTES_PER_MIB, Contestant } from "../measure.ts";
import { answers, benchProgram, run, startProcess, timeBenchProgram } from "../processes.ts";
import type { Rig } from "../rig.ts";

export const BARE_RELAY = "bare relay";
const PORTS = { min: 10_000, max: 30_000 };

/** Starts the Worker; returns its URL. */
export async function startBareWorker(rig: Rig): Promise<string> {
  const port = await freePort(randomInt(PORTS.min, PORTS.max));
  const url = `http://localhost:${port}`;
  const config = join(import.meta.dirname, "..", "worker", "wrangler.toml");
  const args = [
    ...[wranglerProgram(), "dev", "--config", config, "--ip", "127.0.0.1", "--port", String(port)],
    ...["--inspector-port", "0", "--show-interactive-dev-session=false", "--log-level", "warn"],
    ...["--persist-to", join(rig.dir, "bare-worker")],
  ];
  const worker = { name: "bare-worker", command: process.execPath, args, env: WRANGLER_ENVIRONMENT };
  await startProcess(rig, worker, () => answers(`${url}/hello`));
  return url;
}

/** Starts the Worker with a node that it can relay to; returns its URL. */
export async function startBareRelay(rig: Rig): Promise<string> {
  const url = await startBareWorker(rig);
  const node = JSON.stringify({ url: `${url.replace("http:", "ws:")}/node` });
  const args = [...benchProgram("relay-node"), node];
  await startProcess(rig, { name: "bare-node", command: process.execPath, args }, () =>
    answers(`${url}/connected`),
  );
  return url;
}

/** `curl | openssl` of as many whole pieces as `sizeBytes` has. */
export function relayedRead(rig: Rig, url: string, sizeBytes: number): Contestant {
  const pieces = Math.ceil(sizeBytes / BYTES_PER_MIB);
  const pipe = 'curl -sSf "$0" | openssl dgst -sha256 -r';
  return new Contestant(async () => (await run(rig, "sh", ["-c", pipe, `${url}/relay/${pieces}`])).seconds);
}

/** A file sent to the node, `copies` times over. */
export function relayedWrite(rig: Rig, url: string, file: string, copies: number): Contestant {
  return new Contestant(() => timeBenchProgram(rig, "relay-upload", { file, url: `${url}/relay`, copies }));
}

/** wrangler's own entry point, wherever npm put the package. */
function wranglerProgram(): string {
  return join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin", "wrangler.js");
}
