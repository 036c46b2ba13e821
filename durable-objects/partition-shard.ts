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
import { type ShardPrefix, shardName } from "../lib/overlay/shards.ts";
import { LOOKUP_MANIFEST_MAX, type NameKey } from "../lib/wire/names.ts";
import type { Check } from "./audits.ts";
import { birthOf } from "./birth.ts";
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
import { collectIntervalMs, endUses } from "./collector.ts";
import {
  applyChange,
  type DenialsMark,
  type DenialsUpdate,
  denialsSince,
  listDenials,
} from "./denials-table.ts";
import { type DnssecSight, noteDnssec } from "./dnssec-table.ts";
import { type Env, parseSettings } from "./env.ts";
import { IndexClient } from "./index-client.ts";
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
import { type DomainPledges, Pledges } from "./pledges-table.ts";
import { settleInventory } from "./references-table.ts";
import {
  applyRemoval,
  listRemovals,
  type NewRemoval,
  removalById,
  type StoredRemoval,
} from "./removals-table.ts";
import { type Loss, queueRepair } from "./repairs-table.ts";
import { mergeReports, putReport, type ShardReport } from "./reports-table.ts";
import { migrateShard } from "./schema.ts";
import type {
  AppendResult,
  DenialsResult,
  IndexWrites,
  MemberPage,
  NamePage,
  Network,
  Witness,
  WriteResult,
} from "./shard-answers.ts";
import { ShardDuties } from "./shard-duties.ts";
import { nodeRecord, noteSight, recordOf, type Sight, takeTelling } from "./standings-table.ts";
import { indexStatements, placeOfStatement, type StatementPlace } from "./statements-table.ts";
import { addSuspects, type Suspect } from "./suspects-table.ts";
import { keptWithout } from "./sweep.ts";
import { type EndedUse, endedBy, hasStanding, type Use } from "./uses-table.ts";
import { appendVersion } from "./version-append.ts";
import {
  type HeadAnswer,
  listVersions,
  manifestBytes,
  type NewestVersion,
  type NewVersion,
  newestVersions,
  objectHead,
  type StoredVersion,
  versionById,
} from "./versions-table.ts";

/** A node hears how it stands this often; of a failure at once. */
export const TELL_INTERVAL_MS = 60 * 60 * 1000;
/** Manifests whose references are deleted as Removals end them; a walk of the collectors finds the others. */
const ENDED_MANIFESTS_MAX = 16;

export class PartitionShard extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #duties: ShardDuties;
  readonly #pledges: Pledges;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    migrateShard(ctx.storage);
    this.#pledges = new Pledges(this.#sql, parseSettings(env).repairGraceMs);
    this.#duties = new ShardDuties(ctx, env, this.#prefix());
  }

  /** Writes a publish's rows; says who holds the chunks that it references, and what their domains are charged for here. */
  async write(writes: IndexWrites): Promise<WriteResult> {
    await this.#duties.noteChange();
    if (writes.references.length > 0) await this.#duties.noteReferences();
    return this.ctx.storage.transactionSync(() => {
      const taken = addHolders(this.#sql, writes.held, Date.now());
      addReferences(this.#sql, writes.references, Date.now());
      indexStatements(this.#sql, writes.statements);
      const chunks = [...new Set(writes.references.map((reference) => reference.chunk))];
      const totals = chargeReferences(this.#sql, writes.references);
      return { holdings: holdingsOf(this.#sql, chunks), totals, taken };
    });
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
  async putRecords(records: MemberRecord[]): Promise<void> {
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

  /** Appends Versions in the order given; each is accepted or refused by itself. */
  async append(versions: NewVersion[]): Promise<AppendResult[]> {
    await this.#duties.noteChange();
    return versions.map((version) => this.#append(version));
  }

  async listName(domain: Domain, nameHash: Hash, before: Hash | null): Promise<NamePage> {
    const page = listVersions(this.#sql, domain, nameHash, before);
    const [newest] = page.versions;
    if (before !== null || newest === undefined) return { ...page, manifest: null, removals: [] };
    return {
      ...page,
      manifest: manifestBytes(this.#sql, newest.manifest),
      removals: listRemovals(this.#sql, { domain, nameHash }),
    };
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
  async remove(removals: NewRemoval[]): Promise<AppendResult[]> {
    await this.#duties.noteChange();
    return removals.map((removal) =>
      this.#accept(
        () => applyRemoval(this.#sql, removal, Date.now()),
        removal.witness,
        () => removalById(this.#sql, removal.id)?.witness,
      ),
    );
  }

  /** Takes in what a NodeLink says of its node. An older epoch than the one known changes nothing. */
  async putMember(member: MemberReport): Promise<boolean> {
    await this.#duties.noteChange();
    this.#pledges.changed(member);
    return putMember(this.#sql, this.#prefix(), parseSettings(this.env).shardDepth, member, Date.now());
  }

  async members(ids: NodeId[]): Promise<Member[]> {
    return membersById(this.#sql, ids);
  }

  async closest(target: Hash, count: number): Promise<MemberPage> {
    const members = closestMembers(this.#sql, target, count);
    return { members, complete: countMembers(this.#sql).online <= members.length };
  }

  /** Remembers that a DNS name was seen with DNSSEC; true where it was, and comes without. */
  async noteDnssec(sight: DnssecSight): Promise<boolean> {
    return noteDnssec(this.#sql, sight, Date.now(), parseSettings(this.env).dnssecMemoryMs);
  }

  /** Root shard: since when a shard is complete that has not reported in its life, milliseconds. */
  async birthOf(prefix: ShardPrefix): Promise<number> {
    return birthOf(this.#sql, prefix, parseSettings(this.env).shardDepth, Date.now());
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
      counts: countMembers(this.#sql),
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

  override alarm(): Promise<void> {
    return this.#duties.run(Date.now());
  }

  #append(version: NewVersion): AppendResult {
    return this.#accept(
      () => appendVersion(this.#sql, version, Date.now()),
      version.witness,
      () => versionById(this.#sql, version.id)?.witness,
    );
  }

  /** `write` says whether the statement is new; of one that is not, the witness is the one that is kept. */
  #accept(write: () => boolean, witness: Witness, keptWitness: () => Witness | undefined): AppendResult {
    try {
      const isNew = this.ctx.storage.transactionSync(write);
      return isNew ? { status: "accepted", witness } : { status: "known", witness: keptWitness() ?? witness };
    } catch (error) {
      if (error instanceof HoldfastError)
        return { status: "refused", code: error.code, detail: error.message };
      throw error;
    }
  }

  #prefix(): ShardPrefix {
    const { name } = this.ctx.id;
    if (name === undefined) throw new TypeError("a PartitionShard is addressed by name");
    return name.slice(shardName("").length);
  }
}
