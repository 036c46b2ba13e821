// The edge's view of its index, for the worker and for shards that ask others: which shard to ask, one call to each, and
// short-lived copies of what the shards say about nodes. The only place that knows how Durable Objects are addressed.

import { waitUntil } from "cloudflare:workers";
import type { KeptChunk } from "../lib/durability/kept.ts";
import { type Hash, hashBytes, type NodeId } from "../lib/hash.ts";
import type { InventoryChunk, InventoryState } from "../lib/inventory.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import type { NodeRecord } from "../lib/node-record.ts";
import { closestTo, K } from "../lib/overlay/distance.ts";
import { closestInShards } from "../lib/overlay/members.ts";
import {
  groupByShard,
  leafPrefix,
  membershipPrefixes,
  partitionPrefix,
  type ShardPrefix,
  shardName,
} from "../lib/overlay/shards.ts";
import type { NameKey } from "../lib/wire/names.ts";
import type { Contact } from "../lib/wire/nodes.ts";
import type { Check } from "./audits.ts";
import type { DomainTotal, Usage } from "./charges-table.ts";
import { CLAIMED, type HeldChunk, type Holding, sumTaken, type Taken } from "./chunks-table.ts";
import type { PartitionClaim } from "./claims.ts";
import type { DnssecSight } from "./dnssec-table.ts";
import type { ToldVersion } from "./elsewhere-table.ts";
import { type EdgeSettings, type Env, parseSettings } from "./env.ts";
import type { DomainKeepers, Keeper } from "./keepers-table.ts";
import {
  cachedCandidates,
  cachedMember,
  forgetMembers,
  rememberCandidates,
  rememberMember,
} from "./member-cache.ts";
import type { Member, MemberRecord } from "./members-table.ts";
import type { ListedId } from "./names-visit.ts";
import { type ReadOutcome, readFromNode, type Source, type WantedChunk } from "./node-reader.ts";
import type { PartitionShard } from "./partition-shard.ts";
import type { DomainPledges } from "./pledges-table.ts";
import type { NewRemoval } from "./removals-table.ts";
import type { Loss } from "./repairs-table.ts";
import type { AppendResult, ClaimAnswer, IndexWrites, Origin } from "./shard-answers.ts";
import { type Sight, sightOf } from "./standings-table.ts";
import type { RestoredStatements } from "./statement-restore.ts";
import type { StatementPlace } from "./statements-table.ts";
import type { Suspect } from "./suspects-table.ts";
import type { Use } from "./uses-table.ts";
import type { NewestVersion, NewVersion } from "./versions-table.ts";

/** Nodes that placement chooses among. */
export const CANDIDATES_MAX = 512;

/** Everything the routes ask of the index. Made anew for each request; the caches are the isolate's. */
export class IndexClient {
  readonly settings: EdgeSettings;
  readonly #env: Env;

  constructor(env: Env) {
    this.settings = parseSettings(env);
    this.#env = env;
  }

  /** The leaf shard of a hash. */
  shardOf(hash: Hash): DurableObjectStub<PartitionShard> {
    return this.#shard(leafPrefix(hash, this.settings.shardDepth));
  }

  root(): DurableObjectStub<PartitionShard> {
    return this.#shard("");
  }

  async locate(chunks: Hash[]): Promise<Map<Hash, NodeId[]>> {
    return holdingMap([...(await this.holdings(chunks)).values()]);
  }

