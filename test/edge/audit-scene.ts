// Nodes that are said to hold chunks, and do or do not; and a shard's audits, made when the test says.

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { CHECK_FAILED } from "../../durable-objects/chunks-table.ts";
import { IndexClient } from "../../durable-objects/index-client.ts";
import type { Member } from "../../durable-objects/members-table.ts";
import type { PartitionShard } from "../../durable-objects/partition-shard.ts";
import { type Hash, hashBytes, type NodeId } from "../../lib/hash.ts";
import type { NodeRecord } from "../../lib/node-record.ts";
import { leafPrefix, shardName } from "../../lib/overlay/shards.ts";
import type { Registration } from "../../lib/registration.ts";
import { bodyOf, bytesOf, TestNode } from "./test-node.ts";

export const DEPTH = 4;
const HOUR_MS = 3_600_000;

export function shardOf(hash: string): DurableObjectStub<PartitionShard> {
  return env.PARTITION_SHARD.getByName(
    shardName(hash.length === DEPTH ? hash : leafPrefix(hash as Hash, DEPTH)),
  );
}

/** A node that registered and is listed for chunks; what it keeps of them the test says. */
export class AuditedNode {
  readonly node: TestNode;
  readonly kept = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly chunks: Hash[] = [];
  /** Requests for chunks that came. */
  asked: string[] = [];

  private constructor(node: TestNode) {
    this.node = node;
    node.answer(async ({ path }) => {
      this.asked.push(path);
      const bytes = this.kept.get(path);
      if (bytes === undefined) return { status: 404, headers: [], body: null };
      return { status: 200, headers: [], body: bodyOf(bytes) };
    });
  }

  get id() {
    return this.node.id;
  }

  static async create(changes: Partial<Registration> = {}): Promise<AuditedNode> {
    return new AuditedNode(await TestNode.registered(changes));
  }

  /** Is listed for `count` chunks and keeps them all. */
  async hold(count: number, seed: number, sizeBytes = 60): Promise<Hash[]> {
    const chunks = Array.from({ length: count }, (_, i) => bytesOf(sizeBytes + i, seed));
    const hashes = chunks.map((bytes) => {
      const hash = hashBytes(bytes);
      this.kept.set(`/chunk/${hash}`, bytes);
      return hash;
    });
    await this.claim(hashes);
    return hashes;
  }

  /** Is listed for chunks. */
  async claim(hashes: Hash[]): Promise<void> {
    this.chunks.push(...hashes);
    const held = hashes.map((chunk) => ({ chunk, node: this.id, sizeBytes: 60 }));
    await new IndexClient(env).write({ held, references: [], statements: [] });
  }

  drop(hash: Hash): void {
    this.kept.delete(`/chunk/${hash}`);
  }

  /** Gives other bytes from now on. */
  spoil(hash: Hash): void {
    this.kept.set(`/chunk/${hash}`, bytesOf(60, 250));
  }

  async member(): Promise<Member> {
    const [member] = await env.PARTITION_SHARD.getByName(shardName("")).members([this.id]);
    if (member === undefined) throw new Error("the root shard does not know the node");
    return member;
  }

  /** As its leaf shard would tell it. */
  record(): Promise<NodeRecord | null> {
    return shardOf(this.id).nodeRecord(this.id);
  }
}

/** The shards that list any of these chunks. */
export function shardsOf(hashes: readonly Hash[]): DurableObjectStub<PartitionShard>[] {
  return [...new Set(hashes.map((hash) => leafPrefix(hash, DEPTH)))].map((prefix) => shardOf(prefix));
}

/** One round of a shard's audits, as if the last one had been so long ago. */
export async function auditNow(
  shard: DurableObjectStub<PartitionShard>,
  elapsedMs = 6 * HOUR_MS,
): Promise<void> {
  await runInDurableObject(shard, (_, { storage }) => {
    storage.sql.exec("UPDATE duties SET due = ? WHERE name = 'audit'", Date.now());
    storage.sql.exec(
      "INSERT INTO settings (key, value) VALUES ('audited-at', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      String(Date.now() - elapsedMs),
    );
  });
  await runDurableObjectAlarm(shard);
}

/** What waits for repair there, and why. */
export function repairsOf(
  shard: DurableObjectStub<PartitionShard>,
): Promise<{ chunk: Hash; reason: string }[]> {
  return runInDurableObject(shard, (_, { storage }) =>
    storage.sql.exec<{ chunk: Hash; reason: string }>("SELECT chunk, reason FROM repairs").toArray(),
  );
}

/** When the node was last seen to hold the chunk; null where it counts as no holder. */
export async function checkedAt(chunk: Hash, node: NodeId): Promise<number | null> {
  const [holding] = await shardOf(chunk).locate([chunk]);
  const at = holding?.holders.indexOf(node) ?? -1;
  const checkedMs = at < 0 ? null : (holding?.checkedMs[at] ?? null);
  return checkedMs === CHECK_FAILED ? null : checkedMs;
}
