// A shard's rows about names: the signed Versions, newest first by sequence, time and id, and copies of their Manifests.
// How a Version comes to be among them is version-append.ts.

import type { Right } from "../lib/authority.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain, ObjectName } from "../lib/names.ts";
import type { VersionHead } from "../lib/version.ts";
import { type NameKey, VERSIONS_PER_PAGE } from "../lib/wire/names.ts";
import { RECENT_OBJECTS_MAX, type RecentObject } from "../lib/wire/status.ts";
import { execRows } from "./bulk.ts";
import { noticeOf, type RemovalNotice, storedDelegation } from "./removals-table.ts";

/** A page ends once its statements have this many bytes: its answer then fits NAME_ANSWER_MAX. */
export const NAME_PAGE_BYTES_MAX = 4 * 1024 * 1024;

interface Name {
  domain: Domain;
  nameHash: Hash;
}

/** A verified Version as it crosses from the Worker into the shard. */
export interface NewVersion {
  id: Hash;
  nameHash: Hash;
  domain: Domain;
  name: ObjectName | null;
  sequence: number;
  previous: Hash | null;
  time: string;
  expires: string | null;
  manifest: Hash;
  size: number;
  author: string;
  /** SSH public key blob, base64. */
  key: string;
  bytes: Uint8Array<ArrayBuffer>;
  signature: string;
  witness: { bytes: Uint8Array<ArrayBuffer>; signature: string };
  manifestBytes: Uint8Array<ArrayBuffer>;
  right: Right;
  delegation: { bytes: Uint8Array<ArrayBuffer>; signature: string } | null;
  /** True: only where `previous` is the name's newest Version. */
  ifMatch?: boolean;
  /** True: a peer has seen the Version that it follows, and that is not to be had here. */
  mayLackParent?: boolean;
}

/** A statement as the shard gives it back. */
export interface StoredVersion {
  id: Hash;
  manifest: Hash;
  bytes: Uint8Array<ArrayBuffer>;
  signature: string;
  witness: { bytes: Uint8Array<ArrayBuffer>; signature: string };
  delegation: { bytes: Uint8Array<ArrayBuffer>; signature: string } | null;
  /** The Removal that took it back. */
  removedBy: Hash | null;
}

/** What `/obj` needs of the newest named Version, in one call. */
export interface ObjectHead {
  id: Hash;
  time: string;
  expires: string | null;
  manifest: Hash;
  manifestBytes: Uint8Array<ArrayBuffer>;
}

/** An object's head; or the notice where what there was of it was taken back. */
export type HeadAnswer = ObjectHead | { removed: RemovalNotice };

export interface VersionRow extends Record<string, SqlStorageValue> {
  id: Hash;
  sequence: number;
  time: string;
  previous: Hash | null;
  manifest: Hash;
  author: string;
  key: string;
  bytes: ArrayBuffer;
  signature: string;
  witness: ArrayBuffer;
  witness_signature: string;
  right_by: Right["by"];
  right_from: string | null;
  delegation: ArrayBuffer | null;
  delegation_signature: string | null;
  removed_by: Hash | null;
}

/** A page of a name's Versions, newest first, and whether older ones follow. */
export interface VersionPage {
  versions: StoredVersion[];
  /** As in FoundVersion. */
  first: StoredVersion | null;
  hasMore: boolean;
}

/** The page that begins after Version `before`, or with the newest. */
export function listVersions(
  sql: SqlStorage,
  domain: Domain,
  nameHash: Hash,
  before: Hash | null,
): VersionPage {
  const from = before === null ? null : headOf(sql, { domain, nameHash }, before);
  if (before !== null && from === null) return { versions: [], first: null, hasMore: false };
  const rows = sql.exec<VersionRow>(
    `SELECT * FROM versions WHERE name_hash = ? AND domain = ?
       AND (? IS NULL OR (sequence, time, id) < (?, ?, ?))
     ORDER BY sequence DESC, time DESC, id DESC`,
    nameHash,
    domain,
    from?.id ?? null,
    from?.sequence ?? null,
    from?.time ?? null,
    from?.id ?? null,
  );
  const page: VersionRow[] = [];
  let [bytes, hasMore] = [0, false];
  for (const row of rows) {
    hasMore = page.length === VERSIONS_PER_PAGE || bytes > NAME_PAGE_BYTES_MAX;
    if (hasMore) break;
    page.push(row);
    bytes += row.bytes.byteLength + row.witness.byteLength + (row.delegation?.byteLength ?? 0);
  }
  const first = before === null ? firstBeside(sql, { domain, nameHash }, page) : null;
  return { versions: page.map(storedVersion), first, hasMore };
}

