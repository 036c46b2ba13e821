// The nodes of a chaos run: each slot has a role (with a listener or without, a disk that is soon full, a slow line), and a
// node that is destroyed is replaced by a fresh one in the same role.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { LocalNetwork, LocalNode, NodeOptions } from "../../../cli/local/network.ts";

/** The last of so many slots have no listener. */
const RELAYED_SHARE = 0.25;
const SMALL_PLEDGE = "12MB";
const TMPFS_BYTES = 24 * 1024 * 1024;
/** The slowest line that a node accepts. */
const SLOW_RATE = "64KiB";

type Role = "ordinary" | "small pledge" | "small disk" | "slow line";
/** From the first slot on; the others are ordinary. A network of fewer nodes than it needs to do without them has none. */
const SPECIAL_ROLES: readonly Role[] = ["small pledge", "small disk", "slow line"];
const ORDINARY_MIN = 7;

export class Slots {
  readonly #network: LocalNetwork;
  readonly #count: number;
  readonly #nodes = new Map<number, LocalNode>();
  readonly #mounts = new Set<string>();
  made = 0;

  constructor(network: LocalNetwork, count: number) {
    this.#network = network;
    this.#count = count;
    process.once("exit", () => this.#unmountAll());
  }

  async fill(): Promise<void> {
    for (let slot = 0; slot < this.#count; slot++) {
      if (!this.#nodes.has(slot)) await this.#add(slot);
    }
  }

  at(slot: number): LocalNode {
    const node = this.#nodes.get(slot);
    if (node === undefined) throw new RangeError(`slot ${slot} is empty`);
    return node;
  }

  get nodes(): LocalNode[] {
    return [...this.#nodes.values()];
  }

  /** The node ends without a word, and its disk with it. */
  async destroy(slot: number): Promise<void> {
    const node = this.at(slot);
    this.#nodes.delete(slot);
    if (this.#mounts.has(node.dir)) {
      await node.process.end();
      this.#unmount(node.dir);
    }
    await this.#network.destroyNode(node);
  }

  /** After the nodes have ended. */
  #unmountAll(): void {
    for (const dir of this.#mounts) this.#unmount(dir);
  }

  stop(): void {
    this.#unmountAll();
  }

  async #add(slot: number): Promise<void> {
    this.made += 1;
    const role = this.#roleOf(slot);
    const isMounted = role === "small disk" && this.#mount(this.#network.nextNodeDir);
    const options: NodeOptions = {
      relayed: slot >= Math.floor(this.#count * (1 - RELAYED_SHARE)),
      flags: flagsOf(role, isMounted),
    };
    this.#nodes.set(slot, await this.#network.addNode(options));
  }

  #roleOf(slot: number): Role {
    if (this.#count < SPECIAL_ROLES.length + ORDINARY_MIN) return "ordinary";
    return SPECIAL_ROLES[slot] ?? "ordinary";
  }

  /** False where this user may not mount: the pledge limits the node then. */
  #mount(dir: string): boolean {
    mkdirSync(dir, { recursive: true });
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${TMPFS_BYTES}`, "tmpfs", dir]);
    if (status !== 0) return false;
    this.#mounts.add(dir);
    return true;
  }

  #unmount(dir: string): void {
    spawnSync("umount", ["-l", dir]);
    this.#mounts.delete(dir);
  }
}

function flagsOf(role: Role, isMounted: boolean): string[] {
  if (role === "slow line") return ["--up", SLOW_RATE, "--down", SLOW_RATE];
  // The disk ends before the pledge does.
  if (role === "small disk" && isMounted) return ["--reserve", "0"];
  return role === "ordinary" ? [] : ["--pledge", SMALL_PLEDGE];
}
