// A shard's rows about chunks: holders, references and pins. Synchronous functions over the object's SQLite.

import { type Hash, type NodeId, partitionOfDigits } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { execRows } from "./bulk.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

/** In place of when a holder last gave the chunk: it did not, when it was last asked. */
export const CHECK_FAILED = -1;
/** In the same place: the node says that it holds the chunk, and nobody has seen it. */
export const CLAIMED = -2;
/** Holders listed for one chunk: more are never needed to read it. */
export const HOLDERS_LISTED_MAX = 64;
export const PIN_LIFETIME_MS = 24 * 60 * 60 * 1000;
/** A sweep reads all pins: an index of when they end would cost every plan a third of its writes. */
export const PINS_SWEEP_INTERVAL_MS = 60 * 60 * 1000;

const PINS_SWEPT_SETTING = "pins-swept-at";

export interface HeldChunk {
  chunk: Hash;
  node: NodeId;
  sizeBytes: number;
  /** When the node lost what it was given before: a row from before then is as good as none. */
  lostMs?: number;
}

/** That a Version of a name needs a chunk. */
export interface Reference {
  chunk: Hash;
  manifest: Hash;
  domain: Domain;
  nameHash: Hash;
  /** On how many failure domains the chunk is to be. */
  copies: number;
  /** The Manifest or part whose stripes it is in; null where it has none. */
  listedIn: Hash | null;
  /** As its Manifest says: what the domain is charged for where nobody has told yet that they hold it. */
  sizeBytes?: number;
}

/** Who holds a chunk: who has shown it first, then the longest-standing ones. */
export interface Holding {
  chunk: Hash;
  holders: NodeId[];
  /** When each of them last gave the chunk to whoever checked it; 0: never since its receipt. CHECK_FAILED, CLAIMED. */
  checkedMs: number[];
  /** When each of them was first said to hold it. */
  sinceMs: number[];
}

/** Bytes that nodes were given. */
export type Taken = { node: NodeId; bytes: number }[];

/** Returns what was not known. */
export function addHolders(sql: SqlStorage, held: readonly HeldChunk[], nowMs: number): Taken {
  const byRow = new Map(held.map((one) => [`${one.chunk} ${one.node}`, one]));
  const known = new Map(
    execRows<{ chunk: Hash; node: NodeId; checked: number; since: number }>(
      sql,
      `SELECT h.chunk, h.node, h.checked, h.since FROM json_each(?) j
         JOIN holders h ON h.chunk = j.value ->> 0 AND h.node = j.value ->> 1`,
      [...byRow.values()].map(({ chunk, node }) => [chunk, node]),
    ).map((row) => [`${row.chunk} ${row.node}`, row]),
  );
  const added = [...byRow].flatMap(([key, one]) => {
    const row = known.get(key);
    const isKnown = row !== undefined && row.checked >= 0 && row.since >= (one.lostMs ?? 0);
    return isKnown ? [] : [one];
  });
  execRows(
    sql,
    `INSERT INTO holders (chunk, node, size, since)
     SELECT value ->> 0, value ->> 1, value ->> 2, ?2 FROM json_each(?1) WHERE true
     ON CONFLICT DO UPDATE SET size = excluded.size, since = excluded.since, checked = 0`,
    added.map(({ chunk, node, sizeBytes }) => [chunk, node, sizeBytes]),
    nowMs,
  );
  return sumTaken(added.map(({ node, sizeBytes }) => ({ node, bytes: sizeBytes })));
}

export function sumTaken(taken: Taken): Taken {
  const sums = new Map<NodeId, number>();
  for (const { node, bytes } of taken) sums.set(node, (sums.get(node) ?? 0) + bytes);
  return [...sums].map(([node, bytes]) => ({ node, bytes }));
}

/**
 * A holder that did not give the chunk is none. The last one stays on the list, as one that failed: it counts as no copy, and
 * nobody else is known that might have it.
 */
export function dropHolder(sql: SqlStorage, chunk: Hash, node: NodeId): void {
  sql.exec(
    `DELETE FROM holders WHERE chunk = ? AND node = ? AND EXISTS (SELECT 1 FROM holders WHERE chunk = ? AND node <> ?)`,
    chunk,
    node,
    chunk,
    node,
  );
  sql.exec("UPDATE holders SET checked = ? WHERE chunk = ? AND node = ?", CHECK_FAILED, chunk, node);
}

/** False where the node was no holder. */
export function removeHolder(sql: SqlStorage, chunk: Hash, node: NodeId): boolean {
  return sql.exec("DELETE FROM holders WHERE chunk = ? AND node = ?", chunk, node).rowsWritten > 0;
}

/** A reference that is there already is as young as a new one again: whoever writes it is about to rely on it. */
export function addReferences(sql: SqlStorage, references: readonly Reference[], nowMs: number): void {
  execRows(
    sql,
    `INSERT INTO refs (chunk, domain, name_hash, manifest, copies, listed_in, since)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, ?2 FROM json_each(?1) WHERE true
     ON CONFLICT DO UPDATE SET copies = excluded.copies, listed_in = excluded.listed_in, since = excluded.since`,
    references.map(({ chunk, domain, nameHash, manifest, copies, listedIn }) => [
      chunk,
      domain,
      nameHash,
      manifest,
      copies,
      listedIn,
    ]),
    nowMs,
  );
}

