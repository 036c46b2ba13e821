// Runs inside a network namespace: starts a network, shapes its nodes' uplinks, and reads from all of them, by
// `holdfast get` and over plain TCP connections that pass the same uplinks.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { getArgs, holdfast, IDLE_ARGS, publishArgs, startNetwork } from "../holdfast.ts";
import { Contestant, inTurn, rates } from "../measure.ts";
import { run } from "../processes.ts";
import { randomBlocks, writeRandomFile } from "../random-file.ts";
import { Rig } from "../rig.ts";
import { HOLDERS, type ShapedInput, type ShapedResult, shapeUplinks } from "../shaping.ts";
import { inputOf, report, secondsOf } from "./program.ts";

const NAME = "object";

async function measure(rig: Rig, sizeBytes: number): Promise<ShapedResult> {
  await run(rig, "ip", ["link", "set", "lo", "up"]);
  const network = await startNetwork(rig, { nodes: HOLDERS, relayed: false });
  const file = join(rig.dir, NAME);
  await writeRandomFile(file, NAME, sizeBytes);
  await holdfast(rig, network, publishArgs(network, file, NAME, HOLDERS));
  const share = Math.ceil(sizeBytes / HOLDERS);
  const sources = await Promise.all(network.nodes.map(() => startSource(rig, share)));
  await shapeUplinks(
    rig,
    network.nodes.map(({ url }, i) => [portOf(url), sources[i] ?? 0]),
  );
  const startUp = new Contestant(() => holdfast(rig, network, IDLE_ARGS));
  const fetch = new Contestant(() => holdfast(rig, network, getArgs(NAME)));
  const plain = new Contestant(() => secondsOf(() => Promise.all(sources.map(drain))));
  await inTurn(rig.runs, [startUp, fetch, plain], async (i) => rig.sayRun(i));
  return { fetched: rates(sizeBytes, fetch, startUp), plain: rates(share * HOLDERS, plain) };
}

/** A server that sends each connection `sizeBytes` and ends; returns its port. */
async function startSource(rig: Rig, sizeBytes: number): Promise<number> {
  const bytes = Buffer.concat([...randomBlocks("plain", sizeBytes)]);
  const server = createServer((socket) => socket.end(bytes)).listen(0, "127.0.0.1");
  await once(server, "listening");
  rig.atEnd({ end: async () => void server.close(), kill: () => undefined });
  return parseAddress(server).port;
}

function parseAddress(server: Server): AddressInfo {
  return server.address() as AddressInfo;
}

async function drain(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1").resume();
  await once(socket, "close");
}

function portOf(url: string | null): number {
  if (url === null) throw new TypeError("a node without a listener has no uplink to shape");
  return Number(new URL(url).port);
}

const { runs, sizeBytes } = inputOf<ShapedInput>();
const rig = await Rig.create("get/shaped-3", { runs, sizeBytes });
try {
  report(await measure(rig, sizeBytes));
} finally {
  await rig.end();
}
