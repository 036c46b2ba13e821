// The DNS names whose Holdfast records were seen validated by DNSSEC, and when last: one that comes without is not taken
// for one that never had it.

/** Of one shard. Strangers make rows by naming signed domains of their own: past this, newcomers are not remembered. */
export const DNSSEC_NAMES_MAX = 10_000;
/** What is written no more often for a name that stays as it is. */
const SEEN_AGAIN_MS = 24 * 3600 * 1000;

export interface DnssecSight {
  /** The TXT name. */
  name: string;
  isValidated: boolean;
}

/** Whether DNSSEC is lost: `name` comes without it now, and was seen with it less than `memoryMs` ago. */
export function noteDnssec(sql: SqlStorage, sight: DnssecSight, nowMs: number, memoryMs: number): boolean {
  const { name, isValidated } = sight;
  const [row] = sql.exec<{ seen_at: number }>("SELECT seen_at FROM dnssec WHERE name = ?", name).toArray();
  if (!isValidated) {
    if (row !== undefined && row.seen_at > nowMs - memoryMs) return true;
    // Let go for good: a setting that is raised again does not bring it back.
    if (row !== undefined) sql.exec("DELETE FROM dnssec WHERE name = ?", name);
    return false;
  }
  if (row !== undefined && row.seen_at > nowMs - SEEN_AGAIN_MS) return false;
  if (row === undefined && !hasRoom(sql, nowMs, memoryMs)) return false;
  sql.exec(
    "INSERT INTO dnssec (name, seen_at) VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
    name,
    nowMs,
  );
  return false;
}

function hasRoom(sql: SqlStorage, nowMs: number, memoryMs: number): boolean {
  if (countNames(sql) < DNSSEC_NAMES_MAX) return true;
  sql.exec("DELETE FROM dnssec WHERE seen_at <= ?", nowMs - memoryMs);
  return countNames(sql) < DNSSEC_NAMES_MAX;
}

function countNames(sql: SqlStorage): number {
  return Number(sql.exec("SELECT COUNT(*) AS count FROM dnssec").one().count);
}
