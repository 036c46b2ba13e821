// Holdfast itself, as people run it: a local network of real processes, and the command in a process of its own. What
// the command takes to load is measured too, so that it can be told apart from the transfer.

import { randomInt } from "node:crypto";
import { join } from "node:path";
import { plural } from "../cli/format.ts";
import { freePort } from "../cli/local/free-port.ts";
import { LocalNetwork, SAMPLE_DOMAIN } from "../cli/local/network.ts";
import { type RunOptions, run } from "./processes.ts";
import type { Rig } from "./rig.ts";

const MAIN = join(import.meta.dirname, "..", "cli", "main.ts");
/** Below the ports that Linux gives to outgoing connections. */
const PORTS = { min: 10_000, max: 30_000 };
/** More than any row stores. */
const PLEDGE = "200GB";

export interface Shape {
  nodes: number;
  /** Whether none of them has a listener, or each. */
  relayed: boolean;
}

/** A network that ends with the row. */
export async function startNetwork(rig: Rig, { nodes, relayed }: Shape): Promise<LocalNetwork> {
  const network = new LocalNetwork({
    dir: join(rig.dir, "network"),
    port: await freePort(randomInt(PORTS.min, PORTS.max)),
    nodes,
    relayed: relayed ? nodes : 0,
    pledge: PLEDGE,
  });
  rig.atEnd({ end: () => network.stop(), kill: () => network.killAll() });
  rig.say(`starting ${plural(nodes, "home node")}${relayed ? " without a listener" : ""}`);
  await network.start();
  checkShape(network, relayed);
  return network;
}

/** A row must not be called relayed when its nodes could be reached directly, nor the other way round. */
function checkShape(network: LocalNetwork, relayed: boolean): void {
  const wrong = network.nodes.filter(({ url }) => (url === null) !== relayed);
  if (wrong.length > 0) {
    throw new Error(`${wrong.length} of the nodes ${relayed ? "have a listener" : "have no listener"}`);
  }
}

/** The bench's own domain: the one that every local network knows. */
export function objectName(name: string): string {
  return `${SAMPLE_DOMAIN}/${name}`;
}

export function objectUrl(network: LocalNetwork, name: string): string {
  return `${network.edgeUrl}/obj/${objectName(name)}`;
}

/** The environment in which the command finds the network. */
export function environmentOf(network: LocalNetwork): NodeJS.ProcessEnv {
  return { HOLDFAST_CONFIG: network.configFile, XDG_STATE_HOME: network.dir };
}

/** Runs the command to its end; returns its seconds, its start-up included. */
export async function holdfast(
  rig: Rig,
  network: LocalNetwork,
  args: readonly string[],
  options: { nodeArgs?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<number> {
  const runOptions: RunOptions = {
    env: { ...environmentOf(network), ...options.env },
    discardOutput: true,
  };
  const { seconds } = await run(
    rig,
    process.execPath,
    [...(options.nodeArgs ?? []), MAIN, ...args],
    runOptions,
  );
  return seconds;
}

export function publishArgs(network: LocalNetwork, file: string, name: string, replicas: number): string[] {
  return ["publish", file, objectName(name), "--replicas", String(replicas), ...signingArgs(network)];
}

export function publishStripedArgs(
  network: LocalNetwork,
  file: string,
  name: string,
  scheme: string,
): string[] {
  return ["publish", file, objectName(name), "--redundancy", scheme, ...signingArgs(network)];
}

function signingArgs({ sampleKeyFile }: LocalNetwork): string[] {
  return ["--key", sampleKeyFile, "--author", `bench@${SAMPLE_DOMAIN}`];
}

/** To standard output, which goes to /dev/null: every byte is verified, and none is written to a disk. */
export function getArgs(name: string): string[] {
  return ["get", objectName(name), "-o", "-"];
}

/** What the command takes to load everything that publish and get load, and to do nothing with it. */
export const IDLE_ARGS: readonly string[] = ["--version"];
