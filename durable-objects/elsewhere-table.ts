// A shard's rows of Versions that peers have shown, signed, and that could not be taken in here: a name's answer says that
// they are, and who has them. A row goes once the Version is here, or after a while.

import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { ELSEWHERE_MAX, ELSEWHERE_SERVERS_MAX, type Elsewhere } from "../lib/wire/names.ts";

/** So long a name's answer tells of what is not here. */
export const ELSEWHERE_AGE_MAX_MS = 7 * 24 * 3600 * 1000;
const ROWS_PER_NAME_MAX = ELSEWHERE_MAX * ELSEWHERE_SERVERS_MAX;

interface Name {
  domain: Domain;
  nameHash: Hash;
}

/** A Version that is not here, and the peer that has it. */
export interface ToldVersion extends Name {
  id: Hash;
  sequence: number;
  peer: string;
}

export function noteElsewhere(sql: SqlStorage, told: ToldVersion, nowMs: number): void {
  const { nameHash, domain, id, peer, sequence } = told;
  sql.exec("DELETE FROM elsewhere WHERE at < ?", nowMs - ELSEWHERE_AGE_MAX_MS);
  const { count } = sql
    .exec<{ count: number }>(
      "SELECT COUNT(*) AS count FROM elsewhere WHERE name_hash = ? AND domain = ?",
      nameHash,
      domain,
    )
    .one();
  if (count >= ROWS_PER_NAME_MAX) return;
  sql.exec(
    `INSERT INTO elsewhere (name_hash, domain, id, peer, sequence, at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET at = excluded.at`,
    nameHash,
    domain,
    id,
    peer,
    sequence,
    nowMs,
  );
}

/** The newest first. What has come meanwhile is not told of. */
export function listElsewhere(sql: SqlStorage, { nameHash, domain }: Name, nowMs: number): Elsewhere[] {
  return sql
    .exec<{ id: Hash; sequence: number; peers: string }>(
      `SELECT id, sequence, json_group_array(peer) AS peers FROM elsewhere e
       WHERE name_hash = ? AND domain = ? AND at >= ? AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.id = e.id)
       GROUP BY id, sequence ORDER BY sequence DESC, id LIMIT ${ELSEWHERE_MAX}`,
      nameHash,
      domain,
      nowMs - ELSEWHERE_AGE_MAX_MS,
    )
    .toArray()
    .map(({ id, sequence, peers }) => ({
      version: id,
      sequence,
      servers: (JSON.parse(peers) as string[]).slice(0, ELSEWHERE_SERVERS_MAX),
    }));
}
