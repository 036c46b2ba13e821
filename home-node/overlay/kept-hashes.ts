// Everything that a node keeps and others may ask it for: the Content Hashes of its chunks, then the Name Hashes of its Versions
// and Removals, each in order. Not what its volunteer has denied.

import type { Hash } from "../../lib/hash.ts";
import type { DenyList } from "../deny-list.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { RemovalStore } from "../store/removal-store.ts";
import type { StatementStore } from "../store/statement-store.ts";

export interface KeptStores {
  chunks: ChunkStore;
  statements: StatementStore;
  removals: RemovalStore;
  denied: DenyList;
}

export async function* keptHashes({
  chunks,
  statements,
  removals,
  denied,
}: KeptStores): AsyncGenerator<Hash> {
  for await (const hash of chunks.hashes()) if (!denied.has(hash)) yield hash;
  const names = new Set([...statements.names, ...removals.names()]);
  for (const hash of [...names].sort()) if (!denied.has(hash)) yield hash;
}

/** Has `tell` called with each hash that comes to be among them. */
export function onKept({ chunks, statements, removals }: KeptStores, tell: (hash: Hash) => void): void {
  chunks.onStored(tell);
  statements.onName(tell);
  removals.onName(tell);
}
