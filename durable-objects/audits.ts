// Audits of a shard: chunks drawn at random are read from their holders by the ordinary path, and what came of it is
// brought to the holders' rows here and to the nodes' standings. Complaints only choose what is read next.

import pLimit from "p-limit";
import {
  type Audited,
  type AuditRate,
  auditShare,
  chunkHoursOf,
  pickOrdinals,
  roundAtRandom,
} from "../lib/durability/audit-draw.ts";
import type { CheckCode } from "../lib/durability/standing.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { CHECK_FAILED, dropHolder } from "./chunks-table.ts";
import type { IndexClient } from "./index-client.ts";
import type { Member } from "./members-table.ts";
import { queueRepair } from "./repairs-table.ts";
import { readSetting, writeSetting } from "./settings-table.ts";
import { type Listed, type Sight, sightOf } from "./standings-table.ts";
import { hasSuspects, type Suspect, takeSuspects } from "./suspects-table.ts";

/** The platform opens six connections at once for one request. */
const AUDITS_AT_ONCE = 6;
const AUDITS_PER_ROUND_MAX = 48;
/** A round is made when about so many are due: each looks over all holders of the shard. */
const AUDITS_PER_ROUND = 8;
const ROUND_INTERVAL_MAX_MS = 6 * 60 * 60 * 1000;
/** Complaints that are looked into in one round, and how long the next ones wait: they cost strangers nothing. */
const SUSPECTS_PER_ROUND = 8;
const SUSPECTS_INTERVAL_MS = 60_000;
const AUDITED_SETTING = "audited-at";
const DAY_MS = 24 * 60 * 60 * 1000;

/** What a read of a chunk from a node came to, whoever made it for this edge. */
export interface Check {
  chunk: Hash;
  node: NodeId;
  code: CheckCode;
  /** Where a shard drew it: what it speaks for. */
  drawn?: Drawn;
}

interface Drawn {
  chunkHours: number;
  /** Chunks of the node that the shard lists. */
  chunks: number;
}

/** A chunk to read from a node. */
interface Draw extends Suspect {
  member: Member;
  drawn?: Drawn;
}

/** What one round did, and when the next is due. */
export interface AuditRound {
  checks: Check[];
  nextMs: number | null;
}

/** When to look again after a complaint or a first chunk; null where audits are off. */
export function auditDelayMs({ settings }: IndexClient, isUrgent: boolean): number | null {
  const { auditsPerDay, sweepMs } = settings;
  if (auditsPerDay === 0 || sweepMs === 0) return null;
  return isUrgent ? Math.min(SUSPECTS_INTERVAL_MS, sweepMs) : sweepMs;
}

/** One round. Done twice at once it draws what is due once: the time is taken before anything is read. */
export async function auditRound(
  sql: SqlStorage,
  index: IndexClient,
  shard: ShardPrefix,
  nowMs: number,
): Promise<AuditRound> {
  const delayMs = auditDelayMs(index, false);
  const counts = countByNode(sql);
  if (delayMs === null || counts.length === 0) return { checks: [], nextMs: null };
  const members = await index.members(counts.map(({ node }) => node));
  // As many as there are where all are of this one's depth.
  const rate = { auditsPerDay: index.settings.auditsPerDay, shards: 2 ** shard.length };
  const audited = counts.flatMap((count) => auditedNode(count, members));
  const elapsedMs = takeElapsed(sql, delayMs, nowMs);
  const draws = [...suspected(sql, members), ...drawRows(sql, audited, rate, elapsedMs)];
  const checks = await readAll(index, draws);
  const nextMs = nowMs + delayAfter(sql, index, { audited, rate, checks });
  return { checks, nextMs };
}

/**
 * Brings checks to the holders' rows: who gave the chunk is noted, who did not is no holder any more, if there are others. Returns what it says
 * of nodes; a row that is not here says nothing, because nothing was claimed.
 */
export function applyChecks(sql: SqlStorage, shard: ShardPrefix, checks: Check[], nowMs: number): Sight[] {
  const sights = new Map<NodeId, Sight>();
  for (const { chunk, node, code, drawn } of checks) {
    const held = holderRow(sql, chunk, node);
    const isBad = code === "missing" || code === "corrupt";
    // That a last holder goes on not giving the chunk is no news.
    if (held === null || (isBad && held.checked === CHECK_FAILED)) continue;
    const heldSinceMs = held.since;
    if (code === "passed") {
      sql.exec("UPDATE holders SET checked = ? WHERE chunk = ? AND node = ?", nowMs, chunk, node);
    } else if (isBad) {
      dropHolder(sql, chunk, node);
      queueRepair(sql, chunk, code, nowMs);
    }
    const listed: Listed = sights.get(node)?.listed ?? { shard, chunks: null, lost: 0 };
    const sight = sights.get(node) ?? sightOf(node, { listed });
    sights.set(node, sight);
    if (isBad) listed.lost += 1;
    sight.checks.push({ chunk, code, heldSinceMs, isDrawn: drawn !== undefined });
    if (drawn === undefined) continue;
    listed.chunks = drawn.chunks;
    if (code === "passed") sight.chunkHours += drawn.chunkHours;
  }
  return [...sights.values()];
}

interface NodeCount {
  node: NodeId;
  chunks: number;
}

interface AuditedNode extends Audited {
  member: Member;
}

