// What a shard must know of itself after an eviction: a few texts by name.

export function readSetting(sql: SqlStorage, key: string): string | null {
  const [row] = sql.exec<{ value: string }>("SELECT value FROM settings WHERE key = ?", key).toArray();
  return row?.value ?? null;
}

export function removeSetting(sql: SqlStorage, key: string): void {
  sql.exec("DELETE FROM settings WHERE key = ?", key);
}

export function writeSetting(sql: SqlStorage, key: string, value: string): void {
  sql.exec(
    "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
    key,
    value,
  );
}
