// One local network for the end-to-end tests of a run: real processes, real sockets, a folder of its own. Tests that
// end or harm processes start a network of their own.

import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { freePort } from "../../cli/local/free-port.ts";
import { LocalNetwork } from "../../cli/local/network.ts";
import { publishSample } from "../../cli/local/sample.ts";

export interface SharedNetwork {
  dir: string;
  edgeUrl: string;
  dohUrl: string;
  zoneFile: string;
  configFile: string;
  sampleKeyFile: string;
  /** Of the nodes that have a listener. */
  nodeUrls: string[];
}

declare module "vitest" {
  interface ProvidedContext {
    network: SharedNetwork;
  }
}

/** Below the ports that Linux gives to outgoing connections, so that none is taken between the look and the use. */
const PORTS = { min: 10_000, max: 30_000, range: 40 };

/** The first of PORTS.range ports, of which the ones that a local network uses are free. */
export async function freeRange(): Promise<number> {
  for (;;) {
    const base = randomInt(PORTS.min, PORTS.max);
    const wanted = Array.from({ length: PORTS.range }, (_, i) => base + i);
    const found = await Promise.all(wanted.map(freePort));
    if (found.every((port, i) => port === wanted[i])) return base;
  }
}

export async function startNetwork(
  nodes = 5,
  relayed = 0,
  settings: Readonly<Record<string, string>> = {},
): Promise<LocalNetwork> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-e2e-"));
  const network = new LocalNetwork({ dir, port: await freeRange(), nodes, relayed, pledge: "5GB", settings });
  process.once("exit", () => network.killAll());
  try {
    await network.start();
  } catch (error) {
    await endNetwork(network);
    throw error;
  }
  return network;
}

export async function endNetwork(network: LocalNetwork): Promise<void> {
  await network.stop();
  await rm(network.dir, { recursive: true });
}

export function sharedView(network: LocalNetwork): SharedNetwork {
  const { dir, edgeUrl, dohUrl, zoneFile, configFile, sampleKeyFile, nodes } = network;
  return {
    dir,
    edgeUrl,
    dohUrl,
    zoneFile,
    configFile,
    sampleKeyFile,
    nodeUrls: nodes.flatMap(({ url }) => url ?? []),
  };
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const network = await startNetwork(5, 2);
  await publishSample(network);
  project.provide("network", sharedView(network));
  return () => endNetwork(network);
}
