// Numbers travel upward: each shard reports its own to the root shard, which answers /status without asking anyone.

import { PARTITION_COUNT } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { childPrefixes, SHARD_DEPTH_MAX, type ShardPrefix } from "../lib/overlay/shards.ts";
import { LISTED_DOMAINS_MAX, RECENT_OBJECTS_MAX, type RecentObject } from "../lib/wire/status.ts";
import { largestDomains } from "./charges-table.ts";
import { countPartitions, type PartitionCount } from "./chunks-table.ts";
import { type PeerReport, peerReports } from "./outbox-table.ts";
import { countNeeded, type NeededCounts } from "./references-table.ts";
import { countRepairs, dateOf, type RepairCounts } from "./repairs-table.ts";
import { readSetting, writeSetting } from "./settings-table.ts";
import { countNames, recentObjects } from "./versions-table.ts";

const NUMBER_SETTING = "reports";

export interface ShardReport {
  /** From 1 on, in the order in which the shard counted. */
  number: number;
  names: number;
  versions: number;
  partitions: PartitionCount[];
  recent: RecentObject[];
  repairs: RepairCounts;
  needed: NeededCounts;
  /** Of the domains whose ledger is in the shard, those that are charged for most. */
  domains: { domain: Domain; bytes: number }[];
  peers: PeerReport[];
  /** Of its tables. */
  bytes: number;
}

export interface NetworkReport {
  index: { names: number; versions: number; chunks: number; replicas: number; chunkBytes: number };
  partitions: { chunks: number[]; holders: number[] };
  recent: RecentObject[];
  /** Chunks below target, those of them that no holder gives, and what was copied today (in UTC). */
  repairs: { short: number; unreadable: number; copiesToday: number; bytesToday: number };
  needed: NeededCounts;
  /** Those that are charged for most, on the whole edge. */
  domains: { domain: Domain; bytes: number }[];
  /** How peers answer; those that no shard has spoken to are not there. */
  peers: PeerReport[];
  /** The shard whose tables are the largest; null before the first report. */
  largest: { prefix: ShardPrefix; bytes: number } | null;
  /** Shards to which nodes have brought back something that is not among these numbers. */
  behind: number;
  /** Milliseconds, or null before the first report. */
  reportedMs: number | null;
}

/** Counts, and uses up a number. */
export function collectReport(sql: SqlStorage, nowMs: number): ShardReport {
  const number = nextReport(sql);
  writeSetting(sql, NUMBER_SETTING, String(number));
  return {
    number,
    ...countNames(sql),
    partitions: countPartitions(sql),
    recent: recentObjects(sql),
    repairs: countRepairs(sql, nowMs),
    needed: countNeeded(sql),
    domains: largestDomains(sql, LISTED_DOMAINS_MAX),
    peers: peerReports(sql),
    bytes: sql.databaseSize,
  };
}

/** The number of the report that comes next. */
export function nextReport(sql: SqlStorage): number {
  return Number(readSetting(sql, NUMBER_SETTING) ?? 0) + 1;
}

/** Root shard: what nodes have brought back to a shard will be in its report of this number. */
export function noteBehind(sql: SqlStorage, prefix: ShardPrefix, report: number): void {
  sql.exec(
    "INSERT INTO behind (prefix, report) VALUES (?, ?) ON CONFLICT DO UPDATE SET report = MAX(report, excluded.report)",
    prefix,
    report,
  );
}

export function putReport(sql: SqlStorage, prefix: ShardPrefix, report: ShardReport, nowMs: number): void {
  sql.exec(
    "INSERT INTO reports (prefix, report, at) VALUES (?, ?, ?) ON CONFLICT (prefix) DO UPDATE SET report = excluded.report, at = excluded.at",
    prefix,
    JSON.stringify(report),
    nowMs,
  );
}

