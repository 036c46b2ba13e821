// Brings an edge and a home node to agree on what the node keeps: first its statements, because a chunk is of use only where
// something refers to it, then its chunks. Digests are compared, and of the partitions that differ, and of no others, the
// contents are asked for. So an edge that has lost its index, or is new, has it back from its volunteers.

import pLimit from "p-limit";
import { isHoldfastError } from "../lib/error.ts";
import { type Hash, type NodeId, partitionOf } from "../lib/hash.ts";
import { type DigestsAnswer, type ListedChunk, parseListedChunks } from "../lib/inventory-digests.ts";
import { INVENTORY_PATH, NAMES_INVENTORY_PATH } from "../lib/tunnel/passage.ts";
import type { ClaimResult, PartitionClaim } from "./claims.ts";
import type { InventoryReport } from "./inventories-table.ts";
import { stepWalk, type Visit } from "./inventory-walk.ts";
import { afterQuery, LISTED_AT_ONCE, type NamesDeps, visitNames } from "./names-visit.ts";
import { emptyRound, readProgress, type SyncProgress, writeProgress } from "./sync-progress.ts";

/** After a node has registered: those that lost their edge come back together. */
export const INVENTORY_DELAY_MS = 2_000;
export const INVENTORY_PERIOD_MS = 24 * 3600 * 1000;
/** The pause between two steps; */
export const INVENTORY_PAUSE_MS = 500;
/** longer for each statement that was refused: verifying what is made up costs, and asks DNS. */
export const REFUSED_PAUSE_MS = 500;
/** What was left open is asked for again after this long, twice as long after each time that brought nothing. */
export const INVENTORY_AGAIN_MS = 10_000;
const DOUBLINGS_MAX = 14;
/** Of one partition; what a node says beyond that is not taken in. */
export const PARTITION_CHUNKS_MAX = 20_000;
/** What a node brings back later than this after it was first asked is no longer counted as part of that. */
export const FILLING_MS = 7 * 24 * 3600 * 1000;
/** The edge's numbers are behind by so much at most while a node tells what it has. */
export const PROGRESS_INTERVAL_MS = 2_000;

export interface SyncDeps extends NamesDeps {
  sql: SqlStorage;
  node: NodeId;
  /** `isFinal`: what was ignored will not be asked for again. */
  claim: (claim: PartitionClaim) => Promise<ClaimResult & { isFinal: boolean }>;
  report: (report: InventoryReport) => Promise<void>;
}

/** One step; returns when the next is due. */
export async function syncInventory(deps: SyncDeps, nowMs: number): Promise<number> {
  const progress = readProgress(deps.sql, nowMs);
  const refusedBefore = sum(progress.round.refused);
  let isDone = progress.walk === "names" && (await stepNames(deps, progress));
  if (isDone) endNames(progress);
  if (progress.walk === "chunks") isDone = await stepChunks(deps, progress);
  const pauseMs = INVENTORY_PAUSE_MS + REFUSED_PAUSE_MS * (sum(progress.round.refused) - refusedBefore);
  const nextMs = isDone ? endRound(progress, nowMs) : nowMs + pauseMs;
  writeProgress(deps.sql, progress);
  await tell(deps, progress, { isDone, nowMs });
  return nextMs;
}

async function stepNames(deps: SyncDeps, progress: SyncProgress): Promise<boolean> {
  const { isDone, count } = await stepWalk({
    sql: deps.sql,
    kind: "names",
    first: partitionOf(deps.node),
    ask: (known) => askNames(deps, known),
    visit: (partitions, after) => visitNames(deps, progress.round, partitions, after),
  });
  progress.statementsListed = count ?? progress.statementsListed;
  return isDone;
}

async function stepChunks(deps: SyncDeps, progress: SyncProgress): Promise<boolean> {
  const { isDone, count } = await stepWalk({
    sql: deps.sql,
    kind: "chunks",
    first: partitionOf(deps.node),
    ask: (known) => askDigests(deps, INVENTORY_PATH, known),
    visit: (partitions) => visitChunks(deps, progress, partitions),
  });
  progress.chunksListed = count ?? progress.chunksListed;
  return isDone;
}

