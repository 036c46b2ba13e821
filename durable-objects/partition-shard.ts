// PartitionShard: the index of a contiguous range of partitions. Versions by Name Hash, holders and references by
// Content Hash, members by node id; and, in the root shard, the numbers that all shards report upward.

import { DurableObject } from "cloudflare:workers";
import type { DenialChange } from "../lib/denial.ts";
import type { KeptChunk } from "../lib/durability/kept.ts";
import { HoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { InventoryChunk, InventoryState } from "../lib/inventory.ts";
import type { Domain } from "../lib/names.ts";
import type { NodeRecord } from "../lib/node-record.ts";
import type { MemberPage } from "../lib/overlay/members.ts";
import { type ShardPrefix, shardName } from "../lib/overlay/shards.ts";
import type { VersionHead } from "../lib/version.ts";
import { LOOKUP_MANIFEST_MAX, type NameKey, type PostedJson } from "../lib/wire/names.ts";
import type { PeerNameAnswer } from "../lib/wire/peers.ts";
import type { Check } from "./audits.ts";
import { birthOf, noteFilling } from "./birth.ts";
import { type BundleQuery, bundlesOf, listBundles, type ManifestUse } from "./bundles.ts";
import {
  chargedChunks,
  chargeReferences,
  type DomainTotal,
  recordTotal,
  type Usage,
  usageOf,
} from "./charges-table.ts";
import {
  addHolders,
  addReferences,
  type HeldChunk,
  type Holding,
  holdingsOf,
  pinHeld,
  removeHolder,
} from "./chunks-table.ts";
import { type PartitionClaim, takeClaim } from "./claims.ts";
import { collectIntervalMs, endUses } from "./collector.ts";
import {
  applyChange,
  type DenialsMark,
  type DenialsUpdate,
  denialsSince,
  listDenials,
  takeStatement,
} from "./denials-table.ts";
import { type DnssecSight, noteDnssec } from "./dnssec-table.ts";
import { listElsewhere, noteElsewhere, type ToldVersion } from "./elsewhere-table.ts";
import { type Env, parseSettings } from "./env.ts";
import { IndexClient } from "./index-client.ts";
import { type InventoryReport, putInventory, sumInventories } from "./inventories-table.ts";
import { type DomainKeepers, type Keeper, keepersOf, recordKeepers } from "./keepers-table.ts";
import {
  closestMembers,
  countMembers,
  listMembers,
  type Member,
  type MemberRecord,
  type MemberReport,
  membersById,
  putMember,
  putRecord,
} from "./members-table.ts";
import { MovedError } from "./moved.ts";
import { type DomainPledges, Pledges } from "./pledges-table.ts";
import { settleInventory } from "./references-table.ts";
import { listRemovals, type NewRemoval, removalById, type StoredRemoval } from "./removals-table.ts";
import { type Loss, queueRepair } from "./repairs-table.ts";
import { mergeReports, noteBehind, putReport, type ShardReport } from "./reports-table.ts";
import { migrateShard } from "./schema.ts";
import type {
  AppendResult,
  ClaimAnswer,
  DenialsResult,
  IndexWrites,
  NamePage,
  Network,
  Origin,
  WriteResult,
} from "./shard-answers.ts";
import type { CopyBatch } from "./shard-copy.ts";
import { ShardDuties } from "./shard-duties.ts";
import { type Inheritance, inheritanceOf, ShardHeir } from "./shard-heir.ts";
import { guardLeafRole, type Place } from "./shard-roles.ts";
import { ShardSplit, type SplitProgress } from "./shard-split.ts";
import { StateOfShard } from "./shard-state.ts";
import { noteSplit, shardPrefixes, shardsOf } from "./splits-table.ts";
import { nodeRecord, noteSight, recordOf, type Sight, takeTelling } from "./standings-table.ts";
import { StatementIntake } from "./statement-intake.ts";
import { keptStatements, type RestoredStatements } from "./statement-restore.ts";
import { indexStatements, placeOfStatement, type StatementPlace } from "./statements-table.ts";
import { addSuspects, type Suspect } from "./suspects-table.ts";
import { keptWithout } from "./sweep.ts";
import { type EndedUse, endedBy, hasStanding, type Use } from "./uses-table.ts";
import {
  type HeadAnswer,
  listVersions,
  manifestBytes,
  type NewestVersion,
  type NewVersion,
  newestHead,
  newestVersions,
  objectHead,
  type StoredVersion,
  versionById,
} from "./versions-table.ts";

/** Since a shard is complete: so long the nodes that bring back what an edge has lost may take. */
export const YOUNG_MS = 7 * 24 * 3600 * 1000;
/** A node hears how it stands this often; of a failure at once. */
export const TELL_INTERVAL_MS = 60 * 60 * 1000;
/** Manifests whose references are deleted as Removals end them; a walk of the collectors finds the others. */
const ENDED_MANIFESTS_MAX = 16;

export class PartitionShard extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #statements: StatementIntake;
  readonly #duties: ShardDuties;
  readonly #pledges: Pledges;
  readonly #state: StateOfShard;
  readonly #split: ShardSplit;
  readonly #heir: ShardHeir;

  static {
    guardLeafRole(PartitionShard.prototype, (shard) => shard.#admit());
  }

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrateShard(ctx.storage);
    const { peerEdges, repairGraceMs } = parseSettings(env);
    this.#statements = new StatementIntake(ctx.storage, peerEdges);
    this.#pledges = new Pledges(this.#sql, repairGraceMs);
    const prefix = this.#prefix();
    const { router } = new IndexClient(env);
    const at = (other: ShardPrefix) => router.at(other);
    this.#state = new StateOfShard(this.#sql);
    this.#heir = new ShardHeir(ctx.storage, prefix, this.#state, at);
    const settleOrigins = () => this.#duties.settleOrigins();
    this.#split = new ShardSplit(ctx, prefix, this.#state, { at, settleOrigins });
    this.#duties = new ShardDuties(ctx, env, { prefix, state: this.#state, split: this.#split });
  }

  /** Writes the rows of a publish, or of what a node has kept; says who holds the chunks that it references, and what their domains are charged for here. */
  async write(writes: IndexWrites, from: Origin = "publisher"): Promise<WriteResult> {
    await this.#duties.noteChange();
    if (writes.references.length > 0) await this.#duties.noteReferences();
    const result = this.ctx.storage.transactionSync(() => {
      const taken = addHolders(this.#sql, writes.held, Date.now());
      addReferences(this.#sql, writes.references, Date.now());
      indexStatements(this.#sql, writes.statements);
      const chunks = [...new Set(writes.references.map((reference) => reference.chunk))];
      const totals = chargeReferences(this.#sql, writes.references);
      return { holdings: holdingsOf(this.#sql, chunks), totals, taken };
    });
    if (from === "node") await this.#duties.noteBehind();
    return result;
  }

  /** Records what is held and says who holds the chunks; those that somebody holds are pinned for the publisher. */
  async plan(chunks: Hash[], domain: Domain, held: HeldChunk[]): Promise<Omit<WriteResult, "totals">> {
    if (held.length > 0) await this.#duties.noteChange();
    return this.ctx.storage.transactionSync(() => {
      const taken = addHolders(this.#sql, held, Date.now());
      const holdings = holdingsOf(this.#sql, chunks);
      pinHeld(this.#sql, holdings, domain, Date.now());
      return { holdings, taken };
    });
  }

  /** Those of the chunks that the domain is charged for. */
  async charged(chunks: Hash[], domain: Domain): Promise<Hash[]> {
    return chargedChunks(this.#sql, chunks, domain);
  }

  /** A domain's shard: takes in what the chunks' shards have for it. */
  async recordTotals(totals: { shard: ShardPrefix; total: DomainTotal }[]): Promise<void> {
    await this.#duties.noteChange();
    this.ctx.storage.transactionSync(() => {
      for (const { shard, total } of totals) recordTotal(this.#sql, shard, total);
    });
  }

  /** A domain's shard: what the domain is charged for. */
  async usage(domain: Domain): Promise<Usage> {
    return usageOf(this.#sql, domain);
  }

  /** A domain's shard: takes in who keeps how much of it in a chunks' shard. */
  async recordKeepers(shard: ShardPrefix, domains: DomainKeepers[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const one of domains) recordKeepers(this.#sql, shard, one);
    });
  }

  /** A domain's shard: who keeps most of the domain. */
  async keepers(domain: Domain): Promise<Keeper[]> {
    return keepersOf(this.#sql, domain);
  }

  /** Root shard: what nodes pledge to the domain. */
  async pledges(domain: Domain): Promise<DomainPledges> {
    return this.#pledges.to(domain, Date.now());
  }

  async locate(chunks: Hash[]): Promise<Holding[]> {
    return holdingsOf(this.#sql, chunks);
  }

  /** Takes these holders off the list, and has their chunks looked at. */
  async loseHolders(losses: Loss[]): Promise<void> {
    await this.#duties.noteChange();
    this.ctx.storage.transactionSync(() => {
      for (const { chunk, node, reason } of losses) {
        if (removeHolder(this.#sql, chunk, node)) queueRepair(this.#sql, chunk, reason, Date.now());
      }
    });
    await this.#duties.askRepairs();
  }

  /** Has chunks looked at that share a failure domain with others of their stripe. */
  async lookAt(chunks: Hash[]): Promise<void> {
    for (const chunk of chunks) queueRepair(this.#sql, chunk, "crowded", Date.now());
    await this.#duties.askRepairs();
  }

  /** On how many failure domains chunks are without a node that asks before it goes; where it is leaving, what is short is repaired. */
  async kept(question: { chunks: Hash[]; node: NodeId; isLeaving: boolean }): Promise<KeptChunk[]> {
    const kept = await keptWithout(this.#sql, new IndexClient(this.env), question, Date.now());
    await this.#duties.askRepairs();
    return kept;
  }

  /** Takes in what reads of chunks from nodes came to, by whomever of this edge they were made. */
  async noteChecks(checks: Check[]): Promise<void> {
    await this.#duties.noteChecks(checks);
  }

  /** Has holders that a client complained of read next; says how many of them. */
  async suspect(suspects: Suspect[]): Promise<number> {
    if (!this.#duties.audits) return 0;
    const added = this.ctx.storage.transactionSync(() => addSuspects(this.#sql, suspects, Date.now()));
    if (added > 0) await this.#duties.askAuditOfSuspects();
    return added;
  }

  /** Nodes' leaf shard: takes in what was seen of them, and tells the ancestors and the nodes themselves. */
  async noteSights(sights: Sight[]): Promise<void> {
    const checked = sights.filter(({ checks }) => checks.length > 0).map(({ node }) => node);
    const records = this.ctx.storage.transactionSync(() => {
      for (const sight of sights) noteSight(this.#sql, sight, Date.now());
      return checked.map((node) => recordOf(this.#sql, node));
    });
    const index = new IndexClient(this.env);
    await index.putRecords(records);
    for (const node of checked) {
      if (!takeTelling(this.#sql, node, Date.now(), TELL_INTERVAL_MS)) continue;
      const record = nodeRecord(this.#sql, node, Date.now());
      if (record !== null) await index.link(node).tellRecord(record);
    }
  }

  /** A node's leaf shard or its ancestors: what is known of members. */
  async putRecords(records: MemberRecord[], _place: Place = "leaf"): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const record of records) putRecord(this.#sql, record);
    });
  }

  /** A node's leaf shard: what it is told of itself; null where nothing is known yet. */
  async nodeRecord(node: NodeId): Promise<NodeRecord | null> {
    return nodeRecord(this.#sql, node, Date.now());
  }

  /** A name's shard: of each use, whether a Version that stands needs it. Of what is older than its tables it cannot tell. */
  async needed(uses: Use[]): Promise<boolean[]> {
    const born = await this.#duties.bornMs();
    return uses.map((use) => use.sinceMs < born || hasStanding(this.#sql, use));
  }

  /** A name's shard: what these Removals have ended, as much of it as can be told at once. */
  async endedBy(removals: StatementPlace[]): Promise<EndedUse[]> {
    const ended: EndedUse[] = [];
    const born = await this.#duties.bornMs();
    for (const removal of removals) {
      const limit = ENDED_MANIFESTS_MAX - ended.length;
      ended.push(...endedBy(this.#sql, removal, { limit, bornMs: born }));
    }
    return ended;
  }

  /** Deletes references that have ended; what their domains are charged for here then. */
  async endUses(uses: EndedUse[]): Promise<DomainTotal[]> {
    return this.ctx.storage.transactionSync(() => endUses(this.#sql, uses, Date.now()));
  }

  /** What becomes of the chunks that a node holds, in their order. Where nothing is ever collected, all are needed. */
  async takeInventory(node: NodeId, chunks: InventoryChunk[]): Promise<InventoryState[]> {
    if (collectIntervalMs(parseSettings(this.env)) === 0) return chunks.map(() => "needed");
    // After an upgrade, or where collecting was off, nobody else may have.
    await this.#duties.askCollect();
    const born = await this.#duties.bornMs();
    const states = this.ctx.storage.transactionSync(() =>
      chunks.map((chunk) => settleInventory(this.#sql, node, chunk, { born, nowMs: Date.now() })),
    );
    if (states.includes("released")) await this.#duties.noteChange();
    return states;
  }

  /**
   * Takes in all that a node says that it holds of a partition. While this shard is young, what it knows no use for may find
   * one: other nodes bring the statements.
   */
  async claim(claim: PartitionClaim): Promise<ClaimAnswer> {
    const nowMs = Date.now();
    const result = this.ctx.storage.transactionSync(() => takeClaim(this.#sql, claim, nowMs));
    if (result.added > 0 || result.lost > 0) await this.#duties.noteChange();
    if (result.added > 0) await this.#noteClaims(nowMs);
    await this.#duties.askRepairs();
    await this.#duties.noteBehind();
    const isFinal = result.ignored === 0 || !(await this.#isYoung());
    return { ...result, isFinal };
  }

  /** Has them read; and while more may come, nothing is copied for want of them. */
  async #noteClaims(nowMs: number): Promise<void> {
    if (await this.#isYoung()) noteFilling(this.#sql, nowMs);
    await this.#duties.askPromotion();
  }

  /** What nodes bring back may still be on its way. */
  async #isYoung(): Promise<boolean> {
    return Date.now() - (await this.#duties.bornMs()) <= YOUNG_MS;
  }

  /** Appends Versions in the order given; each is accepted or refused by itself. What publishers bring is handed on. */
  async append(versions: NewVersion[], from: Origin = "publisher"): Promise<AppendResult[]> {
    await this.#duties.noteChange();
    const results = versions.map((version) => this.#statements.append(version, from));
    await this.#duties.askHandingOn();
    return results;
  }

  /** A name's shard: those of the statements that are here; whether others may find their place later. */
  async keptStatements(ids: Hash[]): Promise<{ kept: Hash[]; isYoung: boolean }> {
    return { kept: keptStatements(this.#sql, ids), isYoung: await this.#isYoung() };
  }

  /** Takes statements back, those that others wait for first; each is accepted or refused by itself. */
  async restore(statements: RestoredStatements): Promise<{ id: Hash; result: AppendResult }[]> {
    await this.#duties.noteChange();
    const results = this.#statements.restore(statements);
    await this.#duties.noteBehind();
    return results;
  }

  async listName(domain: Domain, nameHash: Hash, before: Hash | null): Promise<NamePage> {
    const page = listVersions(this.#sql, domain, nameHash, before);
    const elsewhere = before === null ? listElsewhere(this.#sql, { domain, nameHash }, Date.now()) : [];
    const [newest] = page.versions;
    if (before !== null || newest === undefined) return { ...page, manifest: null, removals: [], elsewhere };
    return {
      ...page,
      elsewhere,
      manifest: manifestBytes(this.#sql, newest.manifest),
      removals: listRemovals(this.#sql, { domain, nameHash }),
    };
  }

  async newestHead(domain: Domain, nameHash: Hash): Promise<Pick<VersionHead, "id" | "sequence"> | null> {
    return newestHead(this.#sql, { domain, nameHash });
  }

  /** A name's Versions, oldest first, with all that a peer needs to take them in. */
  async bundles(query: BundleQuery): Promise<PeerNameAnswer> {
    return listBundles(this.#sql, query);
  }

  /** The statements of a name that a holder of one of its Manifests keeps. */
  async bundlesOf(use: ManifestUse): Promise<PostedJson[]> {
    return bundlesOf(this.#sql, use);
  }

  /** Versions that peers have, and that could not be taken in here. */
  async noteElsewhere(told: ToldVersion[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const one of told) noteElsewhere(this.#sql, one, Date.now());
    });
  }

  /** The newest Version of each name; null where it has none here. */
  async newest(names: NameKey[]): Promise<(NewestVersion | null)[]> {
    return newestVersions(this.#sql, names, LOOKUP_MANIFEST_MAX);
  }

  async head(domain: Domain, nameHash: Hash, only: Hash | null): Promise<HeadAnswer | null> {
    return objectHead(this.#sql, domain, nameHash, only);
  }

  async findStatement(id: Hash): Promise<StatementPlace | null> {
    return placeOfStatement(this.#sql, id);
  }

  /** A Version or a Removal, by its id. */
  async statement(id: Hash): Promise<StoredVersion | StoredRemoval | null> {
    return versionById(this.#sql, id) ?? removalById(this.#sql, id);
  }

  async version(id: Hash): Promise<StoredVersion | null> {
    return versionById(this.#sql, id);
  }

  /** Keeps Removals and applies them, in the order given; each is accepted or refused by itself. */
  async remove(removals: NewRemoval[], from: Origin = "publisher"): Promise<AppendResult[]> {
    await this.#duties.noteChange();
    const results = removals.map((removal) => this.#statements.remove(removal, from));
    await this.#duties.askHandingOn();
    return results;
  }

  /**
   * Takes in what a NodeLink says of its node. An older epoch than the one known changes nothing. Written before anything is
   * waited for: a shard above its children keeps members too, so nothing else would notice that it is their leaf no more.
   */
  async putMember(member: MemberReport, place: Place = "leaf"): Promise<boolean> {
    const isKept = this.ctx.storage.transactionSync(() => putMember(this.#sql, place, member, Date.now()));
    this.#pledges.changed(member);
    await this.#duties.noteChange();
    return isKept;
  }

  async members(ids: NodeId[], _place: Place = "leaf"): Promise<Member[]> {
    return membersById(this.#sql, ids);
  }

  async closest(target: Hash, count: number, _place: Place = "leaf"): Promise<MemberPage<Member>> {
    return closestMembers(this.#sql, target, count);
  }

  /** Remembers that a DNS name was seen with DNSSEC; true where it was, and comes without. */
  async noteDnssec(sight: DnssecSight): Promise<boolean> {
    return noteDnssec(this.#sql, sight, Date.now(), parseSettings(this.env).dnssecMemoryMs);
  }

  /** Root shard: since when a shard is complete that has not reported in its life, milliseconds. */
  async birthOf(prefix: ShardPrefix): Promise<number> {
    return birthOf(this.#sql, prefix, Date.now());
  }

  /** Root shard: hears how far a link has come with what its node keeps. */
  async noteInventory(report: InventoryReport): Promise<void> {
    putInventory(this.#sql, report);
  }

  /** Root shard: hears by which of its reports a shard says what nodes have brought back to it. */
  async noteBehind(prefix: ShardPrefix, report: number): Promise<void> {
    noteBehind(this.#sql, prefix, report);
  }

  /** Root shard: takes a shard's report. */
  async report(prefix: ShardPrefix, report: ShardReport): Promise<void> {
    putReport(this.#sql, prefix, report, Date.now());
  }

  /** Root shard: the network in numbers, from the latest reports and its own members. */
  async network(memberLimit: number): Promise<Network> {
    const report = mergeReports(this.#sql, Date.now());
    const domains = report.domains.map((one) => {
      const { pledgedBytes, supporters } = this.#pledges.to(one.domain, Date.now());
      return { ...one, pledgedBytes, supporters };
    });
    return {
      ...report,
      domains,
      shards: shardsOf(this.#sql, parseSettings(this.env).shardDepth),
      counts: countMembers(this.#sql),
      inventories: sumInventories(this.#sql),
      members: listMembers(this.#sql, memberLimit),
    };
  }

  /** Root shard: carries out what an operator said in a verified statement, once. */
  async changeDenials(statement: Hash, change: DenialChange): Promise<DenialsResult> {
    try {
      const apply = () => applyChange(this.#sql, statement, change, Date.now());
      const { changed } = this.ctx.storage.transactionSync(apply);
      return { status: "done", changed, denials: change.action === "list" ? listDenials(this.#sql) : [] };
    } catch (error) {
      if (error instanceof HoldfastError)
        return { status: "refused", code: error.code, detail: error.message };
      throw error;
    }
  }

  /** Root shard: what was blocked since a copy of the list was made. */
  async denialsSince(mark: DenialsMark): Promise<DenialsUpdate> {
    return denialsSince(this.#sql, mark);
  }

  /** Root shard: false where an operator's verified statement was carried out already. */
  async takeStatement(statement: Hash): Promise<boolean> {
    return this.ctx.storage.transactionSync(() => takeStatement(this.#sql, statement, Date.now()));
  }

  /** Root shard: how far a shard is that splits. */
  async noteSplit(prefix: ShardPrefix, progress: SplitProgress): Promise<void> {
    noteSplit(this.#sql, prefix, progress, Date.now());
  }

  /** Root shard: all shards, as far as it has heard. */
  async shards(): Promise<{ leaves: ShardPrefix[]; split: ShardPrefix[] }> {
    return shardPrefixes(this.#sql, parseSettings(this.env).shardDepth);
  }

  /** Has this shard split, or says how far it is. */
  async split(): Promise<SplitProgress> {
    // Whom nobody has called yet is not yet in its parent's place.
    await this.takeOver();
    await this.#duties.bornMs();
    const progress = await this.#split.begin();
    await this.#duties.askSplit();
    return progress;
  }

  /** A child-to-be: writes rows of its parent. */
  async receive(batch: CopyBatch): Promise<void> {
    this.#heir.receive(batch);
  }

  /** A child: takes its parent's place, if it is split, and begins what a shard does by itself. */
  async takeOver(): Promise<void> {
    await this.#heir.takeOver();
    await this.#duties.begin();
  }

  /** A parent: leaves its place to a child. Throws where it is not split. */
  async handOver(child: ShardPrefix): Promise<Inheritance> {
    if (this.#state.get().state !== "split") throw new Error(`shard ${this.#prefix()} is not split`);
    return inheritanceOf(this.#sql, child);
  }

  override alarm(): Promise<void> {
    return this.#duties.run(Date.now());
  }

  /** Before it answers as a leaf: throws `moved` where it is none any more; what to wait for where it is about to be one. */
  #admit(): Promise<void> | null {
    const { state } = this.#state.get();
    if (state === "split") throw new MovedError(this.#prefix());
    return state === "receiving" ? this.takeOver() : null;
  }

  #prefix(): ShardPrefix {
    const { name } = this.ctx.id;
    if (name === undefined) throw new TypeError("a PartitionShard is addressed by name");
    return name.slice(shardName("").length);
  }
}
