// Which nodes keep a domain's chunks, and how many: counted in the chunks' shards, told to the domain's shard, and summed
// there for those who are to be thanked. Bounded, and so approximate: of each shard the nodes that keep most of a domain
// there, and some time late.

import type { NodeId } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { SUPPORTERS_LISTED_MAX } from "../lib/wire/status.ts";

/** Domains that one shard tells of at a time; the others come next. */
export const DOMAINS_TOLD_MAX = 20;
/** Nodes that a shard tells of for one domain. */
export const KEEPERS_TOLD_MAX = 50;
/** Holders come and go without a charge: what did not change is told again after this long. */
export const KEEPERS_AGAIN_MS = 24 * 60 * 60 * 1000;

/** What a node keeps of a domain: by what holders are recorded to have, and what the domain is charged for. */
export interface Keeper {
  node: NodeId;
  chunks: number;
  bytes: number;
}

export interface DomainKeepers {
  domain: Domain;
  keepers: Keeper[];
}

/** Chunks' shard: the domains whose charges changed since they were told, then those that were told long ago. */
export function domainsToTell(sql: SqlStorage, nowMs: number): { domain: Domain; sequence: number }[] {
  return sql
    .exec<{ domain: Domain; sequence: number }>(
      `SELECT t.domain, t.sequence FROM domain_totals t LEFT JOIN keepers_told k ON k.domain = t.domain
       WHERE k.domain IS NULL OR k.sequence < t.sequence OR k.at <= ?
       ORDER BY COALESCE(k.at, 0) LIMIT ${DOMAINS_TOLD_MAX}`,
      nowMs - KEEPERS_AGAIN_MS,
    )
    .toArray();
}

/** Chunks' shard: one pass over what the domains are charged for. */
export function countKeepers(sql: SqlStorage, domains: readonly Domain[]): DomainKeepers[] {
  const counted = new Map(domains.map((domain): [Domain, Keeper[]] => [domain, []]));
  const rows = sql.exec<{ domain: Domain; node: NodeId; chunks: number; bytes: number }>(
    `SELECT c.domain, h.node, COUNT(*) AS chunks, SUM(c.size) AS bytes FROM charges c JOIN holders h ON h.chunk = c.chunk
     WHERE c.domain IN (SELECT value FROM json_each(?)) GROUP BY c.domain, h.node`,
    JSON.stringify(domains),
  );
  for (const { domain, ...keeper } of rows) counted.get(domain)?.push(keeper);
  return [...counted].map(([domain, keepers]) => ({
    domain,
    keepers: keepers.sort(byBytes).slice(0, KEEPERS_TOLD_MAX),
  }));
}

export function noteTold(sql: SqlStorage, told: { domain: Domain; sequence: number }[], nowMs: number): void {
  for (const { domain, sequence } of told) {
    sql.exec(
      `INSERT INTO keepers_told (domain, sequence, at) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET sequence = excluded.sequence, at = excluded.at`,
      domain,
      sequence,
      nowMs,
    );
  }
}

/** Chunks' shard: when something is to be told again; null where there is nothing. */
export function nextTellingMs(sql: SqlStorage): number | null {
  const { at } = sql.exec<{ at: number | null }>("SELECT MIN(at) AS at FROM keepers_told").one();
  return at === null ? null : at + KEEPERS_AGAIN_MS;
}

/**
 * Domain's shard: takes in what a chunks' shard has counted, in place of what it said before, and of what a shard said that it
 * was a part of.
 */
export function recordKeepers(sql: SqlStorage, shard: ShardPrefix, { domain, keepers }: DomainKeepers): void {
  sql.exec(
    "DELETE FROM keepers WHERE domain = ? AND shard <> ? AND substr(?, 1, length(shard)) = shard",
    domain,
    shard,
    shard,
  );
  if (keepers.length === 0) {
    sql.exec("DELETE FROM keepers WHERE domain = ? AND shard = ?", domain, shard);
    return;
  }
  sql.exec(
    `INSERT INTO keepers (domain, shard, keepers) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET keepers = excluded.keepers`,
    domain,
    shard,
    JSON.stringify(keepers),
  );
}

/** Domain's shard: who keeps most of the domain. */
export function keepersOf(sql: SqlStorage, domain: Domain): Keeper[] {
  const sums = new Map<NodeId, Keeper>();
  const rows = sql.exec<{ keepers: string }>("SELECT keepers FROM keepers WHERE domain = ?", domain);
  for (const row of rows) {
    for (const { node, chunks, bytes } of parseKeepers(row.keepers)) {
      const known = sums.get(node) ?? { node, chunks: 0, bytes: 0 };
      sums.set(node, { node, chunks: known.chunks + chunks, bytes: known.bytes + bytes });
    }
  }
  return [...sums.values()].sort(byBytes).slice(0, SUPPORTERS_LISTED_MAX);
}

function byBytes(a: Keeper, b: Keeper): number {
  return b.bytes - a.bytes || (a.node < b.node ? -1 : 1);
}

// Written by recordKeepers only.
function parseKeepers(text: string): Keeper[] {
  return JSON.parse(text) as Keeper[];
}
