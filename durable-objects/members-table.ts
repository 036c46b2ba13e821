// A shard's member home nodes, as rows ordered by id: a range of ids that share a prefix holds exactly the nodes
// closest to every id with that prefix.

import { STANDING_UNKNOWN } from "../lib/durability/standing.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { closestInRanges, type MemberPage } from "../lib/overlay/members.ts";
import { formatHours, type Pledge, type PledgeHours, parseHours } from "../lib/pledge.ts";
import { crowdedNear, hasRoom } from "./crowded-table.ts";
import type { Place } from "./shard-roles.ts";

/** What a NodeLink says of its node. */
export interface MemberReport {
  id: NodeId;
  /** SSH public key blob, base64. */
  key: string;
  /** Where it was reached directly, or null. */
  url: string | null;
  failureDomain: string;
  domains: Pledge["domains"];
  /** When it serves strangers; null: always. */
  hours: PledgeHours | null;
  pledgedBytes: number;
  freeBytes: number;
  online: boolean;
  /** Counts the node's connections to this edge: what an older one says is ignored. */
  epoch: number;
  /** When it came online or went offline, milliseconds. */
  sinceMs: number;
  /** Until when the volunteer said that it will be away; null where nothing was said. */
  awayUntilMs: number | null;
  /** It takes nothing more, and goes when others keep what it keeps. */
  leaving: boolean;
  /** What it was given before then it has lost; 0: nothing. */
  lostMs: number;
  /** What its volunteer wants to be called in public, or null. */
  name: string | null;
}

/** A home node as this edge knows it. */
export interface Member extends MemberReport {
  firstSeenMs: number;
  /** How it did when it was checked: 0 to 1. */
  standing: number;
  /** Time online up to `sinceMs`. */
  onlineMs: number;
  /** Chunks that are listed of it, as its audits show; null before the first. */
  chunks: number | null;
  /** Shards that have audited it. */
  shards: number;
  /** Bytes that it gave to this edge and its readers, as the edge saw it. */
  servedBytes: number;
}

/** What a member's leaf shard has found out, for the ancestors' rows. */
export type MemberRecord = Pick<Member, "id" | "standing" | "chunks" | "shards" | "servedBytes">;

interface MemberRow extends Record<string, SqlStorageValue> {
  id: NodeId;
  key: string;
  url: string | null;
  failure_domain: string;
  domains: string;
  pledged_bytes: number;
  free_bytes: number;
  online: number;
  epoch: number;
  since: number;
  first_seen: number;
  away_until: number | null;
  leaving: number;
  lost_at: number;
  standing: number;
  name: string | null;
  online_ms: number;
  chunks: number | null;
  shards: number;
  served_bytes: number;
  hours: string | null;
}

/** Writes a member. False where a shard above is full and turns the node away. */
export function putMember(sql: SqlStorage, place: Place, member: MemberReport, nowMs: number): boolean {
  const known = sql.exec("SELECT 1 FROM members WHERE id = ?", member.id).toArray().length > 0;
  if (!known && place === "above" && !hasRoom(sql, member)) return false;
  sql.exec(
    `INSERT INTO members (id, key, url, failure_domain, domains, pledged_bytes, free_bytes, online, epoch, since,
       away_until, leaving, lost_at, name, hours, first_seen, standing)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET key = excluded.key, url = excluded.url, failure_domain = excluded.failure_domain,
       domains = excluded.domains, pledged_bytes = excluded.pledged_bytes, free_bytes = excluded.free_bytes,
       online = excluded.online, epoch = excluded.epoch, since = excluded.since, away_until = excluded.away_until,
       leaving = excluded.leaving, lost_at = excluded.lost_at, name = excluded.name,
       hours = excluded.hours,
       online_ms = members.online_ms + members.online * MAX(0, excluded.since - members.since)
     WHERE excluded.epoch >= members.epoch`,
    member.id,
    member.key,
    member.url,
    member.failureDomain,
    JSON.stringify(member.domains),
    member.pledgedBytes,
    member.freeBytes,
    member.online ? 1 : 0,
    member.epoch,
    member.sinceMs,
    member.awayUntilMs,
    member.leaving ? 1 : 0,
    member.lostMs,
    member.name,
    member.hours === null ? null : formatHours(member.hours),
    nowMs,
    STANDING_UNKNOWN,
  );
  return true;
}

