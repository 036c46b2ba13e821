// What crosses between the Worker and a PartitionShard, beside the rows themselves.

import type { DenialsAnswer } from "../lib/denial.ts";
import type { ErrorCode } from "../lib/error.ts";
import type { Domain } from "../lib/names.ts";
import type { Elsewhere } from "../lib/wire/names.ts";
import type { DomainTotal } from "./charges-table.ts";
import type { HeldChunk, Holding, Reference, Taken } from "./chunks-table.ts";
import type { ClaimResult } from "./claims.ts";
import type { Inventories } from "./inventories-table.ts";
import type { Member, MemberCounts } from "./members-table.ts";
import type { StoredRemoval } from "./removals-table.ts";
import type { NetworkReport } from "./reports-table.ts";
import type { ShardCounts } from "./splits-table.ts";
import type { StatementPlace } from "./statements-table.ts";
import type { VersionPage } from "./versions-table.ts";

export type Witness = { bytes: Uint8Array<ArrayBuffer>; signature: string };

/** What became of one statement: an expected refusal crosses as a value, not as an exception. */
export type AppendResult =
  | { status: "accepted" | "known"; witness: Witness }
  | { status: "refused"; code: ErrorCode; detail: string };

/** Who brought a statement: a publisher, another edge that has accepted it, or a home node that has kept it. */
export type Origin = "publisher" | "peer" | "node";

export type DenialsResult =
  | ({ status: "done" } & DenialsAnswer)
  | { status: "refused"; code: ErrorCode; detail: string };

/** What became of a node's word; `isFinal`: what was ignored is of no use later either. */
export interface ClaimAnswer extends ClaimResult {
  isFinal: boolean;
}

/** Everything that one publish writes to one shard before its Versions are appended. */
export interface IndexWrites {
  held: HeldChunk[];
  references: Reference[];
  statements: StatementPlace[];
}

export interface WriteResult {
  holdings: Holding[];
  totals: DomainTotal[];
  /** Of what nodes hold, what was news. */
  taken: Taken;
}

export interface NamePage extends VersionPage {
  /** On the first page. */
  removals: StoredRemoval[];
  /** On the first page: Versions that peers have and this edge has not. */
  elsewhere: Elsewhere[];
  /** The newest Version's Manifest, on the first page. */
  manifest: Uint8Array<ArrayBuffer> | null;
}

export interface Network extends Omit<NetworkReport, "domains"> {
  counts: MemberCounts;
  inventories: Inventories;
  shards: ShardCounts;
  members: Member[];
  domains: { domain: Domain; bytes: number; pledgedBytes: number; supporters: number }[];
}