/**
 * A name's newest Version, and its Manifest where that has `manifestBytesMax` bytes at most; "known" where it is the one
 * that the asker has.
 */
export type NewestVersion = "known" | FoundVersion;

export interface FoundVersion {
  /** Null where everything was taken back. */
  version: StoredVersion | null;
  manifest: Uint8Array<ArrayBuffer> | null;
  first: StoredVersion | null;
  /** Something of the name was taken back: it takes the whole list to know what stands. */
  hasRemovals: boolean;
}

/** In the order of the names; null where nothing is known of one. */
export function newestVersions(
  sql: SqlStorage,
  names: readonly NameKey[],
  manifestBytesMax: number,
): (NewestVersion | null)[] {
  const glances = glance(sql, names);
  return names.map((name, i) => {
    const { newest = null, touched = 0 } = glances[i] ?? {};
    const hasRemovals = touched !== 0;
    if (newest === null && !hasRemovals) return null;
    if (newest !== null && newest === name.known && !hasRemovals) return "known";
    return findNewest(sql, name, { manifestBytesMax, hasRemovals });
  });
}

/**
 * Of each name the newest Version and whether anything was taken back. In one query, because of most names that are looked up
 * it is all that is asked. One that expires is no id but "": whether it still stands is for the asker to see, who is given it
 * whole, as one is where something was taken back: it then takes the list.
 */
function glance(sql: SqlStorage, names: readonly NameKey[]): { newest: Hash | "" | null; touched: number }[] {
  return execRows<{ newest: Hash | "" | null; touched: number }>(
    sql,
    `SELECT
       (SELECT CASE WHEN expires IS NULL THEN id ELSE '' END FROM versions
          WHERE name_hash = value ->> 0 AND domain = value ->> 1
          ORDER BY sequence DESC, time DESC, id DESC LIMIT 1) AS newest,
       EXISTS (SELECT 1 FROM removals WHERE name_hash = value ->> 0 AND domain = value ->> 1) AS touched
     FROM json_each(?) ORDER BY key`,
    names.map(({ nameHash, domain }) => [nameHash, domain]),
  );
}

function findNewest(
  sql: SqlStorage,
  { domain, nameHash }: Name,
  { manifestBytesMax, hasRemovals }: { manifestBytesMax: number; hasRemovals: boolean },
): FoundVersion | null {
  const [row] = sql
    .exec<VersionRow & { manifest_bytes: ArrayBuffer | null }>(
      `SELECT v.*, m.bytes AS manifest_bytes FROM versions v
         LEFT JOIN manifests m ON m.hash = v.manifest AND length(m.bytes) <= ?
       WHERE v.name_hash = ? AND v.domain = ? AND v.removed_by IS NULL
       ORDER BY v.sequence DESC, v.time DESC, v.id DESC LIMIT 1`,
      manifestBytesMax,
      nameHash,
      domain,
    )
    .toArray();
  if (row === undefined)
    return hasRemovals ? { version: null, manifest: null, first: null, hasRemovals } : null;
  return {
    version: storedVersion(row),
    manifest: row.manifest_bytes === null ? null : new Uint8Array(row.manifest_bytes),
    first: firstBeside(sql, { domain, nameHash }, [row]),
    hasRemovals,
  };
}

/** The name's first Version, where an author's right to the name depends on it and it is not among `rows`. */
function firstBeside(sql: SqlStorage, name: Name, rows: readonly VersionRow[]): StoredVersion | null {
  const depends = rows.some(({ right_by, right_from }) => right_by === "author-key" || right_from !== null);
  if (!depends || rows.some(({ sequence }) => sequence === 1)) return null;
  const first = firstOf(sql, name);
  return first === null ? null : storedVersion(first);
}

/** Of several that began the name, the one that came first: whose the name is. */
export function firstOf(sql: SqlStorage, { domain, nameHash }: Name): VersionRow | null {
  const [row] = sql
    .exec<VersionRow>(
      `SELECT * FROM versions WHERE name_hash = ? AND domain = ? AND sequence = 1
       ORDER BY accepted_at, id LIMIT 1`,
      nameHash,
      domain,
    )
    .toArray();
  return row ?? null;
}

