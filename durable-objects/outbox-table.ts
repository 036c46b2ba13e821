// A shard's rows of what its peers are still to be given: one for each statement and peer, in the order in which they were
// accepted, and how each peer has answered. A row goes once the peer has said what it did with the statement.

import type { Hash } from "../lib/hash.ts";

/** A peer that does not answer is tried again after this long, then after twice as long, and so on, */
export const PEER_RETRY_MIN_MS = 15_000;
/** up to this. */
export const PEER_RETRY_MAX_MS = 30 * 60_000;
/** What a peer has not taken by then it has to ask for itself. */
export const OUTBOX_AGE_MAX_MS = 30 * 24 * 3600 * 1000;
/** Statements that wait for one peer in one shard: the oldest give way. */
export const OUTBOX_ROWS_MAX = 20_000;
/** A statement that a peer does not take now is offered again so often. */
export const REFUSALS_MAX = 12;

export interface OutboxRow {
  number: number;
  id: Hash;
}

/** How a peer answers, as one shard sees it. */
export interface PeerReport {
  peer: string;
  waiting: number;
  /** When it last answered, and when it last failed to, milliseconds. */
  answeredMs: number | null;
  failedMs: number | null;
}

/** A statement about a name. */
export function queueForPeers(
  sql: SqlStorage,
  peers: readonly string[],
  { id, nameHash }: { id: Hash; nameHash: Hash },
  nowMs: number,
): void {
  for (const peer of peers) {
    sql.exec(
      "INSERT INTO outbox (peer, id, name_hash, at, attempts, due) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING",
      peer,
      id,
      nameHash,
      nowMs,
      nowMs,
    );
  }
}

/** What is due for a peer, oldest first. */
export function dueRows(sql: SqlStorage, peer: string, limit: number, nowMs: number): OutboxRow[] {
  return sql
    .exec<{ number: number; id: Hash }>(
      "SELECT number, id FROM outbox WHERE peer = ? AND due <= ? ORDER BY number LIMIT ?",
      peer,
      nowMs,
      limit,
    )
    .toArray();
}

export function removeRow(sql: SqlStorage, { number }: OutboxRow): void {
  sql.exec("DELETE FROM outbox WHERE number = ?", number);
}

/** The peer did not take it now: it is offered again later, or no more. */
export function postponeRow(sql: SqlStorage, { number }: OutboxRow, nowMs: number): void {
  sql.exec("DELETE FROM outbox WHERE number = ? AND attempts >= ?", number, REFUSALS_MAX);
  const [row] = sql
    .exec<{ attempts: number }>(
      "UPDATE outbox SET attempts = attempts + 1 WHERE number = ? RETURNING attempts",
      number,
    )
    .toArray();
  if (row !== undefined)
    sql.exec("UPDATE outbox SET due = ? WHERE number = ?", nowMs + retryMs(row.attempts), number);
}

/** Lets go of what is too old or too much, and of what is for edges that are peers no longer. */
export function trimOutbox(sql: SqlStorage, peers: readonly string[], nowMs: number): void {
  const known = JSON.stringify(peers);
  sql.exec("DELETE FROM outbox WHERE at < ?", nowMs - OUTBOX_AGE_MAX_MS);
  sql.exec("DELETE FROM outbox WHERE peer NOT IN (SELECT value FROM json_each(?))", known);
  sql.exec("DELETE FROM peers WHERE peer NOT IN (SELECT value FROM json_each(?))", known);
  for (const peer of peers) {
    sql.exec(
      `DELETE FROM outbox WHERE number IN
         (SELECT number FROM outbox WHERE peer = ? ORDER BY number DESC LIMIT -1 OFFSET ${OUTBOX_ROWS_MAX})`,
      peer,
    );
  }
}

export function notePeerAnswer(sql: SqlStorage, peer: string, nowMs: number): void {
  sql.exec(
    `INSERT INTO peers (peer, answered, failed, attempts, due) VALUES (?, ?, NULL, 0, 0)
     ON CONFLICT DO UPDATE SET answered = excluded.answered, attempts = 0, due = 0`,
    peer,
    nowMs,
  );
}

/** It is left alone for a while, the longer the more often it has failed in a row. */
export function notePeerFailure(sql: SqlStorage, peer: string, nowMs: number): void {
  const [row] = sql
    .exec<{ attempts: number }>(
      `INSERT INTO peers (peer, answered, failed, attempts, due) VALUES (?, NULL, ?, 1, 0)
       ON CONFLICT DO UPDATE SET failed = excluded.failed, attempts = attempts + 1 RETURNING attempts`,
      peer,
      nowMs,
    )
    .toArray();
  sql.exec("UPDATE peers SET due = ? WHERE peer = ?", nowMs + retryMs(row?.attempts ?? 1), peer);
}

/** When there is something to give to a peer next, milliseconds; null: nothing waits for it. */
export function nextDueMs(sql: SqlStorage, peer: string): number | null {
  const [row] = sql
    .exec<{ due: number | null }>(
      `SELECT MAX(MIN(due), COALESCE((SELECT due FROM peers WHERE peer = ?), 0)) AS due
       FROM outbox WHERE peer = ?`,
      peer,
      peer,
    )
    .toArray();
  return row?.due ?? null;
}

export function peerReports(sql: SqlStorage): PeerReport[] {
  return sql
    .exec<{ peer: string; waiting: number; answered: number | null; failed: number | null }>(
      `SELECT p.peer, p.answered, p.failed, (SELECT COUNT(*) FROM outbox o WHERE o.peer = p.peer) AS waiting FROM peers p
       UNION ALL SELECT o.peer, NULL, NULL, COUNT(*) FROM outbox o
         WHERE NOT EXISTS (SELECT 1 FROM peers p WHERE p.peer = o.peer) GROUP BY o.peer`,
    )
    .toArray()
    .map(({ answered, failed, ...row }) => ({ ...row, answeredMs: answered, failedMs: failed }));
}

function retryMs(attempts: number): number {
  return Math.min(PEER_RETRY_MAX_MS, PEER_RETRY_MIN_MS * 2 ** (attempts - 1));
}
