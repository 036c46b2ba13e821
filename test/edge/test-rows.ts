// Rows of a shard, for tests that write them without a publisher or a node.

import type { Reference } from "../../durable-objects/chunks-table.ts";
import type { MemberReport } from "../../durable-objects/members-table.ts";
import type { ShardReport } from "../../durable-objects/reports-table.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";

/** What a node that is there, has room and takes all domains is said to be. */
export function memberReport(id: NodeId, changes: Partial<MemberReport> = {}): MemberReport {
  return {
    ...{ id, key: `key of ${id}`, url: null, failureDomain: id, domains: "all" as const },
    ...{ pledgedBytes: 100, freeBytes: 60, online: true, epoch: 1, sinceMs: 1 },
    ...{ awayUntilMs: null, leaving: false, lostMs: 0, name: null, hours: null },
    ...changes,
  };
}

/** A reference by one name, for one copy. */
export function reference(
  part: Pick<Reference, "chunk" | "manifest" | "domain"> & Partial<Reference>,
): Reference {
  return { nameHash: NAME_HASH, copies: 1, listedIn: null, ...part };
}

/** The report of a shard that keeps nothing. */
export function emptyReport(number: number): ShardReport {
  return {
    ...{ number, names: 0, versions: 0, partitions: [], recent: [], domains: [], peers: [], bytes: 0 },
    repairs: { short: 0, unreadable: 0, repaired: { date: "", copies: 0, bytes: 0 } },
    needed: { chunks: 0, unheld: 0, unseen: 0, few: 0 },
  };
}

const NAME_HASH: Hash = hashBytes(new TextEncoder().encode("a name"));
