// A name's shard takes statements back that it has lost, or never had: in whatever order nodes bring them. The rules by which a
// new Version follows are for who publishes; of these, only what contradicts what is here is refused.

import { ownerBy } from "../lib/authority.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { checkSuccession, type VersionHead } from "../lib/version.ts";
import { applyRemoval, type NewRemoval, removalById, removalOfNew } from "./removals-table.ts";
import { checkNameOwner, checkSiblings, insertVersion, type WrittenVersion } from "./version-append.ts";
import { firstOf, headOf, versionById } from "./versions-table.ts";

/** What is known of how a statement was accepted before. */
interface Earlier {
  acceptedMs: number;
  /** Edges that count say that it was. */
  isWitnessed: boolean;
}

export type RestoredVersion = WrittenVersion & Earlier;
export type RestoredRemoval = NewRemoval & Earlier;

/** Verified statements of one shard's names. */
export interface RestoredStatements {
  versions: RestoredVersion[];
  removals: RestoredRemoval[];
}

/** Those of the ids that are here. */
export function keptStatements(sql: SqlStorage, ids: readonly Hash[]): Hash[] {
  return ids.filter((id) => versionById(sql, id) !== null || removalById(sql, id) !== null);
}

/** False if it was here already. Throws the code of what it contradicts, or of what it lacks: `unknown-previous`, `no-holder`. */
export function restoreVersion(sql: SqlStorage, version: RestoredVersion): boolean {
  if (versionById(sql, version.id) !== null) return false;
  checkNeighbours(sql, version);
  checkSiblings(sql, version);
  if (!version.isWitnessed) checkOwnerLater(sql, version);
  const isRemoved = removalOfNew(sql, version, { ...version, right: version.right.by }) !== null;
  if (version.manifestBytes === null && !isRemoved)
    throw new HoldfastError("no-holder", "nobody has given its Manifest yet");
  insertVersion(sql, version, version.acceptedMs);
  return true;
}

/** False if it was here already. Throws as applyRemoval does. */
export function restoreRemoval(sql: SqlStorage, removal: RestoredRemoval): boolean {
  return applyRemoval(sql, removal, removal.acceptedMs, removal.isWitnessed);
}

/** Against the Version before it and those after it, as far as they have come. */
function checkNeighbours(sql: SqlStorage, version: RestoredVersion): void {
  const parent = version.previous === null ? null : headOf(sql, version, version.previous);
  if (parent !== null || version.previous === null) checkSuccession(parent, version);
  for (const child of childrenOf(sql, version)) checkSuccession(version, child);
}

function childrenOf(sql: SqlStorage, { id, nameHash, domain }: RestoredVersion): VersionHead[] {
  return sql
    .exec<{ id: Hash; sequence: number; time: string; previous: Hash | null }>(
      "SELECT id, sequence, time, previous FROM versions WHERE name_hash = ? AND domain = ? AND previous = ?",
      nameHash,
      domain,
      id,
    )
    .toArray();
}

/** Whose the name is says its first Version: an author's others wait for it. */
function checkOwnerLater(sql: SqlStorage, version: RestoredVersion): void {
  const isAuthors = ownerBy(version.right, version.author) !== null;
  if (isAuthors && version.sequence > 1 && firstOf(sql, version) === null)
    throw new HoldfastError("unknown-previous", "whose the name is has not come yet");
  checkNameOwner(sql, version);
}