/** One pass over the holders. */
function countByNode(sql: SqlStorage): NodeCount[] {
  return sql
    .exec<{ node: NodeId; chunks: number }>("SELECT node, COUNT(*) AS chunks FROM holders GROUP BY node")
    .toArray();
}

/** Only who is online is asked. */
function auditedNode({ node, chunks }: NodeCount, members: ReadonlyMap<NodeId, Member>): AuditedNode[] {
  const member = members.get(node);
  if (member === undefined || !member.online) return [];
  return [{ member, chunks, knownShards: member.shards, standing: member.standing }];
}

/** How long ago the last round was, and that one is being made now. */
function takeElapsed(sql: SqlStorage, firstMs: number, nowMs: number): number {
  const last = readSetting(sql, AUDITED_SETTING);
  writeSetting(sql, AUDITED_SETTING, String(nowMs));
  const elapsedMs = last === null ? firstMs : nowMs - Number(last);
  return Math.min(ROUND_INTERVAL_MAX_MS, Math.max(0, elapsedMs));
}

/** At most AUDITS_PER_ROUND_MAX; where more are due, those that are left speak for the others too. */
function drawRows(sql: SqlStorage, audited: AuditedNode[], rate: AuditRate, elapsedMs: number): Draw[] {
  const due = audited.map((node) => roundAtRandom(auditShare(node, rate, elapsedMs), Math.random));
  const all = due.reduce((sum, count) => sum + count, 0);
  if (all === 0) return [];
  const kept = Math.min(1, AUDITS_PER_ROUND_MAX / all);
  const wanted = new Map<NodeId, { ordinals: Set<number>; of: Omit<Draw, "chunk" | "node"> }>();
  audited.forEach((node, i) => {
    const count = roundAtRandom((due[i] ?? 0) * kept, Math.random);
    if (count === 0) return;
    const drawn = { chunkHours: chunkHoursOf(node, rate) / kept, chunks: node.chunks };
    const ordinals = pickOrdinals(node.chunks, count, Math.random);
    wanted.set(node.member.id, { ordinals, of: { member: node.member, drawn } });
  });
  return pickRows(sql, wanted);
}

/** The rows at the ordinals drawn for each node, in one more pass. What a node has said that it lost is known already. */
function pickRows(
  sql: SqlStorage,
  wanted: ReadonlyMap<NodeId, { ordinals: Set<number>; of: Omit<Draw, "chunk" | "node"> }>,
): Draw[] {
  const draws: Draw[] = [];
  const passed = new Map<NodeId, number>();
  const rows = sql.exec<{ chunk: Hash; node: NodeId; since: number }>(
    "SELECT chunk, node, since FROM holders",
  );
  for (const { chunk, node, since } of rows) {
    const want = wanted.get(node);
    if (want === undefined) continue;
    const ordinal = passed.get(node) ?? 0;
    passed.set(node, ordinal + 1);
    if (want.ordinals.has(ordinal) && since >= want.of.member.lostMs) draws.push({ chunk, node, ...want.of });
  }
  return draws.slice(0, AUDITS_PER_ROUND_MAX);
}

function suspected(sql: SqlStorage, members: ReadonlyMap<NodeId, Member>): Draw[] {
  return takeSuspects(sql, SUSPECTS_PER_ROUND).flatMap((suspect) => {
    const member = members.get(suspect.node);
    return member?.online === true ? [{ ...suspect, member }] : [];
  });
}

async function readAll(index: IndexClient, draws: Draw[]): Promise<Check[]> {
  const limit = pLimit(AUDITS_AT_ONCE);
  const checks = await Promise.all(draws.map((draw) => limit(() => readOne(index, draw))));
  await index.checkLinks(new Set(checks.flatMap(({ code, node }) => (code === "unreachable" ? [node] : []))));
  return checks;
}

/** By the node's URL, and where nobody answers there, through its tunnel. */
async function readOne(index: IndexClient, { chunk, node, member, drawn }: Draw): Promise<Check> {
  const wanted = { hash: chunk };
  let outcome = await index.read(member, wanted);
  if (outcome.status === "unreachable" && member.url !== null)
    outcome = await index.read({ id: node, url: null }, wanted);
  const code = outcome.status === "read" ? "passed" : outcome.status;
  return { chunk, node, code, ...(drawn === undefined ? {} : { drawn }) };
}

/** The next round: when enough is due, or soon where something was found or complaints wait. */
function delayAfter(
  sql: SqlStorage,
  index: IndexClient,
  round: { audited: AuditedNode[]; rate: AuditRate; checks: Check[] },
): number {
  const sweepMs = auditDelayMs(index, false) ?? 0;
  if (hasSuspects(sql)) return Math.min(SUSPECTS_INTERVAL_MS, sweepMs);
  if (round.checks.some(({ code }) => code === "missing" || code === "corrupt")) return sweepMs;
  const perDay = round.audited.reduce((sum, node) => sum + auditShare(node, round.rate, DAY_MS), 0);
  if (perDay === 0) return sweepMs;
  return Math.max(sweepMs, Math.min(ROUND_INTERVAL_MAX_MS, (AUDITS_PER_ROUND * DAY_MS) / perDay));
}

function holderRow(sql: SqlStorage, chunk: Hash, node: NodeId): { since: number; checked: number } | null {
  const [row] = sql
    .exec<{ since: number; checked: number }>(
      "SELECT since, checked FROM holders WHERE chunk = ? AND node = ?",
      chunk,
      node,
    )
    .toArray();
  return row ?? null;
}
