// Brings an edge and a home node to agree on what the node holds: digests are compared, and of the partitions that differ,
// and no others, the chunks are asked for and claimed at their shards. What was agreed on is kept in the node's link.

import { type Hash, hashBytes, type NodeId } from "../lib/hash.ts";
import {
  differingPartitions,
  INVENTORY_DIGESTS_BYTES,
  type ListedChunk,
  PARTITION_DIGEST_BYTES,
  parseDigests,
  parseListedChunks,
} from "../lib/inventory-digests.ts";
import { INVENTORY_PATH } from "../lib/tunnel/passage.ts";
import type { ClaimResult, PartitionClaim } from "./claims.ts";

/** After a node has registered: those that lost their edge come back together. */
export const INVENTORY_DELAY_MS = 2_000;
export const INVENTORY_PERIOD_MS = 24 * 3600 * 1000;
/** Partitions brought in at a time, */
export const PARTITIONS_PER_STEP_MAX = 32;
/** and the pause before the next ones. */
export const INVENTORY_PAUSE_MS = 500;
/** Of one partition; what a node says beyond that is not taken in. */
export const PARTITION_CHUNKS_MAX = 20_000;

export interface SyncDeps {
  sql: SqlStorage;
  node: NodeId;
  /** The node's JSON answer to a GET, through its tunnel. */
  ask: (path: string) => Promise<unknown>;
  /** `isFinal`: what was ignored will not be asked for again. */
  claim: (claim: PartitionClaim) => Promise<ClaimResult & { isFinal: boolean }>;
}

/** One step; returns when the next is due. */
export async function syncInventory(deps: SyncDeps, nowMs: number): Promise<number> {
  const agreed = agreedDigests(deps.sql);
  const known = hashBytes(agreed);
  const digests = parseDigests(await deps.ask(`${INVENTORY_PATH}?known=${known}`), known);
  if (digests === null) return nowMs + INVENTORY_PERIOD_MS;
  const differing = differingPartitions(agreed, digests.partitions);
  for (const partition of differing.slice(0, PARTITIONS_PER_STEP_MAX)) {
    const askedMs = Date.now();
    const chunks = await chunksOf(deps, partition);
    const { ignored, isFinal } = await deps.claim({ node: deps.node, partition, chunks, askedMs });
    if (ignored > 0 && !isFinal) continue;
    agreed.set(digestAt(digests.partitions, partition), partition * PARTITION_DIGEST_BYTES);
    keepAgreed(deps.sql, agreed);
  }
  return differing.length > PARTITIONS_PER_STEP_MAX
    ? nowMs + INVENTORY_PAUSE_MS
    : nowMs + INVENTORY_PERIOD_MS;
}

async function chunksOf({ ask }: SyncDeps, partition: number): Promise<ListedChunk[]> {
  const chunks: ListedChunk[] = [];
  let after: Hash | null = null;
  do {
    const query: string = after === null ? "" : `?after=${after}`;
    const listed = parseListedChunks(await ask(`${INVENTORY_PATH}/${partition}${query}`), partition, after);
    chunks.push(...listed.chunks);
    after = listed.next;
  } while (after !== null && chunks.length < PARTITION_CHUNKS_MAX);
  return chunks;
}

function digestAt(partitions: Uint8Array, partition: number): Uint8Array {
  const start = partition * PARTITION_DIGEST_BYTES;
  return partitions.subarray(start, start + PARTITION_DIGEST_BYTES);
}

function agreedDigests(sql: SqlStorage): Uint8Array<ArrayBuffer> {
  const [row] = sql.exec<{ partitions: ArrayBuffer }>("SELECT partitions FROM inventory").toArray();
  const agreed = new Uint8Array(INVENTORY_DIGESTS_BYTES);
  if (row !== undefined && row.partitions.byteLength === INVENTORY_DIGESTS_BYTES)
    agreed.set(new Uint8Array(row.partitions));
  return agreed;
}

function keepAgreed(sql: SqlStorage, agreed: Uint8Array<ArrayBuffer>): void {
  sql.exec(
    "INSERT INTO inventory (one, partitions) VALUES (1, ?) ON CONFLICT DO UPDATE SET partitions = excluded.partitions",
    agreed,
  );
}