/**
 * Keeps chunks that somebody holds from being collected before the Version that will need them is written. What comes to a
 * node only now needs no pin: nodes ask about nothing that came within the life of its receipt.
 */
export function pinHeld(sql: SqlStorage, holdings: readonly Holding[], domain: Domain, nowMs: number): void {
  const held = holdings.flatMap(({ chunk, holders }) => (holders.length === 0 ? [] : [chunk]));
  execRows(
    sql,
    `INSERT INTO pins (chunk, domain, until) SELECT value, ?2, ?3 FROM json_each(?1) WHERE true
     ON CONFLICT DO UPDATE SET until = MAX(until, excluded.until)`,
    held,
    domain,
    nowMs + PIN_LIFETIME_MS,
  );
}

/** Deletes the pins that have ended, now and then: whoever asks for a pin looks at its end. */
export function sweepPins(sql: SqlStorage, nowMs: number): void {
  const sweptMs = Number(readSetting(sql, PINS_SWEPT_SETTING) ?? 0);
  if (nowMs - sweptMs < PINS_SWEEP_INTERVAL_MS) return;
  sql.exec("DELETE FROM pins WHERE until < ?", nowMs);
  writeSetting(sql, PINS_SWEPT_SETTING, String(nowMs));
}

export function holdingsOf(sql: SqlStorage, chunks: readonly Hash[]): Holding[] {
  const holdings = new Map(
    chunks.map((chunk): [Hash, Holding] => [chunk, { chunk, holders: [], checkedMs: [], sinceMs: [] }]),
  );
  const rows = execRows<{ chunk: Hash; node: NodeId; checked: number; since: number }>(
    sql,
    `SELECT chunk, node, checked, since FROM (
       SELECT chunk, node, checked, since,
         ROW_NUMBER() OVER (PARTITION BY chunk ORDER BY checked <= 0, checked < 0, checked = ${CHECK_FAILED}, since, node) AS place
       FROM json_each(?) JOIN holders ON chunk = value)
     WHERE place <= ${HOLDERS_LISTED_MAX} ORDER BY chunk, place`,
    [...holdings.keys()],
  );
  for (const { chunk, node, checked, since } of rows) {
    const holding = holdings.get(chunk);
    holding?.holders.push(node);
    holding?.checkedMs.push(checked);
    holding?.sinceMs.push(since);
  }
  return chunks.flatMap((chunk) => holdings.get(chunk) ?? []);
}

/** Chunks kept and distinct nodes that keep them, for each partition that has any. */
export interface PartitionCount {
  partition: number;
  chunks: number;
  replicas: number;
  nodes: number;
  chunkBytes: number;
}

/**
 * One pass over the holders, grouped where the rows are: a report costs what the shard holds. Hashes that begin with
 * the same three digits are in one partition, of four such groups each.
 */
export function countPartitions(sql: SqlStorage): PartitionCount[] {
  const partitions = new Map<number, Tally>();
  const rows = sql.exec<{ digits: string; node: NodeId; replicas: number }>(
    `SELECT substr(chunk, 1, 3) AS digits, node, COUNT(*) AS replicas FROM holders GROUP BY digits, node`,
  );
  for (const { digits, node, replicas } of rows) {
    const tally = tallyOf(partitions, digits);
    tally.replicas += replicas;
    tally.nodes.add(node);
  }
  const distinct = sql.exec<{ digits: string; chunks: number; bytes: number }>(
    `SELECT substr(chunk, 1, 3) AS digits, COUNT(*) AS chunks, SUM(size) AS bytes
       FROM (SELECT chunk, MIN(size) AS size FROM holders GROUP BY chunk) GROUP BY digits`,
  );
  for (const { digits, chunks, bytes } of distinct) {
    const tally = tallyOf(partitions, digits);
    tally.chunks += chunks;
    tally.chunkBytes += bytes;
  }
  return [...partitions].map(([partition, tally]) => ({ ...tally, partition, nodes: tally.nodes.size }));
}

type Tally = Omit<PartitionCount, "partition" | "nodes"> & { nodes: Set<NodeId> };

function tallyOf(partitions: Map<number, Tally>, digits: string): Tally {
  const partition = partitionOfDigits(digits);
  const known = partitions.get(partition);
  if (known !== undefined) return known;
  const tally: Tally = { chunks: 0, replicas: 0, chunkBytes: 0, nodes: new Set() };
  partitions.set(partition, tally);
  return tally;
}

export function countHolders(sql: SqlStorage): number {
  return sql.exec<{ rows: number }>("SELECT COUNT(*) AS rows FROM holders").one().rows;
}

export function hasHolders(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM holders LIMIT 1").toArray().length > 0;
}