  /** As locate, with when each holder last showed the chunk. */
  async holdings(chunks: Hash[]): Promise<Map<Hash, Holding>> {
    const groups = groupByShard(new Set(chunks), (chunk) => chunk, this.settings.shardDepth);
    const answers = await Promise.all(
      [...groups].map(([prefix, group]) => this.#shard(prefix).locate(group)),
    );
    return new Map(answers.flat().map((holding) => [holding.chunk, holding]));
  }

  /** Takes in what reads of chunks from nodes came to: the chunks' shards judge it. */
  async noteChecks(checks: Check[]): Promise<void> {
    const groups = groupByShard(checks, ({ chunk }) => chunk, this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).noteChecks(group)));
  }

  /** Has holders read that a client complained of; says how many will be. */
  async suspect(suspects: Suspect[]): Promise<number> {
    const groups = groupByShard(suspects, ({ chunk }) => chunk, this.settings.shardDepth);
    const added = await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).suspect(group)));
    return added.reduce((sum, count) => sum + count, 0);
  }

  /** Tells the nodes' leaf shards what was seen of them. */
  async noteSights(sights: Sight[]): Promise<void> {
    const groups = Map.groupBy(sights, ({ node }) => leafPrefix(node, this.settings.shardDepth));
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).noteSights(group)));
  }

  /** Tells every shard that a node is a member of how it stands. */
  async putRecords(records: MemberRecord[]): Promise<void> {
    const groups = new Map<ShardPrefix, MemberRecord[]>();
    for (const record of records) {
      for (const prefix of membershipPrefixes(record.id, this.settings.shardDepth))
        groups.set(prefix, [...(groups.get(prefix) ?? []), record]);
    }
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).putRecords(group)));
  }

  /** What a node is told of itself; null where nothing is known yet. */
  nodeRecord(node: NodeId): Promise<NodeRecord | null> {
    return this.#shard(leafPrefix(node, this.settings.shardDepth)).nodeRecord(node);
  }

  async plan(chunks: Hash[], domain: Domain, held: HeldChunk[]): Promise<Map<Hash, NodeId[]>> {
    const depth = this.settings.shardDepth;
    const heldBy = groupByShard(held, ({ chunk }) => chunk, depth);
    const groups = groupByShard(new Set(chunks), (chunk) => chunk, depth);
    const prefixes = new Set([...heldBy.keys(), ...groups.keys()]);
    const answers = await Promise.all(
      [...prefixes].map((prefix) =>
        this.#shard(prefix).plan(groups.get(prefix) ?? [], domain, heldBy.get(prefix) ?? []),
      ),
    );
    this.#noteTaken(answers.flatMap(({ taken }) => taken));
    return this.#notLost(answers.flatMap(({ holdings }) => holdings));
  }

  /**
   * Writes a publish's rows, one call to each shard, and says who holds what it references. Its domains are charged when
   * this returns.
   */
  async write(writes: IndexWrites): Promise<Map<Hash, NodeId[]>> {
    const depth = this.settings.shardDepth;
    const held = groupByShard(writes.held, ({ chunk }) => chunk, depth);
    const references = groupByShard(writes.references, ({ chunk }) => chunk, depth);
    const statements = groupByShard(writes.statements, ({ id }) => id, depth);
    const prefixes = new Set([...held.keys(), ...references.keys(), ...statements.keys()]);
    const answers = await Promise.all(
      [...prefixes].map(async (shard) => {
        const written = await this.#shard(shard).write({
          held: held.get(shard) ?? [],
          references: references.get(shard) ?? [],
          statements: statements.get(shard) ?? [],
        });
        return { shard, ...written };
      }),
    );
    await this.recordTotals(
      answers.flatMap(({ shard, totals }) => totals.map((total) => ({ shard, total }))),
    );
    this.#noteTaken(answers.flatMap(({ taken }) => taken));
    return this.#notLost(answers.flatMap(({ holdings }) => holdings));
  }

  /** Tells the ledgers what shards have for their domains. */
  async recordTotals(totals: { shard: ShardPrefix; total: DomainTotal }[]): Promise<void> {
    const groups = groupByShard(totals, ({ total }) => domainHashOf(total.domain), this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).recordTotals(group)));
  }

  /** Those of the chunks that the domain is charged for. */
  async charged(chunks: Iterable<Hash>, domain: Domain): Promise<Set<Hash>> {
    const groups = groupByShard(new Set(chunks), (chunk) => chunk, this.settings.shardDepth);
    const answers = await Promise.all(
      [...groups].map(([prefix, group]) => this.#shard(prefix).charged(group, domain)),
    );
    return new Set(answers.flat());
  }

  /** What a domain is charged for. */
  async usage(domain: Domain): Promise<Usage> {
    return this.shardOf(domainHashOf(domain)).usage(domain);
  }

  /** What nodes pledge to a domain that they list. */
  async pledges(domain: Domain): Promise<DomainPledges> {
    return this.root().pledges(domain);
  }

  /** Who keeps most of a domain. */
  async keepers(domain: Domain): Promise<Keeper[]> {
    return this.shardOf(domainHashOf(domain)).keepers(domain);
  }

  /** Tells the domains' shards what was counted in a shard of chunks. */
  async recordKeepers(shard: ShardPrefix, domains: DomainKeepers[]): Promise<void> {
    const groups = groupByShard(domains, ({ domain }) => domainHashOf(domain), this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).recordKeepers(shard, group)));
  }

  /** Appends Versions, those of one shard in one call. Results by Version id. */
  async append(versions: NewVersion[], from: Origin = "publisher"): Promise<Map<Hash, AppendResult>> {
    const groups = groupByShard(versions, ({ nameHash }) => nameHash, this.settings.shardDepth);
    const answers = await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const results = await this.#shard(prefix).append(group, from);
        return group.flatMap(({ id }, i) => {
          const result = results[i];
          return result === undefined ? [] : [[id, result] as const];
        });
      }),
    );
    return new Map(answers.flat());
  }

  /** Applies Removals; results by their ids. */
  async remove(removals: NewRemoval[], from: Origin = "publisher"): Promise<Map<Hash, AppendResult>> {
    const results = new Map<Hash, AppendResult>();
    const groups = groupByShard(removals, ({ nameHash }) => nameHash, this.settings.shardDepth);
    await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const answers = await this.#shard(prefix).remove(group, from);
        for (const [i, { id }] of group.entries()) {
          const answer = answers[i];
          if (answer !== undefined) results.set(id, answer);
        }
      }),
    );
    return results;
  }

  /** Remembers what peers have and this edge has not. */
  async noteElsewhere(told: ToldVersion[]): Promise<void> {
    const groups = groupByShard(told, ({ nameHash }) => nameHash, this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).noteElsewhere(group)));
  }

  /** Of each use, whether a Version that stands needs its Manifest; in the order of the uses. */
  async needed(uses: Use[]): Promise<boolean[]> {
    const groups = groupByShard(uses, ({ nameHash }) => nameHash, this.settings.shardDepth);
    const needed = new Set<Use>();
    await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const answers = await this.#shard(prefix).needed(group);
        for (const [i, use] of group.entries()) if (answers[i] !== false) needed.add(use);
      }),
    );
    return uses.map((use) => needed.has(use));
  }

  /** What becomes of the chunks that a node holds, in their order. */
  async takeInventory(node: NodeId, chunks: InventoryChunk[]): Promise<InventoryState[]> {
    const groups = groupByShard(chunks, ({ hash }) => hash, this.settings.shardDepth);
    const states = new Map<Hash, InventoryState>();
    await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const answers = await this.#shard(prefix).takeInventory(node, group);
        for (const [i, { hash }] of group.entries()) states.set(hash, answers[i] ?? "needed");
      }),
    );
    return chunks.map(({ hash }) => states.get(hash) ?? "needed");
  }

  /** Deletes the references that Removals have ended, as far as that can be told at once. Their domains' charges go down. */
  async endUsesOf(removals: StatementPlace[]): Promise<void> {
    const depth = this.settings.shardDepth;
    const groups = groupByShard(removals, ({ nameHash }) => nameHash, depth);
    const ended = await Promise.all(
      [...groups].map(([prefix, group]) =>
        this.#shard(prefix).endedBy(group.map(({ id, domain, nameHash }) => ({ id, domain, nameHash }))),
      ),
    );
    const pieces = ended.flat().flatMap((use) =>
      [...groupByShard(use.chunks, (chunk) => chunk, depth)].map(([shard, chunks]) => ({
        shard,
        use: { ...use, chunks },
      })),
    );
    const totals = await Promise.all(
      [...Map.groupBy(pieces, ({ shard }) => shard)].map(async ([shard, group]) => {
        const its = await this.#shard(shard).endUses(group.map(({ use }) => use));
        return its.map((total) => ({ shard, total }));
      }),
    );
    await this.recordTotals(totals.flat());
  }

  /** The newest Version of each name, in the order of the names. */
  async newest(names: NameKey[]): Promise<(NewestVersion | null)[]> {
    const groups = groupByShard(names, ({ nameHash }) => nameHash, this.settings.shardDepth);
    const found = new Map<NameKey, NewestVersion | null>();
    await Promise.all(
      [...groups].map(async ([prefix, group]) => {
        const answers = await this.#shard(prefix).newest(group);
        for (const [i, name] of group.entries()) found.set(name, answers[i] ?? null);
      }),
    );
    return names.map((name) => found.get(name) ?? null);
  }

  /** Tells a partition's shard what a node says that it holds of it. */
  claim(claim: PartitionClaim): Promise<ClaimAnswer> {
    return this.#shard(partitionPrefix(claim.partition, this.settings.shardDepth)).claim(claim);
  }

  /** Those of the statements that are here; isYoung: a shard that was asked is. */
  async keptStatements(listed: ListedId[]): Promise<{ kept: ReadonlySet<Hash>; isYoung: boolean }> {
    const groups = Map.groupBy(listed, ({ partition }) =>
      partitionPrefix(partition, this.settings.shardDepth),
    );
    const answers = await Promise.all(
      [...groups].map(([prefix, group]) => this.#shard(prefix).keptStatements(group.map(({ id }) => id))),
    );
    return {
      kept: new Set(answers.flatMap(({ kept }) => kept)),
      isYoung: answers.some(({ isYoung }) => isYoung),
    };
  }

  /** Takes statements back; results by their ids. */
  async restore({ versions, removals }: RestoredStatements): Promise<Map<Hash, AppendResult>> {
    const depth = this.settings.shardDepth;
    const versionsBy = groupByShard(versions, ({ nameHash }) => nameHash, depth);
    const removalsBy = groupByShard(removals, ({ nameHash }) => nameHash, depth);
    const answers = await Promise.all(
      [...new Set([...versionsBy.keys(), ...removalsBy.keys()])].map((prefix) =>
        this.#shard(prefix).restore({
          versions: versionsBy.get(prefix) ?? [],
          removals: removalsBy.get(prefix) ?? [],
        }),
      ),
    );
    return new Map(answers.flat().map(({ id, result }) => [id, result]));
  }

  /** Takes holders off the lists of chunks that they do not give. */
  async loseHolders(losses: Loss[]): Promise<void> {
    const groups = groupByShard(losses, ({ chunk }) => chunk, this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).loseHolders(group)));
  }

  /** Has chunks looked at by their shards that share a failure domain with others of their stripe. */
  async lookAt(chunks: Hash[]): Promise<void> {
    const groups = groupByShard(new Set(chunks), (chunk) => chunk, this.settings.shardDepth);
    await Promise.all([...groups].map(([prefix, group]) => this.#shard(prefix).lookAt(group)));
  }

  /** On how many failure domains chunks are without `node`, and on how many they are to be. */
  async kept(chunks: Hash[], node: NodeId, isLeaving: boolean): Promise<Map<Hash, KeptChunk>> {
    const groups = groupByShard(new Set(chunks), (chunk) => chunk, this.settings.shardDepth);
    const answers = await Promise.all(
      [...groups].map(([prefix, group]) => this.#shard(prefix).kept({ chunks: group, node, isLeaving })),
    );
    return new Map(answers.flat().map((chunk) => [chunk.hash, chunk]));
  }

  /** The member rows of nodes, from the root shard where it has them, else from their leaf shards. */
  async members(ids: Iterable<NodeId>): Promise<Map<NodeId, Member>> {
    const wanted = [...new Set(ids)];
    const found = new Map<NodeId, Member>();
    for (const id of wanted) {
      const cached = cachedMember(id);
      if (cached !== null) found.set(id, cached);
    }
    await this.#fetchMembers(found, wanted, () => "");
    await this.#fetchMembers(found, wanted, (id) => leafPrefix(id, this.settings.shardDepth));
    return found;
  }

  /** The `count` online members closest to a hash: its leaf shard, then ancestors; three calls at most. */
  async closest(target: Hash, count = K): Promise<Member[]> {
    const depth = this.settings.shardDepth;
    return closestInShards(target, { count, depth }, async (prefix) => {
      const { members } = await this.#shard(prefix).closest(target, count);
      return members;
    });
  }

  /** Online nodes that placement may choose for a chunk. */
  async candidates(chunk: Hash): Promise<Member[]> {
    for (const prefix of membershipPrefixes(chunk, this.settings.shardDepth).reverse()) {
      const cached = cachedCandidates(prefix);
      if (cached !== null) return cached;
      const page = await this.#shard(prefix).closest(chunk, CANDIDATES_MAX);
      if (!page.complete) continue;
      rememberCandidates(prefix, page.members);
      return page.members;
    }
    return closestTo(chunk, await this.closest(chunk, CANDIDATES_MAX), ({ id }) => id, CANDIDATES_MAX);
  }

  /** Whether a DNS name that was seen with DNSSEC comes without. */
  noteDnssec(sight: DnssecSight): Promise<boolean> {
    return this.shardOf(hashBytes(new TextEncoder().encode(sight.name))).noteDnssec(sight);
  }

  /** Reads a chunk from one node, verified: by its URL, or through its tunnel where that is null. Never throws. */
  read(source: Source, chunk: WantedChunk): Promise<ReadOutcome> {
    return readFromNode(this.#env, source, chunk);
  }

  link(node: NodeId): DurableObjectStub<import("./node-link.ts").NodeLink> {
    return this.#env.NODE_LINK.getByName(node);
  }

  /** Somebody could not reach these nodes: their links check themselves, and the copies here are dropped. */
  async checkLinks(nodes: Iterable<NodeId>): Promise<void> {
    const ids = [...nodes];
    forgetMembers(ids);
    await Promise.all(ids.map((node) => this.link(node).checkLink()));
  }

  /** For the ledger of nodes, beside the answer: nobody's bytes depend on it. */
  #noteTaken(taken: Taken): void {
    const sights = sumTaken(taken).map(({ node, bytes }) => sightOf(node, { takenBytes: bytes }));
    if (sights.length === 0) return;
    const noting = this.noteSights(sights).catch((error: unknown) =>
      console.warn(`what nodes took was not taken in: ${error}`),
    );
    waitUntil(noting);
  }

  /**
   * A publish counts on nothing that a node held before it lost its disk, though no sweep has taken it off the list yet, nor on
   * a last holder that did not give the chunk, nor on what it only claims.
   */
  async #notLost(holdings: Holding[]): Promise<Map<Hash, NodeId[]>> {
    const members = await this.members(holdings.flatMap(({ holders }) => holders));
    const isKept = (node: NodeId, sinceMs = 0) => sinceMs >= (members.get(node)?.lostMs ?? 0);
    return new Map(
      holdings.map(({ chunk, holders, sinceMs, checkedMs }) => [
        chunk,
        holders.filter((node, i) => (checkedMs[i] ?? CLAIMED) >= 0 && isKept(node, sinceMs[i])),
      ]),
    );
  }

  async #fetchMembers(
    found: Map<NodeId, Member>,
    wanted: NodeId[],
    prefixOf: (id: NodeId) => ShardPrefix,
  ): Promise<void> {
    const missing = wanted.filter((id) => !found.has(id));
    const groups = Map.groupBy(missing, prefixOf);
    const answers = await Promise.all([...groups].map(([prefix, ids]) => this.#shard(prefix).members(ids)));
    for (const member of answers.flat()) {
      rememberMember(member);
      found.set(member.id, member);
    }
  }

  #shard(prefix: ShardPrefix): DurableObjectStub<PartitionShard> {
    return this.#env.PARTITION_SHARD.getByName(shardName(prefix));
  }
}

/** `relays`: of a node that is another edge's. */
export function contactOf({
  id,
  key,
  url,
  relays = [],
}: Pick<Member, "id" | "key" | "url"> & { relays?: string[] }): Contact {
  return { id, key, url, ...(relays.length === 0 ? {} : { relays }) };
}

function holdingMap(holdings: Holding[]): Map<Hash, NodeId[]> {
  return new Map(holdings.map(({ chunk, holders }) => [chunk, holders]));
}
