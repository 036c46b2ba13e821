// GET /inventory and /inventory/<partition>: what the node holds, for the edges that it serves. Through their tunnels only:
// to strangers it would say which chunks to ask for.

import { base64 } from "../../lib/base64.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, PARTITION_COUNT, parseHash, partitionOf } from "../../lib/hash.ts";
import {
  type DigestsAnswer,
  digestInventory,
  LISTED_CHUNKS_MAX,
  type ListedChunk,
  type ListedChunks,
} from "../../lib/inventory-digests.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { NodeContext } from "./node-context.ts";

const NO_STORE = { "Cache-Control": "no-store" };
/** Hex digits that begin every hash of a group of four in a partition. */
const PREFIX_DIGITS = 3;
const PREFIXES_PER_PARTITION = 4;

export interface InventoryDeps {
  chunks: ChunkStore;
}

export async function getDigests(c: NodeContext, { chunks }: InventoryDeps): Promise<Response> {
  checkArrival(c);
  const known = c.req.query("known");
  const { root, partitions } = await digestInventory(chunks.list());
  const answer: DigestsAnswer = {
    root,
    partitions: known !== undefined && parseHash(known) === root ? null : base64.encode(partitions),
    chunks: chunks.totals.chunks,
  };
  return c.json(answer, 200, NO_STORE);
}

export async function getPartition(c: NodeContext, { chunks }: InventoryDeps): Promise<Response> {
  checkArrival(c);
  const partition = parsePartition(c.req.param("partition") ?? "");
  const after = c.req.query("after");
  const listed: ListedChunk[] = [];
  for await (const { hash, sizeBytes } of chunks.list(
    after === undefined ? before(partition) : parseHash(after),
  )) {
    if (partitionOf(hash) !== partition) break;
    if (listed.length === LISTED_CHUNKS_MAX) return answer(c, listed, listed.at(-1)?.hash ?? null);
    listed.push({ hash, size: sizeBytes });
  }
  return answer(c, listed, null);
}

function answer(c: NodeContext, chunks: ListedChunk[], next: Hash | null): Response {
  const body: ListedChunks = { chunks, next };
  return c.json(body, 200, NO_STORE);
}

/** Whoever is not an edge finds nothing here. */
function checkArrival(c: NodeContext): void {
  if (c.env.edgeUrl === null) throw new HoldfastError("not-found", "there is nothing at this path");
}

/** What every hash of the partition comes after, and none of the one before. */
function before(partition: number): string {
  return (partition * PREFIXES_PER_PARTITION).toString(16).padStart(PREFIX_DIGITS, "0");
}

function parsePartition(text: string): number {
  const partition = /^(0|[1-9]\d{0,3})$/.test(text) ? Number(text) : Number.NaN;
  if (partition < PARTITION_COUNT) return partition;
  throw new HoldfastError("invalid-request", `a partition is a number from 0 to ${PARTITION_COUNT - 1}`);
}
