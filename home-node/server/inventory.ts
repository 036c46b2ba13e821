// GET /inventory and what is below it: which chunks the node holds and which statements it keeps, for the edges that it
// serves. Through their tunnels only: to strangers it would say which chunks to ask for.

import { base64 } from "../../lib/base64.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, PARTITION_COUNT, parseHash, partitionOf } from "../../lib/hash.ts";
import {
  type DigestsAnswer,
  digestInventory,
  digestPartitions,
  type InventoryDigests,
  LISTED_CHUNKS_MAX,
  LISTED_STATEMENTS_MAX,
  type ListedChunk,
  type ListedChunks,
  type ListedStatements,
} from "../../lib/inventory-digests.ts";
import { formatKept, type NamesDeps } from "./names.ts";
import type { NodeContext } from "./node-context.ts";

const NO_STORE = { "Cache-Control": "no-store" };
/** Hex digits that begin every hash of a group of four in a partition. */
const PREFIX_DIGITS = 3;
const PREFIXES_PER_PARTITION = 4;

export type InventoryDeps = Pick<NamesDeps, "chunks" | "statements" | "removals">;

export async function getDigests(c: NodeContext, { chunks }: InventoryDeps): Promise<Response> {
  checkArrival(c);
  return answerDigests(c, await digestInventory(chunks.list()), chunks.totals.chunks);
}

export function getNamesDigests(c: NodeContext, deps: InventoryDeps): Response {
  checkArrival(c);
  const digests = digestPartitions((partition) => idsIn(partition, deps));
  return answerDigests(c, digests, deps.statements.size + deps.removals.size);
}

function answerDigests(c: NodeContext, { root, partitions }: InventoryDigests, count: number): Response {
  const known = c.req.query("known");
  const isKnown = known !== undefined && parseHash(known) === root;
  const body: DigestsAnswer = { root, partitions: isKnown ? null : base64.encode(partitions), count };
  return c.json(body, 200, NO_STORE);
}

export function getNamesPartition(c: NodeContext, deps: InventoryDeps): Response {
  checkArrival(c);
  const partition = parsePartition(c.req.param("partition") ?? "");
  const query = c.req.query("after");
  const after = query === undefined ? "" : parseHash(query);
  const rest = idsIn(partition, deps).filter((id) => id > after);
  const ids = rest.slice(0, LISTED_STATEMENTS_MAX);
  const body: ListedStatements = { ids, next: rest.length > ids.length ? (ids.at(-1) ?? null) : null };
  return c.json(body, 200, NO_STORE);
}

/** A Version or a Removal, with its witnesses and the delegation that it rests on. */
export async function getStatement(
  c: NodeContext,
  { statements, removals }: InventoryDeps,
): Promise<Response> {
  checkArrival(c);
  const id = parseHash(c.req.param("id"));
  const kept = removals.get(id) ?? (await statements.get(id));
  if (kept === null) throw new HoldfastError("not-found", "this home node does not keep this statement");
  return c.json(formatKept(kept), 200, NO_STORE);
}

function idsIn(partition: number, { statements, removals }: InventoryDeps): Hash[] {
  return [...statements.idsIn(partition), ...removals.idsIn(partition)].sort();
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
