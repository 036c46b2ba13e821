// A walk over what a node keeps of one kind, partition by partition, towards the digests that it gave: those of which the
// edge has agreed to something else are visited. Where it is stands in the link's tables, so an eviction loses a step at most.

import { type Hash, hashBytes, PARTITION_COUNT } from "../lib/hash.ts";
import {
  differingPartitions,
  INVENTORY_DIGESTS_BYTES,
  PARTITION_DIGEST_BYTES,
  parseDigests,
} from "../lib/inventory-digests.ts";

/** Partitions visited at a time. */
export const PARTITIONS_PER_STEP_MAX = 32;

export type WalkKind = "names" | "chunks";

/** What became of a visit to a partition. */
export interface Visit {
  partition: number;
  /** What is to be asked for again. */
  open: number;
  /** Where the next step goes on inside the partition; null: it is done. */
  after: Hash | null;
}

export interface WalkDeps {
  sql: SqlStorage;
  kind: WalkKind;
  /** The partition that comes first: nodes that keep the same do not all begin with the same. */
  first: number;
  /** The node's answer about its digests; `known` is the root of those that are agreed on. */
  ask: (known: Hash) => Promise<unknown>;
  /**
   * Visits some of the partitions, from the first of them on, and that one after the hash `after`. Only the last may be left
   * half done.
   */
  visit: (partitions: readonly number[], after: Hash | null) => Promise<Visit[]>;
}

/** What a step came to; `count` is what the node said that it has, where it was asked. */
export interface WalkStep {
  isDone: boolean;
  count: number | null;
}

interface Walk {
  agreed: Uint8Array<ArrayBuffer>;
  /** Null: none is under way. */
  wanted: Uint8Array<ArrayBuffer> | null;
  /** How many partitions are behind, those that do not differ included. */
  done: number;
  /** Of the next partition: after which hash it goes on, and what was left open of it so far. */
  after: Hash | null;
  open: number;
}

/** One step. A partition that is left open is not agreed on: the next walk visits it again. */
export async function stepWalk({ sql, kind, first, ask, visit }: WalkDeps): Promise<WalkStep> {
  const walk = readWalk(sql, kind);
  let count: number | null = null;
  if (walk.wanted === null) {
    const known = hashBytes(walk.agreed);
    const told = parseDigests(await ask(known), known);
    count = told.count;
    if (told.digests === null) return { isDone: true, count };
    walk.wanted = told.digests.partitions;
  }
  const left = differingPartitions(walk.agreed, walk.wanted)
    .map((partition) => ({ partition, at: (partition - first + PARTITION_COUNT) % PARTITION_COUNT }))
    .filter(({ at }) => at >= walk.done)
    .sort((a, b) => a.at - b.at);
  const batch = left.slice(0, PARTITIONS_PER_STEP_MAX);
  // A hash that the last step stopped at is of the partition that it stopped in.
  const after = batch[0]?.at === walk.done ? walk.after : null;
  const visits =
    batch.length === 0
      ? []
      : await visit(
          batch.map(({ partition }) => partition),
          after,
        );
  for (const [i, { partition, open, after: next }] of visits.entries()) {
    const isOpen = (i === 0 && after !== null ? walk.open : 0) + open;
    if (next === null && isOpen === 0) agree(walk.agreed, walk.wanted, partition);
    const at = batch[i]?.at ?? 0;
    Object.assign(walk, next === null ? startAt(at + 1) : { done: at, after: next, open: isOpen });
  }
  const isDone = visits.length === left.length && walk.after === null;
  writeWalk(sql, kind, isDone ? { ...walk, ...startAt(0), wanted: null } : walk);
  return { isDone, count };
}

function startAt(done: number): Pick<Walk, "done" | "after" | "open"> {
  return { done, after: null, open: 0 };
}

function agree(agreed: Uint8Array, wanted: Uint8Array, partition: number): void {
  const start = partition * PARTITION_DIGEST_BYTES;
  agreed.set(wanted.subarray(start, start + PARTITION_DIGEST_BYTES), start);
}

function readWalk(sql: SqlStorage, kind: WalkKind): Walk {
  const [row] = sql
    .exec<{
      agreed: ArrayBuffer;
      wanted: ArrayBuffer | null;
      done: number;
      after: Hash | null;
      open: number;
    }>("SELECT agreed, wanted, done, after, open FROM inventory_walks WHERE kind = ?", kind)
    .toArray();
  if (row === undefined)
    return { agreed: new Uint8Array(INVENTORY_DIGESTS_BYTES), wanted: null, ...startAt(0) };
  const { agreed, wanted, ...place } = row;
  return {
    ...place,
    agreed: new Uint8Array(agreed),
    wanted: wanted === null ? null : new Uint8Array(wanted),
  };
}

function writeWalk(sql: SqlStorage, kind: WalkKind, walk: Walk): void {
  sql.exec(
    `INSERT INTO inventory_walks (kind, agreed, wanted, done, after, open) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET agreed = excluded.agreed, wanted = excluded.wanted, done = excluded.done,
       after = excluded.after, open = excluded.open`,
    kind,
    walk.agreed,
    walk.wanted,
    walk.done,
    walk.after,
    walk.open,
  );
}