export function putRecord(sql: SqlStorage, record: MemberRecord): void {
  const { id, standing, chunks, shards, servedBytes } = record;
  sql.exec(
    "UPDATE members SET standing = ?, chunks = ?, shards = ?, served_bytes = ? WHERE id = ?",
    standing,
    chunks,
    shards,
    servedBytes,
    id,
  );
}

export function membersById(sql: SqlStorage, ids: NodeId[]): Member[] {
  return ids.flatMap((id) =>
    sql.exec<MemberRow>("SELECT * FROM members WHERE id = ?", id).toArray().map(parseMemberRow),
  );
}

export function closestMembers(sql: SqlStorage, target: Hash, count: number): MemberPage<Member> {
  const members = onlineMembers(sql, target, count);
  const { rows } = sql
    .exec<{ rows: number }>(
      "SELECT COUNT(*) AS rows FROM (SELECT 1 FROM members WHERE online = 1 LIMIT ?)",
      members.length + 1,
    )
    .one();
  const last = members.length < count ? null : (members.at(-1)?.id ?? null);
  const crowded = crowdedNear(sql, target, last);
  return { members, complete: rows <= members.length && crowded.length === 0, crowded };
}

function onlineMembers(sql: SqlStorage, target: Hash, count: number): Member[] {
  return closestInRanges(
    target,
    count,
    ({ id }) => id,
    (idPrefix) => onlineInRange(sql, idPrefix),
  );
}

export function listMembers(sql: SqlStorage, limit: number): Member[] {
  return sql
    .exec<MemberRow>("SELECT * FROM members ORDER BY online DESC, since DESC LIMIT ?", limit)
    .toArray()
    .map(parseMemberRow);
}

/** Those that list the domain. */
export function membersPledgedTo(sql: SqlStorage, domain: Domain): Member[] {
  return sql
    .exec<MemberRow>("SELECT * FROM members WHERE instr(domains, ?) > 0", JSON.stringify(domain))
    .toArray()
    .map(parseMemberRow);
}

export interface MemberCounts {
  known: number;
  online: number;
  pledgedBytes: number;
  freeBytes: number;
}

/** Bytes are those of the members online. */
export function countMembers(sql: SqlStorage): MemberCounts {
  return sql
    .exec<{ known: number; online: number; pledgedBytes: number; freeBytes: number }>(
      `SELECT COUNT(*) AS known, COALESCE(SUM(online), 0) AS online,
         COALESCE(SUM(pledged_bytes * online), 0) AS pledgedBytes, COALESCE(SUM(free_bytes * online), 0) AS freeBytes
       FROM members`,
    )
    .one();
}

function onlineInRange(sql: SqlStorage, idPrefix: string): Member[] {
  return sql
    .exec<MemberRow>(
      "SELECT * FROM members WHERE id >= ? AND id < ? AND online = 1",
      idPrefix,
      `${idPrefix}g`, // the character after f
    )
    .toArray()
    .map(parseMemberRow);
}

function parseMemberRow(row: MemberRow): Member {
  return {
    id: row.id,
    key: row.key,
    url: row.url,
    failureDomain: row.failure_domain,
    domains: JSON.parse(row.domains) as Pledge["domains"],
    pledgedBytes: row.pledged_bytes,
    freeBytes: row.free_bytes,
    online: row.online === 1,
    epoch: row.epoch,
    sinceMs: row.since,
    awayUntilMs: row.away_until,
    leaving: row.leaving === 1,
    lostMs: row.lost_at,
    name: row.name,
    hours: row.hours === null ? null : parseHours(row.hours),
    firstSeenMs: row.first_seen,
    standing: row.standing,
    onlineMs: row.online_ms,
    chunks: row.chunks,
    shards: row.shards,
    servedBytes: row.served_bytes,
  };
}
