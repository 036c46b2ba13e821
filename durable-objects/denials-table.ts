// What operators have blocked, in the root shard: one list for the edge, of which each isolate keeps a copy and asks now
// and then what has changed. The ids of operators' statements are remembered for as long as those could be said again.

import {
  DENIALS_MAX,
  type Denial,
  type DenialChange,
  OPERATOR_WINDOW_MS,
  subjectHash,
} from "../lib/denial.ts";
import { HoldfastError } from "../lib/error.ts";
import { encodeHash, type Hash } from "../lib/hash.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

const EPOCH_SETTING = "denials-epoch";

/** How far a copy is: `epoch` changes whenever something is allowed again, `sequence` grows with each denial. */
export interface DenialsMark {
  epoch: Hash | null;
  sequence: number;
}

export interface DenialsUpdate extends DenialsMark {
  /** All there are; false: those that came since the mark. */
  isWhole: boolean;
  denials: Denial[];
}

/** Carries out a verified statement, once. True where it changed something. Throws `statement-replayed` and `quota-exceeded`. */
export function applyChange(
  sql: SqlStorage,
  statement: Hash,
  change: DenialChange,
  nowMs: number,
): { changed: boolean } {
  if (!takeStatement(sql, statement, nowMs))
    throw new HoldfastError("statement-replayed", "this statement was carried out already");
  if (change.action === "deny") return { changed: deny(sql, change, nowMs) };
  return { changed: change.action === "allow" && allow(sql, change.subject) };
}

export function listDenials(sql: SqlStorage): Denial[] {
  return denialsAfter(sql, 0);
}

export function denialsSince(sql: SqlStorage, mark: DenialsMark): DenialsUpdate {
  const epoch = readSetting(sql, EPOCH_SETTING) as Hash | null;
  const isWhole = epoch !== mark.epoch;
  return {
    ...{ epoch, isWhole, denials: denialsAfter(sql, isWhole ? 0 : mark.sequence) },
    sequence: newestSequence(sql),
  };
}

function deny(
  sql: SqlStorage,
  { subject, status, reason }: Extract<DenialChange, { action: "deny" }>,
  nowMs: number,
): boolean {
  const hash = subjectHash(subject);
  const [known] = sql
    .exec<{ status: number; reason: string }>("SELECT status, reason FROM denials WHERE hash = ?", hash)
    .toArray();
  if (known?.status === status && known.reason === reason) return false;
  const { count } = sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM denials").one();
  if (known === undefined && count >= DENIALS_MAX) {
    throw new HoldfastError(
      "quota-exceeded",
      `${DENIALS_MAX} subjects are blocked already: allow some again`,
    );
  }
  if (readSetting(sql, EPOCH_SETTING) === null) startEpoch(sql);
  sql.exec(
    `INSERT INTO denials (hash, subject, status, reason, at, sequence) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET subject = excluded.subject, status = excluded.status, reason = excluded.reason,
       at = excluded.at, sequence = excluded.sequence`,
    hash,
    subject,
    status,
    reason,
    nowMs,
    newestSequence(sql) + 1,
  );
  return true;
}

/** A new epoch: whoever has a copy takes the list anew. */
function allow(sql: SqlStorage, subject: string): boolean {
  const { rowsWritten } = sql.exec("DELETE FROM denials WHERE hash = ?", subjectHash(subject));
  if (rowsWritten > 0) startEpoch(sql);
  return rowsWritten > 0;
}

function startEpoch(sql: SqlStorage): void {
  writeSetting(sql, EPOCH_SETTING, encodeHash(crypto.getRandomValues(new Uint8Array(32))));
}

function newestSequence(sql: SqlStorage): number {
  return sql.exec<{ newest: number }>("SELECT COALESCE(MAX(sequence), 0) AS newest FROM denials").one()
    .newest;
}

function denialsAfter(sql: SqlStorage, sequence: number): Denial[] {
  return sql
    .exec<Omit<Denial, "time"> & { at: number }>(
      "SELECT hash, subject, status, reason, at FROM denials WHERE sequence > ? ORDER BY sequence",
      sequence,
    )
    .toArray()
    .map(({ at, ...row }) => ({ ...row, time: new Date(at).toISOString() }));
}

/** False for a statement that was taken before. Past twice the window no clock takes it for one of now. */
export function takeStatement(sql: SqlStorage, id: Hash, nowMs: number): boolean {
  sql.exec("DELETE FROM operator_statements WHERE at < ?", nowMs - 2 * OPERATOR_WINDOW_MS);
  const { rowsWritten } = sql.exec(
    "INSERT INTO operator_statements (id, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
    id,
    nowMs,
  );
  return rowsWritten > 0;
}
