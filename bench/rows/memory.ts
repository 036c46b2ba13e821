// How much memory a large object takes: the growth of the peak over idle of each process that its bytes pass through.
// Idle is the command that has loaded everything and does nothing; a home node that has registered; the edge's
// runtime with that node online. Measured once: a peak is no matter of luck to be averaged away.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LocalNetwork } from "../../cli/local/network.ts";
import { type Figure, plainFigure, type Row } from "../figure.ts";
import { getArgs, holdfast, IDLE_ARGS, objectUrl, publishArgs, startNetwork } from "../holdfast.ts";
import { curlAndHash } from "../limits/nginx.ts";
import { BYTES_PER_MIB } from "../measure.ts";
import { descendantsNamed, hasOpenUnder, hasProc, MemoryWatch, parsePeak } from "../process-memory.ts";
import { benchProgram } from "../processes.ts";
import { writeRandomFile } from "../random-file.ts";
import { missingPrograms } from "../requires.ts";
import type { Rig } from "../rig.ts";

const OBJECT_BYTES = 2048 * BYTES_PER_MIB;
const NAME = "object";
const AIM = { below: 128 };

export const memoryRows: Row[] = [memoryRow(false), memoryRow(true)];

function memoryRow(relayed: boolean): Row {
  const id = `memory/${relayed ? "relayed" : "direct"}`;
  const obstacle = async () => (hasProc() ? null : "needs /proc, as Linux has it");
  return { id, obstacle, measure: (rig) => measure(id, relayed, rig) };
}

async function measure(id: string, relayed: boolean, rig: Rig): Promise<Figure[]> {
  const network = await startNetwork(rig, { nodes: 1, relayed });
  const file = join(rig.dir, NAME);
  const digest = await writeRandomFile(file, id, rig.sizeBytes(OBJECT_BYTES));
  const idle = await peakOfCommand(rig, network, IDLE_ARGS);
  const node = await MemoryWatch.start(pidOf(network.nodes[0]?.process.pid));
  const { edge, proxy } = await watchRuntimes(network);
  rig.say("publishing");
  const publisher = await peakOfCommand(rig, network, publishArgs(network, file, NAME, 1));
  rig.say("fetching");
  const getter = await peakOfCommand(rig, network, getArgs(NAME));
  if (missingPrograms(["curl", "openssl"]).length === 0) {
    rig.say("reading /obj");
    await curlAndHash(rig, () => ({ url: objectUrl(network, NAME), digest })).run();
  }
  const ours: Growth[] = [
    ["publisher", "holdfast publish", publisher - idle],
    ["getter", "holdfast get", getter - idle],
    ["home-node", "home node", await node.growth()],
    ["edge", "the edge's workerd", await edge.growth()],
  ];
  const foreign: Growth = ["wrangler-proxy", "wrangler's own proxy", await proxy.growth()];
  const way = relayed ? "relayed" : "direct";
  const figureOf = ([part, what, mib]: Growth) =>
    plainFigure(`${id}/${part}`, `peak over idle of ${what}, ${way}`, "MiB", [mib]);
  return [...ours.map((growth) => ({ ...figureOf(growth), aim: AIM })), figureOf(foreign)];
}

/** Which process, in an id and in words, and by how many MiB it grew. */
type Growth = [part: string, what: string, mib: number];

/** MiB that the command had at its most. */
async function peakOfCommand(rig: Rig, network: LocalNetwork, args: readonly string[]): Promise<number> {
  const statusFile = join(rig.dir, "status");
  await holdfast(rig, network, args, {
    nodeArgs: ["--import", ...benchProgram("peak-memory")],
    env: { HOLDFAST_BENCH_STATUS: statusFile },
  });
  return parsePeak(await readFile(statusFile, "utf8"));
}

/** wrangler runs two: the edge, which has the shards' files open, and a proxy in front of it, which is not ours. */
async function watchRuntimes(network: LocalNetwork): Promise<{ edge: MemoryWatch; proxy: MemoryWatch }> {
  const pids = await descendantsNamed(pidOf(network.edge.pid), "workerd");
  const isEdge = await Promise.all(pids.map((pid) => hasOpenUnder(pid, join(network.dir, "edge"))));
  const edge = pids.find((_, i) => isEdge[i] === true);
  const proxy = pids.find((_, i) => isEdge[i] === false);
  return { edge: await MemoryWatch.start(pidOf(edge)), proxy: await MemoryWatch.start(pidOf(proxy)) };
}

function pidOf(pid: number | null | undefined): number {
  if (pid === null || pid === undefined) throw new Error("a process of the network does not run");
  return pid;
}
