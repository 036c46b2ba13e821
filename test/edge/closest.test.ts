// The k closest against a count of all members: exact, in three calls at most, at any depth and with full shards above; and what
// a join, a leave and a flap write.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IndexClient } from "../../durable-objects/index-client.ts";
import type { PartitionShard } from "../../durable-objects/partition-shard.ts";
import { encodeHash, type Hash, type NodeId } from "../../lib/hash.ts";
import { closestTo, K } from "../../lib/overlay/distance.ts";
import { ANCESTOR_MEMBERS_MAX, leafPrefix } from "../../lib/overlay/shards.ts";
import { hashIn, hashOf } from "./split-scene.ts";
import { memberReport } from "./test-rows.ts";

const CALLS_MAX = 3;
const anyHash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(encodeHash);

/** An edge of another depth, with shards of its own, that counts the calls to them. */
function edgeOf(depth: number, label: string) {
  const calls: string[] = [];
  const getByName = (name: string) => {
    const shard: object = env.PARTITION_SHARD.getByName(`${name}~${label}`);
    const get = (_: object, method: string) => {
      return (...args: unknown[]) => {
        calls.push(name);
        return Reflect.apply(Reflect.get(shard, method), shard, args);
      };
    };
    return new Proxy({}, { get });
  };
  const shards = { getByName } as unknown as DurableObjectNamespace<PartitionShard>;
  const index = new IndexClient({ ...env, SHARD_DEPTH: String(depth), PARTITION_SHARD: shards });
  return { calls, index, at: (name: string) => env.PARTITION_SHARD.getByName(`shard-${name}~${label}`) };
}

type Edge = ReturnType<typeof edgeOf>;

async function join(edge: Edge, ids: readonly NodeId[], online = true): Promise<void> {
  for (let i = 0; i < ids.length; i += 100)
    await Promise.all(ids.slice(i, i + 100).map((id) => edge.index.putMember(memberReport(id, { online }))));
}

async function expectExact(edge: Edge, online: readonly NodeId[], target: Hash): Promise<void> {
  edge.calls.length = 0;
  const found = (await edge.index.closest(target)).map(({ id }) => id);
  expect(found).toEqual(closestTo(target, online, (id) => id, K));
  expect(edge.calls.length).toBeLessThanOrEqual(CALLS_MAX);
}

/** Nodes whose ids crowd in some places and are rare in others. */
function nodesAmong(count: number): NodeId[] {
  const prefixes = ["00101", "010", "01011", "1100110011", "1100110010", "0000000000"];
  return Array.from({ length: count }, (_, i) => {
    return hashIn(prefixes[i % prefixes.length] ?? "", `node ${i}`) as NodeId;
  });
}

describe.each([0, 4, 10])("at depth %i", (depth) => {
  test("the closest are exact, in three calls at most, whoever is online", async () => {
    const edge = edgeOf(depth, `d${depth}`);
    const nodes = nodesAmong(900);
    await join(edge, nodes);
    const gone = nodes.filter((_, i) => i % 3 === 0);
    await join(edge, gone, false);
    const online = nodes.filter((_, i) => i % 3 !== 0);
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyHash, fc.constantFrom(...nodes)), (target) =>
        expectExact(edge, online, target),
      ),
      { numRuns: 40, endOnFailure: true },
    );
  });

  test("a join, a leave and a flap write one row in each of three shards at most, however many there are", async () => {
    const edge = edgeOf(depth, `d${depth}`);
    const id = hashOf(`one more at ${depth}`) as NodeId;
    for (const [epoch, online] of [
      [1, true],
      [1, false],
      [2, true],
    ] as const) {
      edge.calls.length = 0;
      await edge.index.putMember(memberReport(id, { online, epoch }));
      expect(new Set(edge.calls).size).toBe(edge.calls.length);
      expect(edge.calls.length).toBeLessThanOrEqual(CALLS_MAX);
    }
    const rows = await runInDurableObject(edge.at(""), (_, { storage: { sql } }) =>
      sql.exec("SELECT 1 FROM members WHERE id = ?", id).toArray(),
    );
    expect(rows).toHaveLength(1);
  });
});

describe.each([4, 10])("at depth %i, with a full root shard", (depth) => {
  test("nodes in places with few are all known there, and the closest are exact beside a crowd", async () => {
    const edge = edgeOf(depth, `full${depth}`);
    const crowd = await fillRoot(edge, depth);
    const others = Array.from({ length: 60 }, (_, i) => hashIn("1", `other ${i}`) as NodeId);
    await join(edge, others);
    const online = [...crowd, ...others];
    const counted = await runInDurableObject(edge.at(""), (_, { storage: { sql } }) =>
      sql.exec<{ rows: number }>("SELECT COUNT(*) AS rows FROM members").one(),
    );
    expect(counted.rows).toBe(ANCESTOR_MEMBERS_MAX);
    for (const target of [
      ...others.slice(0, 10),
      ...crowd.slice(0, 5),
      hashIn("0", "t"),
      hashIn("0101010100", "t"),
    ])
      await expectExact(edge, online, target);
    // One more of the crowd has no place there, and is found all the same.
    const late = hashIn("0101010101", "late") as NodeId;
    await join(edge, [late]);
    await expectExact(edge, [...online, late], late);
  });
});

/** Nodes of one partition, as many as the root shard takes: known to it and to their own shard. */
async function fillRoot(edge: Edge, depth: number): Promise<NodeId[]> {
  const prefix = leafPrefix("5".repeat(64) as Hash, depth);
  const ids = Array.from(
    { length: ANCESTOR_MEMBERS_MAX },
    (_, i) => `555${i.toString(16).padStart(8, "0")}${"7".repeat(53)}` as NodeId,
  );
  for (const name of ["", prefix]) {
    await runInDurableObject(edge.at(name), (_, { storage: { sql } }) => {
      sql.exec(
        `INSERT INTO members (id, key, failure_domain, domains, pledged_bytes, free_bytes, online, epoch, since)
         SELECT value, 'key', value, '"all"', 1, 1, 1, 1, 1 FROM json_each(?)`,
        JSON.stringify(ids),
      );
    });
  }
  return ids;
}
