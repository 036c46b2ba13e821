// Every call that a PartitionShard takes, and in which role it answers it. A shard that was split answers none for what its
// children serve now, and goes on with its other roles; one that is not yet in its parent's place takes it before it answers.

import type { DurableObject } from "cloudflare:workers";
import { type MovedAnswer, movedShard } from "./moved.ts";
import type { PartitionShard } from "./partition-shard.ts";

/**
 * leaf: for the hashes that it serves. member: as a leaf, or as a shard above one, which the last argument says. root: as the
 * one shard of the whole edge. split: whatever its state.
 */
export type Role = "leaf" | "member" | "root" | "split";
/** In which place of a node's shards one is told or asked of it. */
export type Place = "leaf" | "above";

const ROLES = {
  write: "leaf",
  plan: "leaf",
  charged: "leaf",
  recordTotals: "leaf",
  usage: "leaf",
  recordKeepers: "leaf",
  keepers: "leaf",
  locate: "leaf",
  loseHolders: "leaf",
  lookAt: "leaf",
  kept: "leaf",
  noteChecks: "leaf",
  suspect: "leaf",
  noteSights: "leaf",
  nodeRecord: "leaf",
  needed: "leaf",
  endedBy: "leaf",
  endUses: "leaf",
  takeInventory: "leaf",
  claim: "leaf",
  append: "leaf",
  keptStatements: "leaf",
  restore: "leaf",
  newestHead: "leaf",
  bundles: "leaf",
  bundlesOf: "leaf",
  noteElsewhere: "leaf",
  listName: "leaf",
  newest: "leaf",
  head: "leaf",
  findStatement: "leaf",
  statement: "leaf",
  version: "leaf",
  remove: "leaf",
  noteDnssec: "leaf",
  putRecords: "member",
  putMember: "member",
  members: "member",
  closest: "member",
  pledges: "root",
  birthOf: "root",
  noteBehind: "root",
  report: "root",
  network: "root",
  changeDenials: "root",
  denialsSince: "root",
  takeStatement: "root",
  noteSplit: "root",
  noteInventory: "root",
  shards: "root",
  split: "split",
  receive: "split",
  takeOver: "split",
  handOver: "split",
} as const satisfies Record<ShardMethod, Role>;

export const SHARD_ROLES: Readonly<Record<ShardMethod, Role>> = ROLES;

/** What can be called from outside. */
export type ShardMethod = {
  [Name in Exclude<keyof PartitionShard, keyof DurableObject>]: PartitionShard[Name] extends (
    ...args: never[]
  ) => Promise<unknown>
    ? Name
    : never;
}[Exclude<keyof PartitionShard, keyof DurableObject>];
export type LeafMethod = {
  [Name in ShardMethod]: (typeof ROLES)[Name] extends "leaf" | "member" ? Name : never;
}[ShardMethod];

/**
 * Puts `admit` in front of every method that answers as a leaf: it throws `moved` where the shard is none, or returns what to
 * wait for. That, or a write that came too late, is answered as a value.
 */
export function guardLeafRole<Shard extends object>(
  prototype: Shard,
  admit: (shard: Shard) => Promise<void> | null,
): void {
  for (const [name, role] of Object.entries(SHARD_ROLES)) {
    if (role !== "leaf" && role !== "member") continue;
    const method = Reflect.get(prototype as object, name);
    const value = async function (this: Shard, ...args: unknown[]): Promise<unknown> {
      const isAbove = role === "member" && args.at(-1) === ("above" satisfies Place);
      try {
        const waiting = isAbove ? null : admit(this);
        // Without a wait of its own: what a method does before its first one follows its admission at once.
        if (waiting !== null) await waiting;
        return await Reflect.apply(method, this, args);
      } catch (error) {
        const moved = movedShard(error);
        if (moved === null) throw error;
        return { moved } satisfies MovedAnswer;
      }
    };
    Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  }
}
