// A shard's rows about Removals: the statements, and which Versions they have taken back. A Removal may come before the
// Version that it names, so each is held against the other whichever comes second.

import type { Right } from "../lib/authority.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { mayRemove, REMOVALS_PER_NAME_MAX, type Removal, removalKind, removes } from "../lib/removal.ts";
import { parseStatement } from "../lib/statement.ts";

/** Those of authors may not fill a name's list: the domain's must find room. */
const AUTHORS_REMOVALS_MAX = REMOVALS_PER_NAME_MAX / 2;

/** A verified Removal as it crosses from the Worker into the shard. */
export interface NewRemoval {
  id: Hash;
  nameHash: Hash;
  domain: Domain;
  author: string;
  right: Right["by"];
  bytes: Uint8Array<ArrayBuffer>;
  signature: string;
  witness: { bytes: Uint8Array<ArrayBuffer>; signature: string };
  delegation: { bytes: Uint8Array<ArrayBuffer>; signature: string } | null;
}

/** A Removal as the shard gives it back. */
export type StoredRemoval = Pick<NewRemoval, "id" | "bytes" | "signature" | "witness" | "delegation">;

/** What is said of an object that was taken back. */
export interface RemovalNotice {
  author: string;
  time: string;
  reason: string;
}

interface RemovalRow extends Record<string, SqlStorageValue> {
  id: Hash;
  author: string;
  right_by: Right["by"];
  bytes: ArrayBuffer;
  signature: string;
  witness: ArrayBuffer;
  witness_signature: string;
  delegation: ArrayBuffer | null;
  delegation_signature: string | null;
}

interface Name {
  domain: Domain;
  nameHash: Hash;
}

/** Where a Version stands that a Removal may name. */
interface Removable {
  id: Hash;
  sequence: number;
  author: string;
  right: Right["by"];
}

/**
 * Keeps a Removal and applies it; false if it was here already. One that this edge has witnessed may come before what it names.
 * Throws `not-found` or `quota-exceeded`.
 */
export function applyRemoval(
  sql: SqlStorage,
  removal: NewRemoval,
  acceptedMs: number,
  mayComeFirst = false,
): boolean {
  if (sql.exec("SELECT 1 FROM removals WHERE id = ?", removal.id).toArray().length > 0) return false;
  const body = parseStatement(removalKind, removal.bytes);
  const targets = versionsOf(sql, removal).filter((version) => takesBack(body, removal.right, version));
  if (targets.length === 0 && removal.right !== "domain-key" && !mayComeFirst) {
    throw new HoldfastError("not-found", `nothing that ${removal.author} published of this name is named`);
  }
  checkRoom(sql, removal);
  insertRemoval(sql, removal, acceptedMs);
  for (const { id } of targets)
    sql.exec("UPDATE versions SET removed_by = ? WHERE id = ? AND removed_by IS NULL", removal.id, id);
  return true;
}

/** The Removal here that takes back a Version which has just come; null where none does. */
export function removalOfNew(sql: SqlStorage, name: Name, version: Removable): Hash | null {
  const found = rowsOf(sql, name).find((row) =>
    takesBack(parseStatement(removalKind, new Uint8Array(row.bytes)), row.right_by, version),
  );
  return found?.id ?? null;
}

/** Those of the domain first, then as they came. */
export function listRemovals(sql: SqlStorage, name: Name): StoredRemoval[] {
  return rowsOf(sql, name).map(storedRemoval);
}

export function removalById(sql: SqlStorage, id: Hash): StoredRemoval | null {
  const [row] = sql.exec<RemovalRow>("SELECT * FROM removals WHERE id = ?", id).toArray();
  return row === undefined ? null : storedRemoval(row);
}

export function noticeOf(sql: SqlStorage, id: Hash): RemovalNotice | null {
  const row = removalById(sql, id);
  if (row === null) return null;
  const { author, time, reason } = parseStatement(removalKind, row.bytes);
  return { author, time, reason };
}

function takesBack(body: Removal, right: Right["by"], version: Removable): boolean {
  return removes(body, version) && mayRemove({ right, author: body.author }, version);
}

function versionsOf(sql: SqlStorage, { domain, nameHash }: Name): Removable[] {
  return sql
    .exec<{ id: Hash; sequence: number; author: string; right_by: Right["by"] }>(
      "SELECT id, sequence, author, right_by FROM versions WHERE name_hash = ? AND domain = ?",
      nameHash,
      domain,
    )
    .toArray()
    .map(({ right_by, ...row }) => ({ ...row, right: right_by }));
}

function checkRoom(sql: SqlStorage, removal: NewRemoval): void {
  const rows = rowsOf(sql, removal);
  const authors = rows.filter(({ right_by }) => right_by !== "domain-key").length;
  const isFull =
    removal.right === "domain-key"
      ? rows.length - authors >= REMOVALS_PER_NAME_MAX - AUTHORS_REMOVALS_MAX
      : authors >= AUTHORS_REMOVALS_MAX;
  if (isFull) {
    throw new HoldfastError(
      "quota-exceeded",
      "the name has as many Removals as can be kept: remove through a sequence, at one time",
    );
  }
}

function rowsOf(sql: SqlStorage, { domain, nameHash }: Name): RemovalRow[] {
  return sql
    .exec<RemovalRow>(
      `SELECT * FROM removals WHERE name_hash = ? AND domain = ?
       ORDER BY right_by = 'domain-key' DESC, accepted_at, id`,
      nameHash,
      domain,
    )
    .toArray();
}

function insertRemoval(sql: SqlStorage, removal: NewRemoval, acceptedMs: number): void {
  sql.exec(
    `INSERT INTO removals (id, name_hash, domain, author, right_by, bytes, signature, witness, witness_signature,
       delegation, delegation_signature, accepted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    removal.id,
    removal.nameHash,
    removal.domain,
    removal.author,
    removal.right,
    removal.bytes,
    removal.signature,
    removal.witness.bytes,
    removal.witness.signature,
    removal.delegation?.bytes ?? null,
    removal.delegation?.signature ?? null,
    acceptedMs,
  );
}

function storedRemoval(row: RemovalRow): StoredRemoval {
  return {
    id: row.id,
    bytes: new Uint8Array(row.bytes),
    signature: row.signature,
    witness: { bytes: new Uint8Array(row.witness), signature: row.witness_signature },
    delegation: storedDelegation(row),
  };
}

/** The delegation beside a statement, of a row that may have one. */
export function storedDelegation(row: {
  delegation: ArrayBuffer | null;
  delegation_signature: string | null;
}): { bytes: Uint8Array<ArrayBuffer>; signature: string } | null {
  const { delegation, delegation_signature: signature } = row;
  return delegation === null || signature === null ? null : { bytes: new Uint8Array(delegation), signature };
}
