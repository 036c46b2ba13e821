// Two edges that are each other's peers, each with its own key, index and home nodes, and one DNS for both.

import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalNetwork } from "../../cli/local/network.ts";
import { freeRange } from "./setup.ts";

export interface TwoEdges {
  a: LocalNetwork;
  b: LocalNetwork;
  stop(): Promise<void>;
}

/** Edge A has `nodes` home nodes, `relayed` of them without a listener; edge B has none of its own. */
export async function startTwoEdges(nodes: number, relayed: number): Promise<TwoEdges> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-peers-"));
  const [dirA, dirB] = [join(dir, "a"), join(dir, "b")];
  const [portA, portB] = [await freeRange(), await freeRange()];
  const network = (own: string, port: number, peer: number, count: number) =>
    new LocalNetwork({
      ...{ dir: own, port, nodes: count, relayed: count === 0 ? 0 : relayed, pledge: "1GB" },
      settings: { PEER_EDGES: `http://localhost:${peer}` },
    });
  const a = network(dirA, portA, portB, nodes);
  const b = network(dirB, portB, portA, 0);
  const zone = join(dir, "zone");
  await writeFile(zone, "");
  for (const own of [dirA, dirB]) {
    await mkdir(own);
    await symlink(zone, join(own, "zone"));
  }
  const networks = [a, b];
  process.once("exit", () => {
    for (const one of networks) one.killAll();
  });
  const stop = async () => {
    await Promise.all(networks.map((one) => one.stop()));
    await rm(dir, { recursive: true });
  };
  try {
    for (const one of networks) await one.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { a, b, stop };
}
