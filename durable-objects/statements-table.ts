// Where to find a statement of which only the id is known: a shard's rows of the ids that are in it.

import type { Hash } from "../lib/hash.ts";
import type { Domain } from "../lib/names.ts";
import { execRows } from "./bulk.ts";

export interface StatementPlace {
  id: Hash;
  nameHash: Hash;
  domain: Domain;
}

export function indexStatements(sql: SqlStorage, places: readonly StatementPlace[]): void {
  execRows(
    sql,
    `INSERT INTO statement_index (id, name_hash, domain)
     SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true ON CONFLICT DO NOTHING`,
    places.map(({ id, nameHash, domain }) => [id, nameHash, domain]),
  );
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
