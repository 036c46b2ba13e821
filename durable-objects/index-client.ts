// The edge's view of its index, for the worker and for shards that ask others: one call to each shard that
// is concerned (shard-router.ts), and short-lived copies of what the shards say about nodes.

import type { KeptChunk } from "../lib/durability/kept.ts";
import { HoldfastError } from "../lib/error.ts";
import { type Hash, hashBytes, type NodeId } from "../lib/hash.ts";
import type { InventoryChunk, InventoryState } from "../lib/inventory.ts";
import { type Domain, domainHashOf } from "../lib/names.ts";
import type { NodeRecord } from "../lib/node-record.ts";
import { K } from "../lib/overlay/distance.ts";
import { firstHashOf, type ShardPrefix } from "../lib/overlay/shards.ts";
import type { NameKey, PostedJson } from "../lib/wire/names.ts";
import type { Contact } from "../lib/wire/nodes.ts";
import type { SplitAnswer } from "../lib/wire/operator.ts";
import type { Check } from "./audits.ts";
import type { ManifestUse } from "./bundles.ts";
import type { Usage } from "./charges-table.ts";
import type { HeldChunk, Holding } from "./chunks-table.ts";
import type { PartitionClaim } from "./claims.ts";
import { closestNodes } from "./closest-nodes.ts";
import type { DnssecSight } from "./dnssec-table.ts";
import type { ToldVersion } from "./elsewhere-table.ts";
import { type EdgeSettings, type Env, parseSettings } from "./env.ts";
import type { DomainKeepers, Keeper } from "./keepers-table.ts";
import { candidatesFor, membersOf } from "./known-members.ts";
import { forgetMembers } from "./member-cache.ts";
import type { Member, MemberRecord, MemberReport } from "./members-table.ts";
import type { ListedId } from "./names-visit.ts";
import { type ReadOutcome, readFromNode, type Source, type WantedChunk } from "./node-reader.ts";
import type { DomainPledges } from "./pledges-table.ts";
import type { NewRemoval } from "./removals-table.ts";
import type { Loss } from "./repairs-table.ts";
import type { AppendResult, ClaimAnswer, IndexWrites, Origin } from "./shard-answers.ts";
import { type Leaf, type Shard, ShardRouter } from "./shard-router.ts";
import {
  endUsesOf,
  noteSights,
  planChunks,
  recordTotals,
  type ShardTotal,
  writeRows,
} from "./shard-writes.ts";
import type { Sight } from "./standings-table.ts";
import type { RestoredStatements } from "./statement-restore.ts";
import type { StatementPlace } from "./statements-table.ts";
import type { Suspect } from "./suspects-table.ts";
import type { Use } from "./uses-table.ts";
import type { NewestVersion, NewVersion } from "./versions-table.ts";

/** Everything the routes ask of the index. Made anew for each request; the caches are the isolate's. */
export class IndexClient {
  readonly settings: EdgeSettings;
  readonly router: ShardRouter;
  readonly #env: Env;

  constructor(env: Env) {
    this.settings = parseSettings(env);
    this.router = new ShardRouter(env.PARTITION_SHARD, this.settings.shardDepth);
    this.#env = env;
  }

  /** The leaf shard of a hash. */
  shardOf(hash: Hash): Leaf {
    return this.router.leafOf(hash);
  }

  root(): Shard {
    return this.router.at("");
  }

  async locate(chunks: Hash[]): Promise<Map<Hash, NodeId[]>> {
    return holdingMap([...(await this.holdings(chunks)).values()]);
  }

  /** As locate, with when each holder last showed the chunk. */
  async holdings(chunks: Hash[]): Promise<Map<Hash, Holding>> {
    const answers = await this.router.each(new Set(chunks), itself, (shard, group) => shard.locate(group));
    return new Map(answers.flat().map((holding) => [holding.chunk, holding]));
  }

  /** Takes in what reads of chunks from nodes came to: the chunks' shards judge it. */
  async noteChecks(checks: Check[]): Promise<void> {
    await this.router.each(checks, chunkOf, (shard, group) => shard.noteChecks(group));
  }

  /** Has holders read that a client complained of; says how many will be. */
  async suspect(suspects: Suspect[]): Promise<number> {
    const added = await this.router.each(suspects, chunkOf, (shard, group) => shard.suspect(group));
    return added.reduce((sum, count) => sum + count, 0);
  }

  /** Tells the nodes' leaf shards what was seen of them. */
  noteSights(sights: Sight[]): Promise<void> {
    return noteSights(this.router, sights);
  }

