// Names with Versions, and their chunks' references, written as a publish writes them; time that has passed for them; and
// the collector's alarm.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { IndexClient } from "../../durable-objects/index-client.ts";
import type { NewRemoval } from "../../durable-objects/removals-table.ts";
import type { NewVersion } from "../../durable-objects/versions-table.ts";
import { encodeCanonical } from "../../lib/canonical-json.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import { encodeManifest } from "../../lib/manifest.ts";
import { type Domain, nameHashOf, parseDomain, parseName } from "../../lib/names.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";

export const HOUR_MS = 3_600_000;
const SHARDS = Array.from({ length: 16 }, (_, i) => i.toString(2).padStart(4, "0"));
const textBytes = (value: string) => new Uint8Array(new TextEncoder().encode(value));
export const hashOf = (value: string): Hash => hashBytes(textBytes(value));
export const index = new IndexClient(env);
export const shardOf = (hash: Hash) => env.PARTITION_SHARD.getByName(shardName(leafPrefix(hash, 4)));
const allShards = () => SHARDS.map((prefix) => env.PARTITION_SHARD.getByName(shardName(prefix)));

let domains = 0;
export const newDomain = (): Domain => parseDomain(`collected${++domains}.example.org`);
export const chunksOf = (label: string, count: number): Hash[] =>
  Array.from({ length: count }, (_, i) => hashOf(`${label} ${i}`));

/** One Version of a name, by what a publish would write of it. */
export class Publication {
  readonly domain: Domain;
  readonly chunks: Hash[];
  readonly sequence: number;
  readonly nameHash: Hash;
  readonly manifest: Hash;
  readonly id: Hash;
  readonly #name: ReturnType<typeof parseName>;
  readonly #previous: Hash | null;
  readonly #manifestBytes: Uint8Array<ArrayBuffer>;

  constructor(domain: Domain, nameText: string, chunks: Hash[], previous: Publication | null = null) {
    this.domain = domain;
    this.chunks = chunks;
    this.#name = parseName(nameText);
    this.#previous = previous?.id ?? null;
    this.sequence = (previous?.sequence ?? 0) + 1;
    this.nameHash = nameHashOf(domain, this.#name);
    this.#manifestBytes = manifestOf(chunks);
    this.manifest = hashBytes(this.#manifestBytes);
    this.id = hashOf(`${domain} ${nameText} ${this.sequence}`);
  }

  /** References, and holders where there are nodes. */
  async reference(...nodes: NodeId[]): Promise<Map<Hash, NodeId[]>> {
    const { domain, nameHash, manifest, chunks } = this;
    return index.write({
      held: nodes.flatMap((node) => chunks.map((chunk) => ({ chunk, node, sizeBytes: 100 }))),
      references: chunks.map((chunk) => ({ chunk, manifest, domain, nameHash, copies: 1, listedIn: null })),
      statements: [],
    });
  }

  async append(): Promise<string | undefined> {
    return (await index.append([this.#version()])).get(this.id)?.status;
  }

  async remove(): Promise<string | undefined> {
    const removal = this.#removal();
    return (await index.remove([removal])).get(removal.id)?.status;
  }

  /** What follows a Removal at once. */
  async endUses(): Promise<void> {
    await index.endUsesOf([this.#removal()]);
  }

  #version(): NewVersion {
    const { id, nameHash, domain, sequence, manifest } = this;
    return {
      ...{ id, nameHash, domain, name: this.#name, sequence, previous: this.#previous, manifest },
      ...{ time: "2026-01-01T00:00:00.000Z", expires: null, size: 1, author: `me@${domain}`, key: "key" },
      ...{ bytes: textBytes(`statement ${id}`), signature: "s", manifestBytes: this.#manifestBytes },
      witness: { bytes: textBytes("w"), signature: "s" },
      right: { by: "domain-key" },
      delegation: null,
    };
  }

  #removal(): NewRemoval {
    const { nameHash, domain } = this;
    const author = `me@${domain}`;
    const body = { type: "holdfast-removal-1", domain, nameHash, author, reason: "", versions: [this.id] };
    const bytes = encodeCanonical({ ...body, time: "2026-01-02T00:00:00.000Z" });
    return {
      ...{ id: hashBytes(bytes), nameHash, domain, author, right: "domain-key", bytes, signature: "s" },
      witness: { bytes: textBytes("w"), signature: "s" },
      delegation: null,
    };
  }
}

function manifestOf(chunks: Hash[]): Uint8Array<ArrayBuffer> {
  const head = {
    digest: hashOf("whole"),
    contentType: "text/plain",
    metadata: {},
    redundancy: { replicas: 1 },
  };
  const size = 100 * chunks.length;
  return encodeManifest({ ...head, size }, { chunks: chunks.map((hash) => ({ hash, size: 100 })) });
}

async function execute(shard: ReturnType<typeof shardOf>, statement: string, ...values: unknown[]) {
  return runInDurableObject(shard, (_, { storage }) => storage.sql.exec(statement, ...values).toArray());
}

/** All shards begin so much earlier, and so do references and pins. */
export async function passTime(ms: number): Promise<void> {
  for (const shard of allShards()) {
    // Only what has begun can be older.
    await shard.needed([]);
    await execute(shard, "UPDATE settings SET value = value - ? WHERE key = 'born-at'", ms);
    await execute(shard, "UPDATE refs SET since = since - ?", ms);
    await execute(shard, "UPDATE pins SET until = until - ?", ms);
  }
}

/** The shard is as young as one that has lost what it had before. */
export async function beReborn(hash: Hash): Promise<void> {
  await shardOf(hash).needed([]);
  await execute(shardOf(hash), "UPDATE settings SET value = ? WHERE key = 'born-at'", String(Date.now()));
}

/** Lets each shard collect to the end of its walk. */
export async function collectAll(): Promise<void> {
  for (const shard of allShards()) await collectIn(shard);
}

export async function collectIn(shard: ReturnType<typeof shardOf>): Promise<void> {
  do await ringCollector(shard);
  while ((await execute(shard, "SELECT 1 FROM settings WHERE key = 'collect-walk'")).length > 0);
}

/** One alarm, at which the collector is due where it is asked for at all. */
export async function ringCollector(shard: ReturnType<typeof shardOf>): Promise<void> {
  await execute(shard, "UPDATE duties SET due = 1 WHERE name = 'collect'");
  await runInDurableObject(shard, (_, { storage }) => storage.setAlarm(Date.now() + HOUR_MS));
  await runDurableObjectAlarm(shard);
}

export async function referencesTo(chunk: Hash): Promise<number> {
  return (await execute(shardOf(chunk), "SELECT 1 FROM refs WHERE chunk = ?", chunk)).length;
}

/** When the shard's collector is due, or null. */
export async function collectorDue(shard: ReturnType<typeof shardOf>): Promise<number | null> {
  const [row] = await execute(shard, "SELECT due FROM duties WHERE name = 'collect'");
  return row === undefined ? null : Number(row.due);
}
