// The edge's view of its index, for the worker and for shards that ask others: one call to each shard that
// is concerned (shard-router.ts), and short-lived copies of what the shards say about nodes.

import { waitUntil } from "cloudflare:workers";
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
import type { DomainTotal, Usage } from "./charges-table.ts";
import {
  CLAIMED,
  type HeldChunk,
  type Holding,
  type Reference,
  sumTaken,
  type Taken,
} from "./chunks-table.ts";
import type { PartitionClaim } from "./claims.ts";
import { closestNodes } from "./closest-nodes.ts";
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
import type { Member, MemberRecord, MemberReport } from "./members-table.ts";
import type { ListedId } from "./names-visit.ts";
import { type ReadOutcome, readFromNode, type Source, type WantedChunk } from "./node-reader.ts";
import type { DomainPledges } from "./pledges-table.ts";
import type { NewRemoval } from "./removals-table.ts";
import type { Loss } from "./repairs-table.ts";
import type { AppendResult, ClaimAnswer, IndexWrites, Origin } from "./shard-answers.ts";
import { type Leaf, type Shard, ShardRouter } from "./shard-router.ts";
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
  async noteSights(sights: Sight[]): Promise<void> {
    await this.router.each(
      sights,
      ({ node }) => node,
      (shard, group) => shard.noteSights(group),
    );
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

  async plan(chunks: Hash[], domain: Domain, held: HeldChunk[]): Promise<Map<Hash, NodeId[]>> {
    const parts = [
      ...[...new Set(chunks)].map((chunk) => ({ chunk, held: null })),
      ...held.map((row) => ({ chunk: row.chunk, held: row })),
    ];
    const answers = await this.router.each(parts, chunkOf, (shard, group) =>
      shard.plan(
        group.flatMap((part) => (part.held === null ? [part.chunk] : [])),
        domain,
        group.flatMap((part) => part.held ?? []),
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
    const parts: { hash: Hash; held?: HeldChunk; reference?: Reference; statement?: StatementPlace }[] = [
      ...writes.held.map((held) => ({ hash: held.chunk, held })),
      ...writes.references.map((reference) => ({ hash: reference.chunk, reference })),
      ...writes.statements.map((statement) => ({ hash: statement.id, statement })),
    ];
    const answers = await this.router.each(
      parts,
      ({ hash }) => hash,
      async (shard, group, prefix) => {
        const written = await shard.write({
          held: group.flatMap(({ held }) => held ?? []),
          references: group.flatMap(({ reference }) => reference ?? []),
          statements: group.flatMap(({ statement }) => statement ?? []),
        });
        return { shard: prefix, ...written };
      },
    );
    await this.recordTotals(
      answers.flatMap(({ shard, totals }) => totals.map((total) => ({ shard, total }))),
    );
    this.#noteTaken(answers.flatMap(({ taken }) => taken));
    return this.#notLost(answers.flatMap(({ holdings }) => holdings));
  }

  /** Tells the ledgers what shards have for their domains. */
  async recordTotals(totals: { shard: ShardPrefix; total: DomainTotal }[]): Promise<void> {
    await this.router.each(
      totals,
      ({ total }) => domainHashOf(total.domain),
      (shard, group) => shard.recordTotals(group),
    );
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
  async endUsesOf(removals: StatementPlace[]): Promise<void> {
    const ended = await this.router.each(removals, nameOf, (shard, group) =>
      shard.endedBy(group.map(({ id, domain, nameHash }) => ({ id, domain, nameHash }))),
    );
    const pieces = ended.flat().flatMap((use) => use.chunks.map((chunk) => ({ chunk, use })));
    const totals = await this.router.each(pieces, chunkOf, async (shard, group, prefix) => {
      const uses = Map.groupBy(group, ({ use }) => use);
      const its = await shard.endUses(
        [...uses].map(([use, chunks]) => ({ ...use, chunks: chunks.map(({ chunk }) => chunk) })),
      );
      return its.map((total) => ({ shard: prefix, total }));
    });
    await this.recordTotals(totals.flat());
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

  /** The member rows of nodes, from the root shard where it has them, else from their leaf shards. */
  async members(ids: Iterable<NodeId>): Promise<Map<NodeId, Member>> {
    const wanted = [...new Set(ids)];
    const found = new Map<NodeId, Member>();
    for (const id of wanted) {
      const cached = cachedMember(id);
      if (cached !== null) found.set(id, cached);
    }
    const take = (members: Member[]) => {
      for (const member of members) {
        rememberMember(member);
        found.set(member.id, member);
      }
    };
    const missing = () => wanted.filter((id) => !found.has(id));
    if (missing().length > 0) take(await this.root().members(missing(), "above"));
    const answers = await this.router.each(missing(), itself, (shard, group) => shard.members(group));
    take(answers.flat());
    return found;
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

  /** Online nodes that placement may choose for a chunk: of the widest shard in which they are few enough. */
  async candidates(chunk: Hash): Promise<Member[]> {
    for (const prefix of this.router.above(chunk).reverse()) {
      const cached = cachedCandidates(prefix);
      if (cached !== null) return cached;
      const page = await this.router.at(prefix).closest(chunk, CANDIDATES_MAX, "above");
      if (!page.complete) continue;
      rememberCandidates(prefix, page.members);
      return page.members;
    }
    return this.#leafCandidates(chunk);
  }

  async #leafCandidates(chunk: Hash): Promise<Member[]> {
    const cached = cachedCandidates(this.router.prefixOf(chunk));
    if (cached !== null) return cached;
    return this.router.ask(chunk, async (shard, prefix) => {
      const { members, complete } = await shard.closest(chunk, CANDIDATES_MAX);
      if (complete) rememberCandidates(prefix, members);
      return members;
    });
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
