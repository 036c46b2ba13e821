// Many real home nodes in one process, registered at a real edge over real sockets: a hundred of them take the memory of
// a few processes. They are stopped and their folders removed; files are dropped behind their backs.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { pino } from "pino";
import type { LocalNetwork } from "../../../cli/local/network.ts";
import { parseNodeConfig } from "../../../home-node/config.ts";
import { createHomeNode, type HomeNode } from "../../../home-node/home-node.ts";
import type { NodeId } from "../../../lib/hash.ts";

/** Every so many nodes one has no listener, and is reached through the edge. */
const RELAYED_EVERY = 3;
const STARTED_AT_ONCE = 10;

export interface FleetNode {
  id: NodeId;
  name: string;
  dir: string;
  node: HomeNode;
}

export class NodeFleet {
  readonly nodes: FleetNode[] = [];
  readonly #network: LocalNetwork;
  #made = 0;

  constructor(network: LocalNetwork) {
    this.#network = network;
  }

  async add(count: number): Promise<void> {
    const limit = pLimit(STARTED_AT_ONCE);
    await Promise.all(Array.from({ length: count }, () => limit(() => this.#start())));
    await this.#network.waitForNodes(this.nodes.length);
  }

  /** They end, and what they kept ends with them. */
  async vanish(nodes: readonly FleetNode[]): Promise<void> {
    await Promise.all(nodes.map(({ node }) => node.stop()));
    for (const node of nodes) {
      this.nodes.splice(this.nodes.indexOf(node), 1);
      await rm(node.dir, { recursive: true });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ node }) => node.stop()));
  }

  async #start(): Promise<void> {
    const number = this.#made;
    this.#made += 1;
    const name = `fleet-${number}`;
    const dir = join(this.#network.dir, "nodes", name);
    const config = parseNodeConfig({
      dir,
      listen: number % RELAYED_EVERY === 0 ? null : { host: "127.0.0.1", port: 0 },
      publicUrl: null,
      advertise: true,
      edges: [this.#network.edgeUrl],
      dohUrls: [this.#network.dohUrl],
      pledge: { bytes: 1024 ** 3, uploadRate: null, downloadRate: null, domains: "all" },
      diskReserveBytes: 0,
    });
    const node = createHomeNode(config, { log: pino({ level: "silent" }) });
    const { id } = await node.start();
    this.nodes.push({ id, name, dir, node });
  }
}