  /** Tells every shard that a node is a member of how it stands. */
  putRecords(records: MemberRecord[]): Promise<void> {
    return this.router.tellMemberships(
      records,
      ({ id }) => id,
      (shard, group, place) => shard.putRecords(group, place),
    );
  }

  /** Tells every shard that a node is a member of what its link says. */
  putMember(member: MemberReport): Promise<void> {
    return this.router.tellMemberships(
      [member],
      ({ id }) => id,
      (shard, _, place) => shard.putMember(member, place),
    );
  }

  /** What a node is told of itself; null where nothing is known yet. */
  nodeRecord(node: NodeId): Promise<NodeRecord | null> {
    return this.router.ask(node, (shard) => shard.nodeRecord(node));
  }

  /** Says who holds the chunks, and pins them for the publisher; takes in what it has receipts for. */
  plan(chunks: Hash[], domain: Domain, held: HeldChunk[]): Promise<Map<Hash, NodeId[]>> {
    return planChunks(this.router, chunks, domain, held);
  }

  /** Writes the rows of a publish, or of what a node has kept; says who holds what it references. Its domains are charged when this returns. */
  write(writes: IndexWrites, from: Origin = "publisher"): Promise<Map<Hash, NodeId[]>> {
    return writeRows(this.router, writes, from);
  }

  /** Tells the ledgers what shards have for their domains. */
  recordTotals(totals: ShardTotal[]): Promise<void> {
    return recordTotals(this.router, totals);
  }

  /** Those of the chunks that the domain is charged for. */
  async charged(chunks: Iterable<Hash>, domain: Domain): Promise<Set<Hash>> {
    const answers = await this.router.each(new Set(chunks), itself, (shard, group) =>
      shard.charged(group, domain),
    );
    return new Set(answers.flat());
  }

  /** What a domain is charged for. */
  usage(domain: Domain): Promise<Usage> {
    return this.router.ask(domainHashOf(domain), (shard) => shard.usage(domain));
  }

  /** What nodes pledge to a domain that they list. */
  async pledges(domain: Domain): Promise<DomainPledges> {
    return this.root().pledges(domain);
  }

  /** Who keeps most of a domain. */
  keepers(domain: Domain): Promise<Keeper[]> {
    return this.router.ask(domainHashOf(domain), (shard) => shard.keepers(domain));
  }

  /** Tells the domains' shards what was counted in a shard of chunks. */
  async recordKeepers(from: ShardPrefix, domains: DomainKeepers[]): Promise<void> {
    await this.router.each(
      domains,
      ({ domain }) => domainHashOf(domain),
      (shard, group) => shard.recordKeepers(from, group),
    );
  }

  /** Appends Versions, those of one shard in one call. Results by Version id. */
  async append(versions: NewVersion[], from: Origin = "publisher"): Promise<Map<Hash, AppendResult>> {
    const results = await this.router.eachItem(versions, nameOf, (shard, group) => shard.append(group, from));
    return new Map([...results].map(([{ id }, result]) => [id, result]));
  }

  /** Applies Removals; results by their ids. */
  async remove(removals: NewRemoval[], from: Origin = "publisher"): Promise<Map<Hash, AppendResult>> {
    const results = await this.router.eachItem(removals, nameOf, (shard, group) => shard.remove(group, from));
    return new Map([...results].map(([{ id }, result]) => [id, result]));
  }

  /** The statements that a holder of this Manifest keeps of the name. */
  bundlesOf(use: ManifestUse): Promise<PostedJson[]> {
    return this.shardOf(use.nameHash).bundlesOf(use);
  }

  /** Remembers what peers have and this edge has not. */
  async noteElsewhere(told: ToldVersion[]): Promise<void> {
    await this.router.each(told, nameOf, (shard, group) => shard.noteElsewhere(group));
  }

  /** Of each use, whether a Version that stands needs its Manifest; in the order of the uses. */
  async needed(uses: Use[]): Promise<boolean[]> {
    const needed = await this.router.eachItem(uses, nameOf, (shard, group) => shard.needed(group));
    return uses.map((use) => needed.get(use) ?? true);
  }

  /** What becomes of the chunks that a node holds, in their order. */
  async takeInventory(node: NodeId, chunks: InventoryChunk[]): Promise<InventoryState[]> {
    const states = await this.router.eachItem(
      chunks,
      ({ hash }) => hash,
      (shard, group) => shard.takeInventory(node, group),
    );
    const byHash = new Map([...states].map(([{ hash }, state]) => [hash, state]));
    return chunks.map(({ hash }) => byHash.get(hash) ?? "needed");
  }

