// A shard's look over all that it is said to keep, a piece at each alarm: chunks that are on too few failure domains are
// queued for repair. A node that goes away costs nothing before the next look after its grace, and then only what it held.

import type { KeptChunk } from "../lib/durability/kept.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { removeHolder } from "./chunks-table.ts";
import type { IndexClient } from "./index-client.ts";
import type { Member } from "./members-table.ts";
import { endRepair, endShortage, queueRepair } from "./repairs-table.ts";
import { readSetting, writeSetting } from "./settings-table.ts";
import { type ChunkRecord, chunkRecord, type JudgedHolder, type Judgement, judgeChunk } from "./shortage.ts";

/** Chunks looked at in one alarm, */
export const SWEEP_BATCH_CHUNKS = 256;
/** and the pause before the next ones. */
export const SWEEP_PAUSE_MS = 250;
/** A holder that has been gone for so long is forgotten, where others keep the chunk as often as it is to be kept. */
export const FORGET_MS = 30 * 24 * 3600 * 1000;

const CURSOR_SETTING = "sweep-after";
const STARTED_SETTING = "sweep-started";

/** One step: returns when the next is due; null where this shard holds nothing. Done twice, it finds the same. */
export async function sweepStep(sql: SqlStorage, index: IndexClient, nowMs: number): Promise<number | null> {
  const { sweepMs, repairGraceMs: graceMs } = index.settings;
  const after = readSetting(sql, CURSOR_SETTING) ?? "";
  if (after === "") writeSetting(sql, STARTED_SETTING, String(nowMs));
  const records = chunksAfter(sql, after).map((chunk) => chunkRecord(sql, chunk));
  const members = await index.members(records.flatMap(({ holders }) => holders.map(({ node }) => node)));
  for (const record of records) settle(sql, record, judgeChunk(record, members, { nowMs, graceMs }), nowMs);
  const last = records.at(-1);
  const isEnd = records.length < SWEEP_BATCH_CHUNKS || last === undefined;
  writeSetting(sql, CURSOR_SETTING, isEnd ? "" : last.chunk);
  if (!isEnd) return nowMs + SWEEP_PAUSE_MS;
  if (after === "" && records.length === 0) return null;
  const startedMs = Number(readSetting(sql, STARTED_SETTING) ?? nowMs);
  return Math.max(nowMs + SWEEP_PAUSE_MS, startedMs + sweepMs);
}

function chunksAfter(sql: SqlStorage, after: string): Hash[] {
  return sql
    .exec<{ chunk: Hash }>(
      "SELECT DISTINCT chunk FROM holders WHERE chunk > ? ORDER BY chunk LIMIT ?",
      after,
      SWEEP_BATCH_CHUNKS,
    )
    .toArray()
    .map(({ chunk }) => chunk);
}

function settle(sql: SqlStorage, record: ChunkRecord, judged: Judgement, nowMs: number): void {
  const { chunk } = record;
  for (const { node } of judged.lost) removeHolder(sql, chunk, node);
  if (judged.shortages.length > 0) {
    queueRepair(sql, chunk, reasonOf(judged.holders), nowMs);
    return;
  }
  if (record.targets.size === 0) {
    endRepair(sql, chunk);
    return;
  }
  endShortage(sql, chunk);
  for (const { row, state, member } of judged.holders)
    if (state === "gone" && isForgotten(member, nowMs)) removeHolder(sql, chunk, row.node);
}

function isForgotten({ online, sinceMs }: Member, nowMs: number): boolean {
  return !online && nowMs - sinceMs > FORGET_MS;
}

function reasonOf(holders: readonly JudgedHolder[]): "leaving" | "gone" {
  return holders.some(({ state }) => state === "leaving") ? "leaving" : "gone";
}

/** What is kept without `node`. Those that are short are queued where it is about to go. */
export async function keptWithout(
  sql: SqlStorage,
  index: IndexClient,
  { chunks, node, isLeaving }: { chunks: Hash[]; node: NodeId; isLeaving: boolean },
  nowMs: number,
): Promise<KeptChunk[]> {
  const records = chunks.map((chunk) => chunkRecord(sql, chunk));
  const members = await index.members(records.flatMap(({ holders }) => holders.map((row) => row.node)));
  return records.map((record) => {
    const at = { nowMs, graceMs: index.settings.repairGraceMs, without: node };
    const [worst] = judgeChunk(record, members, at).shortages.toSorted((a, b) => b.missing - a.missing);
    if (worst !== undefined && isLeaving) queueRepair(sql, record.chunk, "leaving", nowMs);
    const targets =
      worst === undefined ? [...record.targets.values()] : [record.targets.get(worst.domain) ?? 0];
    const target = Math.max(0, ...targets);
    return { hash: record.chunk, copies: target - (worst?.missing ?? 0), target };
  });
}
