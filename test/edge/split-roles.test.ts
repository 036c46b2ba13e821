// Whoever adds a method to PartitionShard or a table to its schema says what becomes of it when the shard is split.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { PartitionShard } from "../../durable-objects/partition-shard.ts";
import { SHARD_ROLES } from "../../durable-objects/shard-roles.ts";
import {
  CARRIED_TABLES,
  KEPT_TABLES,
  LEFT_TABLES,
  MOVED_TABLES,
} from "../../durable-objects/shard-tables.ts";
import { shardName } from "../../lib/overlay/shards.ts";
import { newLeaf, shardAt, splitShard } from "./split-scene.ts";

const methods = Object.getOwnPropertyNames(PartitionShard.prototype).filter(
  (name) => name !== "constructor" && name !== "alarm",
);

describe("the methods of a shard", () => {
  test("have a role each", () => {
    expect(methods.sort()).toEqual(Object.keys(SHARD_ROLES).sort());
  });

  const asLeaf = Object.entries(SHARD_ROLES).filter(([, role]) => role === "leaf" || role === "member");
  test("say `moved` where they answer as a leaf and the shard is split, before they look at what is asked", async () => {
    const prefix = newLeaf();
    await splitShard(prefix);
    const shard: object = shardAt(prefix);
    for (const [name] of asLeaf) {
      const answer = await Reflect.apply(Reflect.get(shard, name), shard, []);
      expect([name, answer]).toEqual([name, { moved: prefix }]);
    }
  });
});

test("every table of the schema is moved, carried, left or kept, and by its whole key", async () => {
  await runInDurableObject(env.PARTITION_SHARD.getByName(shardName("")), (_, { storage: { sql } }) => {
    const tables = sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray()
      .map(({ name }) => name);
    const listed = [
      ...MOVED_TABLES.map(({ name }) => name),
      ...CARRIED_TABLES,
      ...LEFT_TABLES,
      ...KEPT_TABLES,
    ];
    expect(tables.sort()).toEqual(listed.sort());
    for (const { name, key } of MOVED_TABLES) {
      const columns = sql
        .exec<{ name: string }>("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", name)
        .toArray();
      expect(columns.map((column) => column.name)).toEqual(key);
    }
  });
});
