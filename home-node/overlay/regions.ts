// Which nodes are closest to a hash, asked once for a whole region of the hash space: the hashes that begin as the one that
// was looked up, for as many bits as all nodes there were found for. In a network of k nodes or fewer that is all hashes, in
// one of a thousand about a hundredth of them.

import type { Hash, NodeId } from "../../lib/hash.ts";
import { K, sharedBits } from "../../lib/overlay/distance.ts";
import type { Clock } from "../clock.ts";
import type { Reachable } from "./reachable.ts";

/** Nodes come and go: then a region is looked up again. */
export const REGION_LIFETIME_MS = 10 * 60_000;
/** Regions remembered: those of a network of some 20,000 nodes. */
export const REGIONS_MAX = 2048;

export interface Region {
  /** The hash that was looked up, and how many bits of it all hashes of the region begin with. */
  hash: Hash;
  bits: number;
  nodes: readonly Reachable[];
  untilMs: number;
}

export interface RegionsDeps {
  clock: Pick<Clock, "now">;
  /** The nodes closest to a hash, nearest first, k at most. */
  find: (hash: Hash) => Promise<readonly Reachable[]>;
  /** Whether a node is the one that it was said to be. */
  isGenuine: (node: Reachable) => Promise<boolean>;
}

export class Regions {
  readonly #deps: RegionsDeps;
  /** The one that was asked for last is first. */
  #regions: Region[] = [];

  constructor(deps: RegionsDeps) {
    this.#deps = deps;
  }

  /** The region that a hash is in; null where it is to be looked up. */
  known(hash: Hash): Region | null {
    const nowMs = this.#deps.clock.now();
    const covers = ({ hash: middle, bits, untilMs }: Region) =>
      untilMs > nowMs && sharedBits(middle, hash) >= bits;
    const region = this.#regions.find(covers) ?? null;
    if (region !== null && region !== this.#regions[0]) this.#putFirst(region);
    return region;
  }

  async look(hash: Hash): Promise<Region> {
    const { find, isGenuine, clock } = this.#deps;
    const closest = await find(hash);
    const judged = await Promise.all(closest.map(async (node) => ((await isGenuine(node)) ? node : null)));
    const nodes = judged.filter((node) => node !== null);
    // Where nobody was found, the next hash is looked up anew.
    const untilMs = clock.now() + (nodes.length === 0 ? 0 : REGION_LIFETIME_MS);
    const region = { hash, bits: bitsOf(hash, closest), nodes, untilMs };
    this.#putFirst(region);
    return region;
  }

  /** The node is gone: regions that it is in are looked up again. */
  forget(id: NodeId): void {
    this.#regions = this.#regions.filter(({ nodes }) => nodes.every((node) => node.id !== id));
  }

  forgetAll(): void {
    this.#regions = [];
  }

  #putFirst(region: Region): void {
    const others = this.#regions.filter((other) => other !== region);
    this.#regions = [region, ...others.slice(0, REGIONS_MAX - 1)];
  }
}

/** Every node that begins with one bit more than the farthest of the k closest is among these. */
function bitsOf(hash: Hash, closest: readonly Reachable[]): number {
  const farthest = closest[K - 1];
  return farthest === undefined ? 0 : sharedBits(hash, farthest.id) + 1;
}
