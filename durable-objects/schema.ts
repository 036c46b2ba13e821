// The tables of a PartitionShard and of a NodeLink, as append-only lists of migrations: an entry, once released, is
// never changed. Hashes and ids are text of 64 hex digits, whose order is their bytewise order.

const SHARD_MIGRATIONS = [
  `-- Versions of names whose Name Hash is in this shard, and the shard's copies of their Manifests.
   CREATE TABLE versions (
     id TEXT PRIMARY KEY,
     name_hash TEXT NOT NULL,
     domain TEXT NOT NULL,
     name TEXT,
     sequence INTEGER NOT NULL,
     previous TEXT,
     time TEXT NOT NULL,
     expires TEXT,
     manifest TEXT NOT NULL,
     size INTEGER NOT NULL,
     author TEXT NOT NULL,
     key TEXT NOT NULL,
     bytes BLOB NOT NULL,
     signature TEXT NOT NULL,
     witness BLOB NOT NULL,
     witness_signature TEXT NOT NULL,
     accepted_at INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX versions_newest ON versions (name_hash, domain, sequence DESC, time DESC, id DESC);
   CREATE INDEX versions_accepted ON versions (accepted_at DESC);
   CREATE TABLE manifests (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;

   -- Where to find a statement of which only the id is known: ids in this shard.
   CREATE TABLE statement_index (
     id TEXT PRIMARY KEY, name_hash TEXT NOT NULL, domain TEXT NOT NULL
   ) WITHOUT ROWID;

   -- Chunks in this shard: who holds them, what needs them, and what keeps them for now.
   CREATE TABLE holders (
     chunk TEXT NOT NULL, node TEXT NOT NULL, size INTEGER NOT NULL, since INTEGER NOT NULL,
     PRIMARY KEY (chunk, node)
   ) WITHOUT ROWID;
   CREATE TABLE refs (
     chunk TEXT NOT NULL, manifest TEXT NOT NULL, domain TEXT NOT NULL,
     PRIMARY KEY (chunk, manifest, domain)
   ) WITHOUT ROWID;
   CREATE TABLE pins (
     chunk TEXT NOT NULL, domain TEXT NOT NULL, until INTEGER NOT NULL,
     PRIMARY KEY (chunk, domain)
   ) WITHOUT ROWID;
   CREATE INDEX pins_until ON pins (until);

   -- Home nodes that are members of this shard. epoch orders what is said about a node.
   CREATE TABLE members (
     id TEXT PRIMARY KEY,
     key TEXT NOT NULL,
     url TEXT,
     failure_domain TEXT NOT NULL,
     domains TEXT NOT NULL,
     pledged_bytes INTEGER NOT NULL,
     free_bytes INTEGER NOT NULL,
     online INTEGER NOT NULL,
     epoch INTEGER NOT NULL,
     since INTEGER NOT NULL
   ) WITHOUT ROWID;

   -- Kept by the root shard only: what each shard last reported upward.
   CREATE TABLE reports (prefix TEXT PRIMARY KEY, report TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;

   -- What this shard must know of itself after an eviction.
   CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`,

  "DROP INDEX pins_until;",

  `-- By what right a Version was signed: the domain's key, an author's own, or a delegation by the domain (NULL) or an
   -- author. And what was taken back: such Versions stay as they are, and are not served.
   ALTER TABLE versions ADD COLUMN right_by TEXT NOT NULL DEFAULT 'domain-key';
   ALTER TABLE versions ADD COLUMN right_from TEXT;
   ALTER TABLE versions ADD COLUMN delegation BLOB;
   ALTER TABLE versions ADD COLUMN delegation_signature TEXT;
   ALTER TABLE versions ADD COLUMN removed_by TEXT;
   CREATE TABLE removals (
     id TEXT PRIMARY KEY,
     name_hash TEXT NOT NULL,
     domain TEXT NOT NULL,
     author TEXT NOT NULL,
     right_by TEXT NOT NULL,
     bytes BLOB NOT NULL,
     signature TEXT NOT NULL,
     witness BLOB NOT NULL,
     witness_signature TEXT NOT NULL,
     delegation BLOB,
     delegation_signature TEXT,
     accepted_at INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX removals_name ON removals (name_hash, domain);`,
  `-- TXT names whose hash is in this shard that were seen validated by DNSSEC, and when last.
   CREATE TABLE dnssec (name TEXT PRIMARY KEY, seen_at INTEGER NOT NULL) WITHOUT ROWID;`,

  `-- Kept by the root shard only: what operators have blocked, and the statements by which they said so lately.
   CREATE TABLE denials (
     hash TEXT PRIMARY KEY, subject TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,
     at INTEGER NOT NULL, sequence INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX denials_sequence ON denials (sequence);
   CREATE TABLE operator_statements (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;`,

  `-- What domains are charged for here, and its sums; then, of domains in this shard, the sums of all shards.
   CREATE TABLE charges (
     chunk TEXT NOT NULL, domain TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (chunk, domain)
   ) WITHOUT ROWID;
   CREATE TABLE domain_totals (
     domain TEXT PRIMARY KEY, bytes INTEGER NOT NULL, chunks INTEGER NOT NULL, sequence INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE ledger (
     domain TEXT NOT NULL, shard TEXT NOT NULL, bytes INTEGER NOT NULL, chunks INTEGER NOT NULL,
     sequence INTEGER NOT NULL, PRIMARY KEY (domain, shard)
   ) WITHOUT ROWID;
   INSERT INTO charges SELECT r.chunk, r.domain, MAX(h.size) FROM refs r JOIN holders h ON h.chunk = r.chunk
     GROUP BY r.chunk, r.domain;
   INSERT INTO domain_totals SELECT domain, SUM(size), COUNT(*), 1 FROM charges GROUP BY domain;`,

  `-- What has to be done later: durable-objects/duties.ts.
   CREATE TABLE duties (name TEXT PRIMARY KEY, due INTEGER NOT NULL) WITHOUT ROWID;

   -- References say for which name they are, on how many failure domains the chunk is to be (copies), which Manifest or
   -- part lists it where it is of a stripe (listed_in), and since when. A reference from before then has no name: nobody
   -- can tell that it has ended.
   CREATE TABLE named_refs (
     chunk TEXT NOT NULL, domain TEXT NOT NULL, name_hash TEXT NOT NULL, manifest TEXT NOT NULL,
     copies INTEGER NOT NULL, listed_in TEXT, since INTEGER NOT NULL,
     PRIMARY KEY (chunk, domain, name_hash, manifest)
   ) WITHOUT ROWID;
   INSERT INTO named_refs SELECT chunk, domain, '', manifest, 1, NULL, 0 FROM refs;
   DROP TABLE refs;
   ALTER TABLE named_refs RENAME TO refs;

   -- When a holder last gave the chunk to whoever checked it; 0: never.
   ALTER TABLE holders ADD COLUMN checked INTEGER NOT NULL DEFAULT 0;
   -- Chunks that are on fewer failure domains than they should be, as far as this shard has seen.
   CREATE TABLE repairs (
     chunk TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL,
     detail TEXT NOT NULL
   ) WITHOUT ROWID;

   -- What a node says beside its pledge, and what is known of it: when it was first seen, until when it is away on
   -- purpose, whether it is leaving, when it lost its disk, how it stands (0 to 1), and what its volunteer wants to be called.
   ALTER TABLE members ADD COLUMN first_seen INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE members ADD COLUMN away_until INTEGER;
   ALTER TABLE members ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE members ADD COLUMN lost_at INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE members ADD COLUMN standing REAL NOT NULL DEFAULT 1;
   ALTER TABLE members ADD COLUMN name TEXT;
   ALTER TABLE members ADD COLUMN hours TEXT;

   -- A node's leaf shard: how the node did when it was checked, and what it has carried.
   CREATE TABLE standings (
     node TEXT PRIMARY KEY, passed REAL NOT NULL, failed REAL NOT NULL, unreachable REAL NOT NULL, at INTEGER NOT NULL,
     events TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE node_ledger (
     node TEXT PRIMARY KEY, chunk_hours REAL NOT NULL, served_bytes INTEGER NOT NULL, taken_bytes INTEGER NOT NULL,
     online_ms INTEGER NOT NULL, since INTEGER NOT NULL, at INTEGER NOT NULL
   ) WITHOUT ROWID;`,

  `-- Holders that clients complained of: they are audited next.
   CREATE TABLE suspects (
     chunk TEXT NOT NULL, node TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (chunk, node)
   ) WITHOUT ROWID;
   -- Audits in all, and when the node was last told how it stands.
   ALTER TABLE standings ADD COLUMN audits_passed INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE standings ADD COLUMN audits_failed INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE standings ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
   -- A node's leaf shard: which shards list how many chunks of the node, as their audits said last.
   CREATE TABLE node_shards (
     node TEXT NOT NULL, shard TEXT NOT NULL, chunks INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (node, shard)
   ) WITHOUT ROWID;
   -- Online time is kept with the member, in each of its shards.
   ALTER TABLE node_ledger DROP COLUMN online_ms;
   ALTER TABLE members ADD COLUMN online_ms INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE members ADD COLUMN chunks INTEGER;
   ALTER TABLE members ADD COLUMN shards INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE members ADD COLUMN served_bytes INTEGER NOT NULL DEFAULT 0;`,
  `-- When these tables were made and since when they are complete (durable-objects/birth.ts), the sequence of a domain's
   -- sum that the ledger has, and how to find the Versions that need a Manifest. What there is to collect is looked for.
   INSERT INTO settings (key, value) SELECT 'born-at', '0' WHERE EXISTS (SELECT 1 FROM holders)
     OR EXISTS (SELECT 1 FROM versions) OR EXISTS (SELECT 1 FROM reports);
   INSERT INTO settings (key, value) SELECT 'made-at',
     CASE WHEN EXISTS (SELECT 1 FROM reports) THEN '0' ELSE CAST(strftime('%s', 'now') AS TEXT) || '000' END;
   ALTER TABLE domain_totals ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
   CREATE INDEX domain_totals_untold ON domain_totals (domain) WHERE told < sequence;
   CREATE INDEX versions_manifest ON versions (name_hash, domain, manifest) WHERE removed_by IS NULL;
   INSERT INTO duties SELECT 'collect', 1 WHERE EXISTS (SELECT 1 FROM refs WHERE name_hash <> '');`,
  `-- Which nodes keep a domain's chunks. In the chunks' shards, what was told of it; in the domain's, what they told.
   CREATE TABLE keepers_told (
     domain TEXT PRIMARY KEY, sequence INTEGER NOT NULL, at INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE keepers (
     domain TEXT NOT NULL, shard TEXT NOT NULL, keepers TEXT NOT NULL, PRIMARY KEY (domain, shard)
   ) WITHOUT ROWID;`,
  `-- Kept by the root shard only: how far each node's link has come with what the node keeps.
   CREATE TABLE inventories (
     node TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER, statements_listed INTEGER NOT NULL,
     statements_taken INTEGER NOT NULL, waiting INTEGER NOT NULL, refused TEXT NOT NULL, chunks_listed INTEGER NOT NULL,
     chunks_taken INTEGER NOT NULL
   ) WITHOUT ROWID;
   -- Holders that only say that they hold a chunk (checked is CLAIMED): few, but after an index was lost.
   CREATE INDEX holders_claimed ON holders (chunk, node) WHERE checked = -2;`,
  `-- Statements of names in this shard that peers are to be given, in the order in which they came; how each peer answers; and
   -- Versions that peers told of, and that could not be taken in.
   CREATE TABLE outbox (
     number INTEGER PRIMARY KEY, peer TEXT NOT NULL, id TEXT NOT NULL, name_hash TEXT NOT NULL, at INTEGER NOT NULL,
     attempts INTEGER NOT NULL, due INTEGER NOT NULL, UNIQUE (peer, id)
   );
   CREATE TABLE peers (
     peer TEXT PRIMARY KEY, answered INTEGER, failed INTEGER, attempts INTEGER NOT NULL, due INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE elsewhere (
     name_hash TEXT NOT NULL, domain TEXT NOT NULL, id TEXT NOT NULL, peer TEXT NOT NULL, sequence INTEGER NOT NULL,
     at INTEGER NOT NULL, PRIMARY KEY (name_hash, domain, id, peer)
   ) WITHOUT ROWID;`,
  `-- While this shard is copied to its children: the keys of rows that changed, as JSON, and how often.
   CREATE TABLE split_changes (
     tbl TEXT NOT NULL, key TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (tbl, key)
   ) WITHOUT ROWID;
   -- Of sums that no ledger has heard of since this shard's parent was split: which part they were of the parent's.
   CREATE TABLE total_origins (
     domain TEXT PRIMARY KEY, shard TEXT NOT NULL, bytes INTEGER NOT NULL, chunks INTEGER NOT NULL,
     is_whole INTEGER NOT NULL
   ) WITHOUT ROWID;
   -- Kept by the root shard only: the shards that are split, and how far those are that are being copied.
   CREATE TABLE splits (
     prefix TEXT PRIMARY KEY, is_split INTEGER NOT NULL, copied INTEGER NOT NULL, rows INTEGER NOT NULL, at INTEGER NOT NULL
   ) WITHOUT ROWID;
   -- A shard above others: partitions of which it has turned members away.
   CREATE TABLE crowded (partition INTEGER PRIMARY KEY);`,
  `-- Kept by the root shard only: by which report a shard says what nodes have brought back to it.
   CREATE TABLE behind (prefix TEXT PRIMARY KEY, report INTEGER NOT NULL) WITHOUT ROWID;`,
];

