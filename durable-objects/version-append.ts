// Whether a Version follows, and its rows if it does. One synchronous call decides, so two publishers cannot both win.

import { checkOwner, ownerBy } from "../lib/authority.ts";
import { HoldfastError } from "../lib/error.ts";
import { checkSuccession } from "../lib/version.ts";
import { removalOfNew } from "./removals-table.ts";
import { firstOf, headOf, type NewVersion, newestHead, type VersionRow } from "./versions-table.ts";

/** Appends a Version; false if it was here already. Throws the code of the succession rule that it breaks. */
export function appendVersion(sql: SqlStorage, version: NewVersion, nowMs: number): boolean {
  if (sql.exec("SELECT 1 FROM versions WHERE id = ?", version.id).toArray().length > 0) return false;
  if (version.ifMatch === true) checkNewest(sql, version);
  checkParent(sql, version);
  checkSiblings(sql, version);
  checkNameOwner(sql, version);
  insertVersion(sql, version, nowMs);
  return true;
}

/** Whose a name is depends on its first Version: what its authors sign is never listed without what came before. */
function checkParent(sql: SqlStorage, version: NewVersion): void {
  const parent = version.previous === null ? null : headOf(sql, version, version.previous);
  const isOfDomain = ownerBy(version.right, version.author) === null;
  if (parent === null && version.mayLackParent === true && isOfDomain) return;
  checkSuccession(parent, version);
}

// In the same call as the insert: of two authors who begin a name at once, one has it.
export function checkNameOwner(sql: SqlStorage, version: WrittenVersion): void {
  if (ownerBy(version.right, version.author) === null) return;
  const first = firstOf(sql, version);
  if (first !== null) checkOwner(ownerOfRow(first), version.right, version.author);
}

function ownerOfRow({ right_by, right_from, author }: VersionRow): string | null {
  return right_by === "author-key" ? author : right_from;
}

// In the same call as the insert: of two publishers who have both seen the same newest Version, one is refused.
function checkNewest(sql: SqlStorage, { domain, nameHash, previous }: NewVersion): void {
  const newest = newestHead(sql, { domain, nameHash })?.id ?? null;
  if (newest === previous) return;
  throw new HoldfastError(
    "precondition-failed",
    newest === null
      ? "the name has no Version, and one was to be followed"
      : `the newest Version is ${newest}: look at it, then publish again`,
  );
}

// Two Versions at one sequence by different keys are siblings, and both are kept; by one key they are a fork.
export function checkSiblings(sql: SqlStorage, version: WrittenVersion): void {
  const [fork] = sql
    .exec<{ id: string }>(
      "SELECT id FROM versions WHERE name_hash = ? AND domain = ? AND sequence = ? AND key = ?",
      version.nameHash,
      version.domain,
      version.sequence,
      version.key,
    )
    .toArray();
  if (fork !== undefined) {
    throw new HoldfastError(
      "fork",
      `this key has already signed sequence ${version.sequence} as ${fork.id}: publish again`,
    );
  }
}

/** What of a Version is written; a tombstone may come without its Manifest. */
export type WrittenVersion = Omit<NewVersion, "manifestBytes" | "ifMatch"> & {
  manifestBytes: Uint8Array<ArrayBuffer> | null;
};

export function insertVersion(sql: SqlStorage, version: WrittenVersion, acceptedMs: number): void {
  const { right, delegation, manifest, manifestBytes } = version;
  if (manifestBytes !== null)
    sql.exec(
      "INSERT INTO manifests (hash, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING",
      manifest,
      manifestBytes,
    );
  sql.exec(
    `INSERT INTO versions (id, name_hash, domain, name, sequence, previous, time, expires, manifest, size, author, key,
       bytes, signature, witness, witness_signature, accepted_at, right_by, right_from, delegation,
       delegation_signature, removed_by)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    version.id,
    version.nameHash,
    version.domain,
    version.name,
    version.sequence,
    version.previous,
    version.time,
    version.expires,
    version.manifest,
    version.size,
    version.author,
    version.key,
    version.bytes,
    version.signature,
    version.witness.bytes,
    version.witness.signature,
    acceptedMs,
    right.by,
    right.by === "delegation" ? right.from : null,
    delegation?.bytes ?? null,
    delegation?.signature ?? null,
    removalOfNew(sql, version, { ...version, right: right.by }),
  );
}
