// What a chunk lacks: who is said to hold it, on how many failure domains each domain wants it, and which of the holders
// count. The rule itself is lib/durability/copies.ts.

import { type JudgedKeeper, keeperState, missingCopies } from "../lib/durability/copies.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { CLAIMED } from "./chunks-table.ts";
import type { Member } from "./members-table.ts";

export interface HolderRow {
  node: NodeId;
  sizeBytes: number;
  sinceMs: number;
  /** It did not give the chunk when it was last asked, and is the last one known; or nobody has asked it yet. */
  isDoubted: boolean;
  isClaim: boolean;
}

/** A chunk as its shard knows it. */
export interface ChunkRecord {
  chunk: Hash;
  holders: HolderRow[];
  /** On how many failure domains it is to be, for each domain that needs it; empty where nobody does. */
  targets: Map<Domain, number>;
}

export interface JudgedHolder extends JudgedKeeper {
  row: HolderRow;
  member: Member;
}

export interface Shortage {
  domain: Domain;
  missing: number;
}

/** Everything that is known of a chunk's holders at one time. */
export interface Judgement {
  /** Those that the edge knows, and that have not lost it. */
  holders: JudgedHolder[];
  /** Rows of nodes that have lost what they held then. */
  lost: HolderRow[];
  shortages: Shortage[];
}

export function chunkRecord(sql: SqlStorage, chunk: Hash): ChunkRecord {
  const holders = sql
    .exec<{ node: NodeId; size: number; since: number; checked: number }>(
      "SELECT node, size, since, checked FROM holders WHERE chunk = ? ORDER BY since, node",
      chunk,
    )
    .toArray()
    .map(({ node, size, since, checked }) => ({
      node,
      sizeBytes: size,
      sinceMs: since,
      isDoubted: checked < 0,
      isClaim: checked === CLAIMED,
    }));
  const targets = sql
    .exec<{ domain: Domain; target: number }>(
      "SELECT domain, MAX(copies) AS target FROM refs WHERE chunk = ? GROUP BY domain",
      chunk,
    )
    .toArray()
    .map(({ domain, target }) => [domain, target] as const);
  return { chunk, holders, targets: new Map(targets) };
}

/** `without` counts as no holder, whatever is known of it. */
export function judgeChunk(
  { holders: rows, targets }: ChunkRecord,
  members: ReadonlyMap<NodeId, Member>,
  { nowMs, graceMs, without }: { nowMs: number; graceMs: number; without?: NodeId },
): Judgement {
  const holders = rows.flatMap((row) => {
    const member = members.get(row.node);
    if (member === undefined || row.sinceMs < member.lostMs || row.node === without) return [];
    return [{ row, member, keeper: member, state: keeperState(member, row, nowMs, graceMs) }];
  });
  const shortages = [...targets]
    .map(([domain, target]) => ({ domain, missing: missingCopies(holders, domain, target) }))
    .filter(({ missing }) => missing > 0);
  const isLost = ({ node, sinceMs }: HolderRow) => sinceMs < (members.get(node)?.lostMs ?? 0);
  return { holders, lost: rows.filter(isLost), shortages };
}