function askDigests({ ask }: SyncDeps, path: string, known: Hash): Promise<unknown> {
  return ask(`${path}?known=${known}`);
}

/** A node of an earlier release lists none. */
async function askNames(deps: SyncDeps, known: Hash): Promise<unknown> {
  try {
    return await askDigests(deps, NAMES_INVENTORY_PATH, known);
  } catch (error) {
    if (!isHoldfastError(error, "not-found")) throw error;
    return { root: known, partitions: null, count: 0 } satisfies DigestsAnswer;
  }
}

async function visitChunks(
  deps: SyncDeps,
  { round }: SyncProgress,
  partitions: readonly number[],
): Promise<Visit[]> {
  const limit = pLimit(LISTED_AT_ONCE);
  return Promise.all(partitions.map((partition) => limit(() => visitPartition(deps, round, partition))));
}

async function visitPartition(
  deps: SyncDeps,
  round: SyncProgress["round"],
  partition: number,
): Promise<Visit> {
  const askedMs = Date.now();
  const chunks = await chunksOf(deps, partition);
  const { added, ignored, isFinal } = await deps.claim({ node: deps.node, partition, chunks, askedMs });
  const isLeftOpen = ignored > 0 && !isFinal;
  round.chunks += added;
  round.isOpen ||= isLeftOpen;
  return { partition, open: Number(isLeftOpen), after: null };
}

async function chunksOf({ ask }: SyncDeps, partition: number): Promise<ListedChunk[]> {
  const chunks: ListedChunk[] = [];
  let after: Hash | null = null;
  do {
    const path: string = `${INVENTORY_PATH}/${partition}${afterQuery(after)}`;
    const listed = parseListedChunks(await ask(path), partition, after);
    chunks.push(...listed.chunks);
    after = listed.next;
  } while (after !== null && chunks.length < PARTITION_CHUNKS_MAX);
  return chunks;
}

function endNames(progress: SyncProgress): void {
  const { round } = progress;
  progress.walk = "chunks";
  progress.waiting = round.waiting;
  progress.refused = round.refused;
}

/** Both have been walked over: returns when that is due again. */
function endRound(progress: SyncProgress, nowMs: number): number {
  const { round } = progress;
  const hasTaken = round.statements + round.chunks > 0;
  const isFilling = nowMs - progress.sinceMs < FILLING_MS;
  if (progress.untilMs === null || (hasTaken && isFilling)) progress.untilMs = Date.now();
  progress.statementsTaken += round.statements;
  progress.chunksTaken += round.chunks;
  progress.fruitless = round.isOpen && !hasTaken ? progress.fruitless + 1 : 0;
  const againMs = INVENTORY_AGAIN_MS * 2 ** Math.min(progress.fruitless, DOUBLINGS_MAX);
  const nextMs = round.isOpen ? Math.min(INVENTORY_PERIOD_MS, againMs) : INVENTORY_PERIOD_MS;
  progress.walk = "names";
  progress.round = emptyRound();
  return nowMs + nextMs;
}

/** The root shard hears what has changed, at the end of a round or when it has heard nothing for a while. */
async function tell(
  { sql, node, report }: SyncDeps,
  progress: SyncProgress,
  { isDone, nowMs }: { isDone: boolean; nowMs: number },
): Promise<void> {
  const { sinceMs, untilMs, statementsListed, chunksListed, round } = progress;
  const { waiting, refused } = untilMs === null && progress.walk === "names" ? round : progress;
  const said: InventoryReport = {
    ...{ node, sinceMs, untilMs, statementsListed, chunksListed, waiting, refused },
    statementsTaken: progress.statementsTaken + round.statements,
    chunksTaken: progress.chunksTaken + round.chunks,
  };
  const told = JSON.stringify(said);
  if (told === progress.told || (!isDone && nowMs - progress.toldMs < PROGRESS_INTERVAL_MS)) return;
  await report(said);
  writeProgress(sql, { ...progress, told, toldMs: nowMs });
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
