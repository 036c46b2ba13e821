// A walk over what a node keeps of one kind, partition by partition, towards the digests that it gave: those of which the
// edge has agreed to something else are visited. Where it is stands in the link's tables, so an eviction loses a step at most.

import { type Hash, hashBytes } from "../lib/hash.ts";
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
  /** What is to be asked for again. */
  open: number;
  /** Where the next step goes on inside the partition; null: it is done. */
  after: Hash | null;
}

export interface WalkDeps {
  sql: SqlStorage;
  kind: WalkKind;
  /** The node's answer about its digests; `known` is the root of those that are agreed on. */
  ask: (known: Hash) => Promise<unknown>;
  visit: (partition: number, after: Hash | null) => Promise<Visit>;
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
  partition: number;
  after: Hash | null;
  open: number;
}

/** One step. A partition that is left open is not agreed on: the next walk visits it again. */
export async function stepWalk({ sql, kind, ask, visit }: WalkDeps): Promise<WalkStep> {
  const walk = readWalk(sql, kind);
  let count: number | null = null;
  if (walk.wanted === null) {
    const known = hashBytes(walk.agreed);
    const told = parseDigests(await ask(known), known);
    count = told.count;
    if (told.digests === null) return { isDone: true, count };
    walk.wanted = told.digests.partitions;
  }
  const left = differingPartitions(walk.agreed, walk.wanted).filter((at) => at >= walk.partition);
  for (const partition of left.slice(0, PARTITIONS_PER_STEP_MAX)) {
    const { open, after } = await visit(partition, partition === walk.partition ? walk.after : null);
    const isOpen = (partition === walk.partition ? walk.open : 0) + open;
    if (after === null && isOpen === 0) agree(walk.agreed, walk.wanted, partition);
    Object.assign(walk, after === null ? atStartOf(partition + 1) : { partition, after, open: isOpen });
    writeWalk(sql, kind, walk);
    if (after !== null) return { isDone: false, count };
  }
  const isDone = left.length <= PARTITIONS_PER_STEP_MAX;
  if (isDone) writeWalk(sql, kind, { ...walk, ...atStartOf(0), wanted: null });
  return { isDone, count };
}

function atStartOf(partition: number): Pick<Walk, "partition" | "after" | "open"> {
  return { partition, after: null, open: 0 };
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
      partition: number;
      after: Hash | null;
      open: number;
    }>("SELECT agreed, wanted, partition, after, open FROM inventory_walks WHERE kind = ?", kind)
    .toArray();
  if (row === undefined)
    return { agreed: new Uint8Array(INVENTORY_DIGESTS_BYTES), wanted: null, ...atStartOf(0) };
  const { agreed, wanted, ...place } = row;
  return {
    ...place,
    agreed: new Uint8Array(agreed),
    wanted: wanted === null ? null : new Uint8Array(wanted),
  };
}

function writeWalk(sql: SqlStorage, kind: WalkKind, walk: Walk): void {
  sql.exec(
    `INSERT INTO inventory_walks (kind, agreed, wanted, partition, after, open) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET agreed = excluded.agreed, wanted = excluded.wanted, partition = excluded.partition,
       after = excluded.after, open = excluded.open`,
    kind,
    walk.agreed,
    walk.wanted,
    walk.partition,
    walk.after,
    walk.open,
  );
}