  /** Deletes the references that Removals have ended, as far as that can be told at once. Their domains' charges go down. */
  endUsesOf(removals: StatementPlace[]): Promise<void> {
    return endUsesOf(this.router, removals);
  }

  /** The newest Version of each name, in the order of the names. */
  async newest(names: NameKey[]): Promise<(NewestVersion | null)[]> {
    const found = await this.router.eachItem(names, nameOf, (shard, group) => shard.newest(group));
    return names.map((name) => found.get(name) ?? null);
  }

  /** Tells a partition's shard what a node says that it holds of it. */
  claim(claim: PartitionClaim): Promise<ClaimAnswer> {
    return this.router.askPartition(claim.partition, (shard) => shard.claim(claim));
  }

  /** Those of the statements that are here; isYoung: a shard that was asked is. */
  async keptStatements(listed: ListedId[]): Promise<{ kept: ReadonlySet<Hash>; isYoung: boolean }> {
    const answers = await this.router.each(
      listed,
      ({ partition }) => firstHashOf(partition),
      (shard, group) => shard.keptStatements(group.map(({ id }) => id)),
    );
    return {
      kept: new Set(answers.flatMap(({ kept }) => kept)),
      isYoung: answers.some(({ isYoung }) => isYoung),
    };
  }

  /** Takes statements back; results by their ids. */
  async restore({ versions, removals }: RestoredStatements): Promise<Map<Hash, AppendResult>> {
    const answers = await this.router.each([...versions, ...removals], nameOf, (shard, group) =>
      shard.restore({
        versions: versions.filter((one) => group.includes(one)),
        removals: removals.filter((one) => group.includes(one)),
      }),
    );
    return new Map(answers.flat().map(({ id, result }) => [id, result]));
  }

  /** Takes holders off the lists of chunks that they do not give. */
  async loseHolders(losses: Loss[]): Promise<void> {
    await this.router.each(losses, chunkOf, (shard, group) => shard.loseHolders(group));
  }

  /** Has chunks looked at by their shards that share a failure domain with others of their stripe. */
  async lookAt(chunks: Hash[]): Promise<void> {
    await this.router.each(new Set(chunks), itself, (shard, group) => shard.lookAt(group));
  }

  /** On how many failure domains chunks are without `node`, and on how many they are to be. */
  async kept(chunks: Hash[], node: NodeId, isLeaving: boolean): Promise<Map<Hash, KeptChunk>> {
    const answers = await this.router.each(new Set(chunks), itself, (shard, group) =>
      shard.kept({ chunks: group, node, isLeaving }),
    );
    return new Map(answers.flat().map((chunk) => [chunk.hash, chunk]));
  }

  /** The member rows of nodes. */
  members(ids: Iterable<NodeId>): Promise<Map<NodeId, Member>> {
    return membersOf(this.router, ids);
  }

  /** The `count` online members closest to a hash, exactly. */
  closest(target: Hash, count = K): Promise<Member[]> {
    return closestNodes(this.router, target, count);
  }

  /** The nodes closest to one, as the root shard knows them: for a node that comes, to begin with. */
  async contactsOf(node: NodeId, count: number): Promise<Contact[]> {
    const { members } = await this.root().closest(node, count + 1, "above");
    return members.filter(({ id }) => id !== node).map(contactOf);
  }

  /** Online nodes that placement may choose for a chunk. */
  candidates(chunk: Hash): Promise<Member[]> {
    return candidatesFor(this.router, chunk);
  }

  /** Whether a DNS name that was seen with DNSSEC comes without. */
  noteDnssec(sight: DnssecSight): Promise<boolean> {
    const hash = hashBytes(new TextEncoder().encode(sight.name));
    return this.router.ask(hash, (shard) => shard.noteDnssec(sight));
  }

  /** Has a shard split, or (null) all; says how far they are. Throws `invalid-request` where there is no such shard. */
  async split(prefix: ShardPrefix | null): Promise<SplitAnswer["shards"]> {
    const { leaves, split } = await this.root().shards();
    if (prefix !== null && split.includes(prefix)) return [{ prefix, state: "split", copied: 0, rows: 0 }];
    if (prefix !== null && !leaves.includes(prefix))
      throw new HoldfastError("invalid-request", `this edge has no shard ${prefix}`);
    const asked = prefix === null ? leaves : [prefix];
    return Promise.all(asked.map(async (one) => ({ prefix: one, ...(await this.router.at(one).split()) })));
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

function itself<H extends Hash>(hash: H): H {
  return hash;
}

function chunkOf({ chunk }: { chunk: Hash }): Hash {
  return chunk;
}

function nameOf({ nameHash }: { nameHash: Hash }): Hash {
  return nameHash;
}
