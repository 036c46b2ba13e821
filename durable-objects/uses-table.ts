// Which Manifests the names of a shard use: those of the Versions that stand. What the references in the chunks' shards are
// held against.

import type { Hash } from "../lib/hash.ts";
import { namedHashes, parseManifest } from "../lib/manifest.ts";
import type { Domain } from "../lib/names.ts";
import type { StatementPlace } from "./statements-table.ts";

/** That a name needs a Manifest, as a chunk's shard has it, and since when at the earliest (milliseconds). */
export interface Use {
  domain: Domain;
  nameHash: Hash;
  manifest: Hash;
  sinceMs: number;
}

/** Whether a Version that stands has the Manifest. */
export function hasStanding(sql: SqlStorage, { domain, nameHash, manifest }: Use): boolean {
  const rows = sql.exec(
    `SELECT 1 FROM versions INDEXED BY versions_manifest
     WHERE name_hash = ? AND domain = ? AND manifest = ? AND removed_by IS NULL LIMIT 1`,
    nameHash,
    domain,
    manifest,
  );
  return rows.toArray().length > 0;
}

/** A use that has ended: no Version that stands needs the Manifest for this name. */
export interface EndedUse extends Omit<Use, "sinceMs"> {
  /** The Manifest and what it names; of a Manifest with parts, the parts and not their chunks. */
  chunks: Hash[];
  /** The name's shard knows of nothing that is older. */
  bornMs: number;
}

/** What a Removal has ended, `limit` Manifests of it at most. */
export function endedBy(
  sql: SqlStorage,
  { id, domain, nameHash }: StatementPlace,
  { limit, bornMs }: { limit: number; bornMs: number },
): EndedUse[] {
  return sql
    .exec<{ manifest: Hash; bytes: ArrayBuffer }>(
      `SELECT DISTINCT v.manifest, m.bytes FROM versions v JOIN manifests m ON m.hash = v.manifest
       WHERE v.name_hash = ? AND v.domain = ? AND v.removed_by = ? AND NOT EXISTS (
         SELECT 1 FROM versions s WHERE s.name_hash = v.name_hash AND s.domain = v.domain
           AND s.manifest = v.manifest AND s.removed_by IS NULL)
       LIMIT ?`,
      nameHash,
      domain,
      id,
      limit,
    )
    .toArray()
    .map(({ manifest, bytes }) => {
      const chunks = [manifest, ...namedHashes(parseManifest(new Uint8Array(bytes)))];
      return { domain, nameHash, manifest, chunks, bornMs };
    });
}
