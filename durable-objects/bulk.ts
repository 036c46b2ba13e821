// Many rows in one statement. Each call of `exec` crosses from JavaScript into SQLite and back, which takes longer than most of
// what a publish asks of it; and Durable Objects bind 100 parameters at most. So rows travel as one JSON text, which the
// statement takes apart by json_each.

/** Rows of one statement. Its text stays far below what a parameter may have: 2 MB. */
export const ROWS_PER_STATEMENT_MAX = 1000;

/**
 * Runs `statement` for `rows`, some at a time, and returns what it answers in all. The first parameter is a JSON list, for
 * json_each: an entry's columns are `value ->> 0` and so on. `more` are the parameters after it.
 */
export function execRows<T extends Record<string, SqlStorageValue>>(
  sql: SqlStorage,
  statement: string,
  rows: readonly unknown[],
  ...more: SqlStorageValue[]
): T[] {
  const answers: T[] = [];
  for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT_MAX) {
    const text = JSON.stringify(rows.slice(at, at + ROWS_PER_STATEMENT_MAX));
    for (const answer of sql.exec<T>(statement, text, ...more)) answers.push(answer);
  }
  return answers;
}
