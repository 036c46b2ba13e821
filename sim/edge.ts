// The edge's membership: which shards keep whom, how many calls a node's coming costs, and how many it takes to find the
// k nodes closest to a hash. Shards, limits and searches are lib's; here are counters.

import { type Hash, hashBytes, partitionOf } from "../lib/hash.ts";
import { K } from "../lib/overlay/distance.ts";
import { closestInRanges, closestInShards, type MemberPage } from "../lib/overlay/members.ts";
import {
  ANCESTOR_MEMBERS_MAX,
  leafPrefix,
  membershipPrefixes,
  partitionPrefix,
  SHARD_DEPTH_MAX,
  type ShardPrefix,
} from "../lib/overlay/shards.ts";
import type { Contact } from "./population.ts";
import { PrefixIndex } from "./prefix-index.ts";

export interface EdgeFigures {
  depth: number;
  /** Calls of shards by one look-up. */
  callsMean: number;
  callsMax: number;
  /** Share of the look-ups that named exactly the k closest of all members. */
  exact: number;
  /** Calls of shards by a node that comes, and rows that they write. */
  joinCalls: number;
  joinRows: number;
  /** Members of the fullest leaf and of the root. */
  leafMembers: number;
  rootMembers: number;
  /** The busiest shard's part of all calls by nodes that came, and by look-ups. */
  joinShare: number;
  lookupShare: number;
}

interface Shard {
  members: PrefixIndex<Contact>;
  /** Partitions of which it has turned members away. */
  crowded: Set<number>;
  joins: number;
  lookups: number;
}

export class EdgeMembership {
  readonly #depth: number;
  readonly #shards = new Map<ShardPrefix, Shard>();
  #nodes = 0;
  #rows = 0;

  constructor(depth = SHARD_DEPTH_MAX) {
    this.#depth = depth;
  }

  add(contact: Contact): void {
    this.#nodes += 1;
    for (const prefix of membershipPrefixes(contact.id, this.#depth)) {
      const shard = this.#shard(prefix);
      shard.joins += 1;
      if (prefix.length < this.#depth && shard.members.size >= ANCESTOR_MEMBERS_MAX) {
        shard.crowded.add(partitionOf(contact.id));
        continue;
      }
      shard.members.add(contact);
      this.#rows += 1;
    }
  }

  closest(target: Hash): Promise<Contact[]> {
    const leaf = leafPrefix(target, this.#depth);
    const asked = new Set([leaf]);
    return closestInShards<Contact>(target, K, {
      leaf: () => this.#ask(leaf, target),
      root: () => (leaf === "" ? null : this.#ask("", target)),
      crowd: (partition) => {
        const prefix = partitionPrefix(partition, this.#depth);
        if (asked.has(prefix)) return null;
        asked.add(prefix);
        return this.#ask(prefix, target);
      },
    });
  }

  async #ask(prefix: ShardPrefix, target: Hash): Promise<MemberPage<Contact>> {
    const shard = this.#shard(prefix);
    shard.lookups += 1;
    const members = closestInRanges<Contact>(
      target,
      K,
      ({ id }) => id,
      (idPrefix) => shard.members.inRange(idPrefix),
    );
    const at = partitionOf(target);
    const crowded = [...shard.crowded].sort((a, b) => (a ^ at) - (b ^ at));
    return { members, complete: shard.members.size === members.length && crowded.length === 0, crowded };
  }

  /** Looks up `lookups` hashes; `all` has everybody who was added. */
  async measure(lookups: number, all: PrefixIndex<Contact>): Promise<EdgeFigures> {
    let [exact, callsMax] = [0, 0];
    const calls = () => this.#sum(({ lookups }) => lookups);
    for (let i = 0; i < lookups; i++) {
      const target = hashBytes(new TextEncoder().encode(`looked up at an edge ${i}`));
      const before = calls();
      const found = await this.closest(target);
      callsMax = Math.max(callsMax, calls() - before);
      const right = all.closest(target, K);
      if (found.length === right.length && found.every((contact, at) => contact === right[at])) exact += 1;
    }
    const joins = this.#sum(({ joins }) => joins);
    const leaves = [...this.#shards].filter(([prefix]) => prefix.length === this.#depth);
    return {
      depth: this.#depth,
      ...{ callsMean: calls() / lookups, callsMax, exact: exact / lookups },
      ...{ joinCalls: joins / this.#nodes, joinRows: this.#rows / this.#nodes },
      leafMembers: Math.max(...leaves.map(([, { members }]) => members.size)),
      rootMembers: this.#shard("").members.size,
      joinShare: this.#most(({ joins }) => joins) / joins,
      lookupShare: this.#most(({ lookups }) => lookups) / calls(),
    };
  }

  #shard(prefix: ShardPrefix): Shard {
    const known = this.#shards.get(prefix);
    if (known !== undefined) return known;
    const shard = {
      members: new PrefixIndex<Contact>(ANCESTOR_MEMBERS_MAX),
      crowded: new Set<number>(),
      joins: 0,
      lookups: 0,
    };
    this.#shards.set(prefix, shard);
    return shard;
  }

  #sum(of: (shard: Shard) => number): number {
    return [...this.#shards.values()].reduce((sum, shard) => sum + of(shard), 0);
  }

  #most(of: (shard: Shard) => number): number {
    return [...this.#shards.values()].reduce((most, shard) => Math.max(most, of(shard)), 0);
  }
}
