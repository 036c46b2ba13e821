// Which shard serves a hash now, and calls to it: items are grouped by shard, each shard is called once, and where one answers
// `moved` its group is divided among its children and they are called. Which shards are split is remembered in the isolate.

import type { Hash, NodeId } from "../lib/hash.ts";
import {
  leafPrefix,
  membershipPrefixes,
  partitionPrefix,
  SHARD_DEPTH_MAX,
  type ShardPrefix,
  shardName,
} from "../lib/overlay/shards.ts";
import { isMoved, MovedError, movedShard } from "./moved.ts";
import type { PartitionShard } from "./partition-shard.ts";
import type { LeafMethod } from "./shard-roles.ts";

export type Shard = DurableObjectStub<PartitionShard>;
/** What the shard of one hash is asked, whichever that is when it is called. */
export type Leaf = Pick<Shard, LeafMethod>;

/** Shards that are known to be split: at most 2^SHARD_DEPTH_MAX - 1, and true for ever. */
const split = new Set<ShardPrefix>();

/** What this isolate has learned is forgotten, as in a new one. */
export function forgetSplits(): void {
  split.clear();
}

export class ShardRouter {
  readonly #shards: DurableObjectNamespace<PartitionShard>;
  readonly #depth: number;

  /** `depth`: of the shards that the edge began with. */
  constructor(shards: DurableObjectNamespace<PartitionShard>, depth: number) {
    this.#shards = shards;
    this.#depth = depth;
  }

  /** Whatever its state. */
  at(prefix: ShardPrefix): Shard {
    return this.#shards.getByName(shardName(prefix));
  }

  /** The shard that serves a hash, as far as it is known here. */
  prefixOf(hash: Hash): ShardPrefix {
    return this.#prefixOfBits(leafPrefix(hash, SHARD_DEPTH_MAX));
  }

  /** The shards above the one of a hash that keep its members, the nearest first. */
  above(id: Hash): ShardPrefix[] {
    return membershipPrefixes(id, this.prefixOf(id).length).slice(1);
  }

  /** Asks the shard of a hash. */
  ask<T>(hash: Hash, call: (shard: Shard, prefix: ShardPrefix) => Promise<T>): Promise<T> {
    return this.#askBits(leafPrefix(hash, SHARD_DEPTH_MAX), call);
  }

  prefixOfPartition(partition: number): ShardPrefix {
    return this.#prefixOfBits(partitionPrefix(partition, SHARD_DEPTH_MAX));
  }

  askPartition<T>(partition: number, call: (shard: Shard, prefix: ShardPrefix) => Promise<T>): Promise<T> {
    return this.#askBits(partitionPrefix(partition, SHARD_DEPTH_MAX), call);
  }

  /** Asks the shards of `items` at once, each for all of its own; their answers in no order. */
  async each<Item, T>(
    items: Iterable<Item>,
    hashOf: (item: Item) => Hash,
    call: (shard: Shard, group: Item[], prefix: ShardPrefix) => Promise<T>,
  ): Promise<T[]> {
    const groups = Map.groupBy(items, (item) => this.prefixOf(hashOf(item)));
    const answers = await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const answer = await this.#call(prefix, (shard) => call(shard, group, prefix));
        return answer === null ? this.each(group, hashOf, call) : [answer.value];
      }),
    );
    return answers.flat();
  }

  /** As `each`, where a shard answers for each item in the order of its group. */
  async eachItem<Item, T>(
    items: Iterable<Item>,
    hashOf: (item: Item) => Hash,
    call: (shard: Shard, group: Item[]) => Promise<T[]>,
  ): Promise<Map<Item, T>> {
    const answers = await this.each(items, hashOf, async (shard, group) => {
      const results = await call(shard, group);
      return group.flatMap((item, i): [Item, T][] => {
        const result = results[i];
        return result === undefined ? [] : [[item, result]];
      });
    });
    return new Map(answers.flat());
  }

  /** Tells every shard that keeps these nodes as members, each for all of its own. */
  async tellMemberships<Item>(
    items: Item[],
    idOf: (item: Item) => NodeId,
    tell: (shard: Shard, group: Item[], place: "leaf" | "above") => Promise<unknown>,
  ): Promise<void> {
    const above = new Map<ShardPrefix, Item[]>();
    for (const item of items)
      for (const prefix of this.above(idOf(item))) above.set(prefix, [...(above.get(prefix) ?? []), item]);
    const known = items.map((item) => this.prefixOf(idOf(item)));
    await Promise.all([
      this.each(items, idOf, (shard, group) => tell(shard, group, "leaf")),
      ...[...above].map(([prefix, group]) => tell(this.at(prefix), group, "above")),
    ]);
    // A leaf that has split since may stand above its children now.
    const moved = items.filter((item, i) => this.prefixOf(idOf(item)) !== known[i]);
    if (moved.length > 0) await this.tellMemberships(moved, idOf, tell);
  }

  /** The shard of a hash: each call goes where the hash is served then. */
  leafOf(hash: Hash): Leaf {
    const get = (_: Leaf, method: string) => {
      return (...args: unknown[]) =>
        this.ask(hash, async (shard: object) => Reflect.apply(Reflect.get(shard, method), shard, args));
    };
    return new Proxy<Leaf>({} as Leaf, { get });
  }

  async #askBits<T>(bits: string, call: (shard: Shard, prefix: ShardPrefix) => Promise<T>): Promise<T> {
    const prefix = this.#prefixOfBits(bits);
    const answer = await this.#call(prefix, (shard) => call(shard, prefix));
    return answer === null ? this.#askBits(bits, call) : answer.value;
  }

  /** Null where the shard is split, which is known from then on: so what asks again ends at SHARD_DEPTH_MAX. */
  async #call<T>(prefix: ShardPrefix, call: (shard: Shard) => Promise<T>): Promise<{ value: T } | null> {
    try {
      return { value: await call(this.#leafAt(prefix)) };
    } catch (error) {
      if (movedShard(error) !== prefix || prefix.length >= SHARD_DEPTH_MAX) throw error;
      split.add(prefix);
      return null;
    }
  }

  /** The shard, whose `moved` is thrown: no answer is taken for one that it is not. */
  #leafAt(prefix: ShardPrefix): Shard {
    const shard: object = this.at(prefix);
    const get = (_: Shard, method: string) => {
      return async (...args: unknown[]) => {
        const answer: unknown = await Reflect.apply(Reflect.get(shard, method), shard, args);
        if (isMoved(answer)) throw new MovedError(answer.moved);
        return answer;
      };
    };
    return new Proxy<Shard>({} as Shard, { get });
  }

  #prefixOfBits(bits: string): ShardPrefix {
    let prefix = bits.slice(0, this.#depth);
    while (split.has(prefix)) prefix = bits.slice(0, prefix.length + 1);
    return prefix;
  }
}
