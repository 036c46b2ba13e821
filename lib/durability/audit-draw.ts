// Which chunks of which nodes a shard reads, to see whether they keep them: drawn at random, so that a node cannot know
// what it may lose. Each node is read equally often over all shards, those on probation more often.

import { isOnProbation } from "./standing.ts";

const DAY_MS = 24 * 3600 * 1000;
/** One on probation is read so many times as often: cleared of a failure, at 48 a day, within two hours. */
export const PROBATION_BOOST = 8;

/** Chunks listed in one shard from which on most other shards are taken to list some as well. */
const CHUNKS_TELLING = 3;

/** A node as a shard sees it. */
export interface Audited {
  /** Chunks of it that are listed in this shard. */
  chunks: number;
  /** Shards that have audited it. */
  knownShards: number;
  standing: number;
}

export interface AuditRate {
  /** Of each node, over all shards. */
  auditsPerDay: number;
  shards: number;
}

/**
 * Of all shards, how many list something of the node: those that have audited it; and where a few of its chunks meet in one
 * shard, spread evenly by their hashes, nearly all.
 */
export function shardsWithSome(node: Audited, shards: number): number {
  const expected = node.chunks < CHUNKS_TELLING ? 1 : shards * (1 - Math.exp(-node.chunks));
  return Math.min(shards, Math.max(1, node.knownShards, expected));
}

/** Audits of the node that are this shard's share of `elapsedMs`: a fraction, as a rule. */
export function auditShare(node: Audited, rate: AuditRate, elapsedMs: number): number {
  const boost = isOnProbation(node.standing) ? PROBATION_BOOST : 1;
  const perDay = (boost * rate.auditsPerDay) / shardsWithSome(node, rate.shards);
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
