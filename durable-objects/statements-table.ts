// Where to find a statement of which only the id is known: a shard's rows of the ids that are in it.

import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";

export interface StatementPlace {
  id: Hash;
  nameHash: Hash;
  domain: Domain;
}

export function indexStatements(sql: SqlStorage, places: StatementPlace[]): void {
  for (const { id, nameHash, domain } of places) {
    sql.exec(
      "INSERT INTO statement_index (id, name_hash, domain) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      id,
      nameHash,
      domain,
    );
  }
}

export function placeOfStatement(sql: SqlStorage, id: Hash): StatementPlace | null {
  const [row] = sql
    .exec<{ name_hash: Hash; domain: Domain }>(
      "SELECT name_hash, domain FROM statement_index WHERE id = ?",
      id,
    )
    .toArray();
  return row === undefined ? null : { id, nameHash: row.name_hash, domain: row.domain };
}
