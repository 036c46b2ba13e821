// Ids of statements by the partition of their Name Hash: what an edge asks for when it compares what a node keeps.

import { type Hash, partitionOf } from "../../lib/hash.ts";

export class PartitionedIds {
  readonly #ids = new Map<number, Set<Hash>>();

  add(nameHash: Hash, id: Hash): void {
    const partition = partitionOf(nameHash);
    const ids = this.#ids.get(partition) ?? new Set();
    ids.add(id);
    this.#ids.set(partition, ids);
  }

  /** In no order. */
  in(partition: number): Iterable<Hash> {
    return this.#ids.get(partition) ?? [];
  }
}