export function mergeReports(sql: SqlStorage, nowMs: number): NetworkReport {
  const rows = sql
    .exec<{ prefix: ShardPrefix; report: string; at: number }>("SELECT prefix, report, at FROM reports")
    .toArray();
  const latest = new Map(rows.map((row) => [row.prefix, parseReportRow(row)]));
  const current = currentReports("", latest);
  const reports = current.map(({ report }) => report);
  const partitions = reports.flatMap((report) => report.partitions);
  const sum = (pick: (report: ShardReport) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  const sumPartitions = (pick: (partition: PartitionCount) => number) =>
    partitions.reduce((total, partition) => total + pick(partition), 0);
  return {
    index: {
      names: sum((report) => report.names),
      versions: sum((report) => report.versions),
      chunks: sumPartitions((partition) => partition.chunks),
      replicas: sumPartitions((partition) => partition.replicas),
      chunkBytes: sumPartitions((partition) => partition.chunkBytes),
    },
    partitions: {
      chunks: spread(partitions, (partition) => partition.chunks),
      holders: spread(partitions, (partition) => partition.nodes),
    },
    repairs: mergeRepairs(reports, nowMs),
    needed: {
      chunks: sum((report) => report.needed.chunks),
      unheld: sum((report) => report.needed.unheld),
      unseen: sum((report) => report.needed.unseen),
      few: sum((report) => report.needed.few),
    },
    recent: newest(reports.flatMap((report) => report.recent)),
    domains: largest(reports.flatMap((report) => report.domains)),
    peers: mergePeers(reports.flatMap((report) => report.peers)),
    largest: largestShard(current),
    behind: countBehind(sql, latest),
    reportedMs: rows.length === 0 ? null : Math.max(...rows.map((row) => row.at)),
  };
}

interface PlacedReport {
  prefix: ShardPrefix;
  report: ShardReport;
}

/**
 * Of the shards that there are: what one said before it was split counts until both of its children have spoken, and theirs
 * from then on. A shard above others that keeps members only says nothing.
 */
function currentReports(prefix: ShardPrefix, reports: ReadonlyMap<ShardPrefix, ShardReport>): PlacedReport[] {
  const report = reports.get(prefix);
  const own = report === undefined || isBlank(report) ? [] : [{ prefix, report }];
  if (prefix.length === SHARD_DEPTH_MAX) return own;
  const children = childPrefixes(prefix);
  if (own.length > 0 && !areCovered(prefix, reports)) return own;
  return children.flatMap((child) => currentReports(child, reports));
}

/** What was brought to a shard before it was split, both of its children have counted in their first reports. */
function countBehind(sql: SqlStorage, reports: ReadonlyMap<ShardPrefix, ShardReport>): number {
  const rows = sql
    .exec<{ prefix: ShardPrefix; report: number }>("SELECT prefix, report FROM behind")
    .toArray();
  const isBehind = ({ prefix, report }: (typeof rows)[number]) =>
    report > (reports.get(prefix)?.number ?? 0) && !areCovered(prefix, reports);
  return rows.filter(isBehind).length;
}

function isCovered(prefix: ShardPrefix, reports: ReadonlyMap<ShardPrefix, ShardReport>): boolean {
  return reports.has(prefix) || areCovered(prefix, reports);
}

/** Whether all that is below a shard has spoken. */
function areCovered(prefix: ShardPrefix, reports: ReadonlyMap<ShardPrefix, ShardReport>): boolean {
  return prefix.length < SHARD_DEPTH_MAX && childPrefixes(prefix).every((child) => isCovered(child, reports));
}

function isBlank({ names, versions, partitions, needed, domains }: ShardReport): boolean {
  return names + versions + partitions.length + needed.chunks + domains.length === 0;
}

function largestShard(current: readonly PlacedReport[]): NetworkReport["largest"] {
  const [first] = current.toSorted((a, b) => b.report.bytes - a.report.bytes);
  return first === undefined ? null : { prefix: first.prefix, bytes: first.report.bytes };
}

function mergeRepairs(reports: ShardReport[], nowMs: number): NetworkReport["repairs"] {
  const sum = (pick: (repairs: RepairCounts) => number) =>
    reports.reduce((total, { repairs }) => total + pick(repairs), 0);
  const today = dateOf(nowMs);
  return {
    short: sum(({ short }) => short),
    unreadable: sum(({ unreadable }) => unreadable),
    copiesToday: sum(({ repaired }) => (repaired.date === today ? repaired.copies : 0)),
    bytesToday: sum(({ repaired }) => (repaired.date === today ? repaired.bytes : 0)),
  };
}

function mergePeers(reports: PeerReport[]): PeerReport[] {
  return [...Map.groupBy(reports, ({ peer }) => peer)].map(([peer, its]) => ({
    peer,
    waiting: its.reduce((sum, { waiting }) => sum + waiting, 0),
    answeredMs: latest(its.map(({ answeredMs }) => answeredMs)),
    failedMs: latest(its.map(({ failedMs }) => failedMs)),
  }));
}

function latest(times: (number | null)[]): number | null {
  const known = times.filter((ms) => ms !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function spread(partitions: PartitionCount[], pick: (partition: PartitionCount) => number): number[] {
  const numbers = new Array<number>(PARTITION_COUNT).fill(0);
  for (const partition of partitions) numbers[partition.partition] = pick(partition);
  return numbers;
}

function newest(objects: RecentObject[]): RecentObject[] {
  return objects.sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, RECENT_OBJECTS_MAX);
}

const NOTHING_NEEDED: NeededCounts = { chunks: 0, unheld: 0, unseen: 0, few: 0 };
const NO_REPAIRS: RepairCounts = {
  short: 0,
  unreadable: 0,
  repaired: { date: "", copies: 0, bytes: 0 },
};

/** Each domain has one ledger, in one shard. */
function largest(domains: ShardReport["domains"]): ShardReport["domains"] {
  return domains
    .sort((a, b) => b.bytes - a.bytes || (a.domain < b.domain ? -1 : 1))
    .slice(0, LISTED_DOMAINS_MAX);
}

const UNSAID = {
  ...{ number: 0, repairs: NO_REPAIRS, needed: NOTHING_NEEDED, bytes: 0 },
  ...{ domains: [] as ShardReport["domains"], peers: [] as PeerReport[] },
};

/** One that was written before shards said this says nothing of it. */
function parseReportRow(row: { report: string }): ShardReport {
  const said = JSON.parse(row.report) as Omit<ShardReport, keyof typeof UNSAID> & Partial<typeof UNSAID>;
  return { ...UNSAID, ...said, needed: { ...NOTHING_NEEDED, ...said.needed } };
}
