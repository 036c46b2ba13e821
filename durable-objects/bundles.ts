// Statements with all that another server needs to take them in: a Version with its Manifest, witness and delegation, a
// Removal with its own. In the form of POST /names.

import { base64 } from "../lib/base64.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import {
  type PostedJson,
  type PostedRemovalJson,
  type PublishedJson,
  STATEMENTS_PER_POST_MAX,
} from "../lib/wire/names.ts";
import type { PeerNameAnswer } from "../lib/wire/peers.ts";
import { formatSigned } from "../lib/wire/signed.ts";
import { listRemovals, removalById, type StoredRemoval } from "./removals-table.ts";
import { manifestBytes, type StoredVersion, versionById } from "./versions-table.ts";

/** Statements and Manifests of one page, before base64 and JSON make them larger. One alone may have more. */
export const BUNDLES_BYTES_MAX = 1024 * 1024;

/** Which of a name's Versions another server asks for. */
export interface BundleQuery {
  domain: Domain;
  nameHash: Hash;
  /** The lowest sequence. */
  from: number;
  /** One that the asker has, and is not given. */
  known: Hash | null;
}

/** The statement as it is handed on; null where it is not here. */
export function bundleOf(sql: SqlStorage, id: Hash): PostedJson | null {
  const version = versionById(sql, id);
  if (version !== null) return bundleOfVersion(sql, version);
  const removal = removalById(sql, id);
  return removal === null ? null : bundleOfRemoval(removal);
}

/** A page of a name's Versions, oldest first; with the last of them, its Removals. */
export function listBundles(sql: SqlStorage, query: BundleQuery): PeerNameAnswer {
  const versions: PublishedJson[] = [];
  let bytes = 0;
  for (const { id, size } of rowsFrom(sql, query)) {
    bytes += size;
    const isFull = versions.length === STATEMENTS_PER_POST_MAX || bytes > BUNDLES_BYTES_MAX;
    if (isFull && versions.length > 0) return { versions, removals: [], hasMore: true };
    const version = versionById(sql, id);
    if (version !== null) versions.push(bundleOfVersion(sql, version));
  }
  return { versions, removals: listRemovals(sql, query).map(bundleOfRemoval), hasMore: false };
}

/** A Manifest that a name's Versions have. */
export interface ManifestUse {
  domain: Domain;
  nameHash: Hash;
  manifest: Hash;
}

/** The Versions of a name that have this Manifest, the newest first and as many as fit, and what was taken back of the name. */
export function bundlesOf(sql: SqlStorage, use: ManifestUse): PostedJson[] {
  const { domain, nameHash, manifest } = use;
  const manifestSize = manifestBytes(sql, manifest)?.length ?? 0;
  const count = Math.min(
    STATEMENTS_PER_POST_MAX,
    Math.max(1, Math.floor(BUNDLES_BYTES_MAX / (manifestSize + 1))),
  );
  const ids = sql
    .exec<{ id: Hash }>(
      `SELECT id FROM versions WHERE name_hash = ? AND domain = ? AND manifest = ?
       ORDER BY sequence DESC, time DESC, id LIMIT ?`,
      nameHash,
      domain,
      manifest,
      count,
    )
    .toArray();
  const versions = ids.flatMap(({ id }) => versionById(sql, id) ?? []);
  if (versions.length === 0) return [];
  return [
    ...versions.map((version) => bundleOfVersion(sql, version)),
    ...listRemovals(sql, use).map(bundleOfRemoval),
  ];
}

function rowsFrom(sql: SqlStorage, query: BundleQuery): { id: Hash; size: number }[] {
  const { domain, nameHash, from, known } = query;
  return sql
    .exec<{ id: Hash; size: number }>(
      `SELECT v.id, length(v.bytes) + length(v.witness) + length(m.bytes) AS size
       FROM versions v JOIN manifests m ON m.hash = v.manifest
       WHERE v.name_hash = ? AND v.domain = ? AND v.sequence >= ? AND v.id IS NOT ?
       ORDER BY v.sequence, v.time, v.id LIMIT ${STATEMENTS_PER_POST_MAX + 1}`,
      nameHash,
      domain,
      from,
      known,
    )
    .toArray();
}

function bundleOfVersion(sql: SqlStorage, version: StoredVersion): PublishedJson {
  const manifest = manifestBytes(sql, version.manifest) ?? new Uint8Array(0);
  return {
    version: formatSigned(version),
    manifest: base64.encode(manifest),
    witnesses: [formatSigned(version.witness)],
    ...delegationOf(version),
  };
}

function bundleOfRemoval(removal: StoredRemoval): PostedRemovalJson {
  return {
    removal: formatSigned(removal),
    witnesses: [formatSigned(removal.witness)],
    ...delegationOf(removal),
  };
}

function delegationOf({ delegation }: StoredRemoval): Pick<PostedRemovalJson, "delegation"> {
  return delegation === null ? {} : { delegation: formatSigned(delegation) };
}
