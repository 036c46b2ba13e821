// Which chunks of which nodes a shard reads, to see whether they keep them: drawn at random, so that a node cannot know
// what it may lose. Each node is read equally often over all shards, those on probation more often.

import { isOnProbation } from "./standing.ts";

const DAY_MS = 24 * 3600 * 1000;
/** One on probation is read so many times as often: cleared of a failure, at 48 a day, within two hours. */
export const PROBATION_BOOST = 8;

/** A node as a shard sees it. */
export interface Audited {
  /** Chunks of it that are listed in this shard. */
  chunks: number;
  /** Chunks of it in all shards, as far as can be told from here. */
  chunksInAll: number;
  standing: number;
}

export interface AuditRate {
  /** Of each node, over all shards. */
  auditsPerDay: number;
  shards: number;
}

/** Of `shards`, how many are expected to list something of a node that holds so many chunks, spread evenly by their hashes. */
export function shardsWithSome(shards: number, chunks: number): number {
  return Math.max(1, shards * (1 - (1 - 1 / shards) ** chunks));
}

/** Audits of the node that are this shard's share of `elapsedMs`: a fraction, as a rule. */
export function auditShare(node: Audited, rate: AuditRate, elapsedMs: number): number {
  const chunks = Math.max(node.chunks, node.chunksInAll);
  const boost = isOnProbation(node.standing) ? PROBATION_BOOST : 1;
  const perDay = (boost * rate.auditsPerDay) / shardsWithSome(rate.shards, chunks);
  return (perDay * elapsedMs) / DAY_MS;
}

/** Chunk-hours that one audit drawn by that share speaks for: all of them over the inverse of how often it is drawn. */
export function chunkHoursOf(node: Audited, rate: AuditRate): number {
  return (node.chunks * 24) / auditShare(node, rate, DAY_MS);
}

/** A whole number, `share` on the average. */
export function roundAtRandom(share: number, random: () => number): number {
  const whole = Math.floor(share);
  return whole + (random() < share - whole ? 1 : 0);
}

/** `wanted` different numbers from 0 to `count` - 1, each equally likely; all of them where there are not more. */
export function pickOrdinals(count: number, wanted: number, random: () => number): Set<number> {
  const picked = new Set<number>();
  // Floyd's sampling: one draw for each, whatever the count.
  for (let top = count - Math.min(count, wanted); top < count; top++) {
    const at = Math.floor(random() * (top + 1));
    picked.add(picked.has(at) ? top : at);
  }
  return picked;
}