/** The newest Version that names itself and stands, or the one with id `only`; null where there is none. */
export function objectHead(
  sql: SqlStorage,
  domain: Domain,
  nameHash: Hash,
  only: Hash | null,
): HeadAnswer | null {
  const rows = sql
    .exec<Omit<ObjectHead, "manifestBytes"> & { bytes: ArrayBuffer | null; removed_by: Hash | null }>(
      `SELECT v.id, v.time, v.expires, v.manifest, v.removed_by, m.bytes
       FROM versions v LEFT JOIN manifests m ON m.hash = v.manifest
       WHERE v.name_hash = ? AND v.domain = ? AND v.name IS NOT NULL AND (? IS NULL OR v.id = ?)
       ORDER BY v.removed_by IS NOT NULL, v.sequence DESC, v.time DESC, v.id DESC LIMIT 1`,
      nameHash,
      domain,
      only,
      only,
    )
    .toArray();
  const [row] = rows;
  if (row === undefined) return null;
  const { bytes, removed_by, ...head } = row;
  const removed = removed_by === null ? null : noticeOf(sql, removed_by);
  if (removed !== null) return { removed };
  return bytes === null ? null : { ...head, manifestBytes: new Uint8Array(bytes) };
}

export function versionById(sql: SqlStorage, id: Hash): StoredVersion | null {
  const [row] = sql.exec<VersionRow>("SELECT * FROM versions WHERE id = ?", id).toArray();
  return row === undefined ? null : storedVersion(row);
}

export function manifestBytes(sql: SqlStorage, hash: Hash): Uint8Array<ArrayBuffer> | null {
  const [row] = sql
    .exec<{ bytes: ArrayBuffer }>("SELECT bytes FROM manifests WHERE hash = ?", hash)
    .toArray();
  return row === undefined ? null : new Uint8Array(row.bytes);
}

export function countNames(sql: SqlStorage): { names: number; versions: number } {
  return sql
    .exec<{ names: number; versions: number }>(
      "SELECT COUNT(*) AS versions, COUNT(DISTINCT name_hash || domain) AS names FROM versions",
    )
    .one();
}

/** The objects whose Versions this shard accepted last, those that name themselves. */
export function recentObjects(sql: SqlStorage): RecentObject[] {
  return sql
    .exec<{
      domain: Domain;
      name: ObjectName;
      id: Hash;
      sequence: number;
      time: string;
      size: number;
      author: string;
    }>(
      `SELECT domain, name, id, sequence, time, size, author FROM versions
       WHERE name IS NOT NULL AND removed_by IS NULL ORDER BY accepted_at DESC LIMIT ${RECENT_OBJECTS_MAX}`,
    )
    .toArray()
    .map(({ id, ...row }) => ({ ...row, version: id }));
}

/** Of the newest Version, whether it stands or was taken back. */
export function newestHead(
  sql: SqlStorage,
  { domain, nameHash }: Name,
): Pick<VersionHead, "id" | "sequence"> | null {
  const [row] = sql
    .exec<Pick<VersionHead, "id" | "sequence">>(
      `SELECT id, sequence FROM versions WHERE name_hash = ? AND domain = ?
       ORDER BY sequence DESC, time DESC, id DESC LIMIT 1`,
      nameHash,
      domain,
    )
    .toArray();
  return row ?? null;
}

export function headOf(
  sql: SqlStorage,
  name: { domain: Domain; nameHash: Hash },
  id: Hash,
): VersionHead | null {
  const [row] = sql
    .exec<VersionRow>(
      "SELECT * FROM versions WHERE id = ? AND name_hash = ? AND domain = ?",
      id,
      name.nameHash,
      name.domain,
    )
    .toArray();
  return row === undefined
    ? null
    : { id: row.id, sequence: row.sequence, time: row.time, previous: row.previous };
}

function storedVersion(row: VersionRow): StoredVersion {
  return {
    id: row.id,
    manifest: row.manifest,
    bytes: new Uint8Array(row.bytes),
    signature: row.signature,
    witness: { bytes: new Uint8Array(row.witness), signature: row.witness_signature },
    delegation: storedDelegation(row),
    removedBy: row.removed_by,
  };
}