const LINK_MIGRATIONS = [
  `CREATE TABLE link (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     node TEXT NOT NULL,
     epoch INTEGER NOT NULL,
     member TEXT
   );`,
  `-- What has to be done later: durable-objects/duties.ts. And the digests of what the node holds that was last agreed on.
   CREATE TABLE duties (name TEXT PRIMARY KEY, due INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE inventory (one INTEGER PRIMARY KEY CHECK (one = 1), partitions BLOB NOT NULL);`,
  `-- The same of its statements; and where a walk over either is: towards which digests, how many partitions are done, after which
   -- hash of the next one, and how much of that one is left open. What came of it so far: durable-objects/sync-progress.ts.
   CREATE TABLE inventory_walks (
     kind TEXT PRIMARY KEY, agreed BLOB NOT NULL, wanted BLOB, done INTEGER NOT NULL, after TEXT, open INTEGER NOT NULL
   ) WITHOUT ROWID;
   INSERT INTO inventory_walks SELECT 'chunks', partitions, NULL, 0, NULL, 0 FROM inventory;
   DROP TABLE inventory;
   CREATE TABLE sync_progress (one INTEGER PRIMARY KEY CHECK (one = 1), progress TEXT NOT NULL);`,
];

export function migrateShard(storage: DurableObjectStorage): void {
  migrate(storage, SHARD_MIGRATIONS);
}

export function migrateLink(storage: DurableObjectStorage): void {
  migrate(storage, LINK_MIGRATIONS);
}

function migrate(storage: DurableObjectStorage, migrations: string[]): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)");
  const done = Number(sql.exec("SELECT COALESCE(MAX(version), 0) AS version FROM migrations").one().version);
  migrations.slice(done).forEach((statements, i) => {
    storage.transactionSync(() => {
      sql.exec(statements);
      sql.exec("INSERT INTO migrations (version) VALUES (?)", done + i + 1);
    });
  });
}
