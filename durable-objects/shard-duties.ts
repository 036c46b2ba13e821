// What a shard does by itself, on its one alarm: report upward, look over what it holds, have it repaired, audit its holders,
// read what is claimed, collect what is no longer needed, and tell domains who keeps them. When each is due follows from what is written.

import { SHARD_DEPTH_MAX, type ShardPrefix } from "../lib/overlay/shards.ts";
import { applyChecks, auditDelayMs, auditRound, type Check } from "./audits.ts";
import { bornMs } from "./birth.ts";
import { countHolders, hasHolders, sweepPins } from "./chunks-table.ts";
import { collect, collectIntervalMs, tellTotals } from "./collector.ts";
import { type DoDuty, Duties } from "./duties.ts";
import { type Env, parseSettings } from "./env.ts";
import { HAND_ON_DELAY_MS, handOn } from "./handing-on.ts";
import { IndexClient } from "./index-client.ts";
import { countKeepers, DOMAINS_TOLD_MAX, domainsToTell, nextTellingMs, noteTold } from "./keepers-table.ts";
import { nextDueMs } from "./outbox-table.ts";
import { CLAIMS_PAUSE_MS, promoteClaims } from "./promotion.ts";
import { repairStep } from "./repair.ts";
import { countRepairs, nextRepairMs } from "./repairs-table.ts";
import { collectReport, nextReport, type ShardReport } from "./reports-table.ts";
import type { Shard } from "./shard-router.ts";
import { type ShardSplit, SPLIT_BYTES } from "./shard-split.ts";
import type { StateOfShard } from "./shard-state.ts";
import { sweepStep } from "./sweep.ts";
import { hasOrigins } from "./total-origins.ts";

/** A change is reported upward so long after the first write that follows a report: longer where there is more to count. */
export const REPORT_DELAY_MIN_MS = 1000;
export const REPORT_DELAY_MAX_MS = 60_000;
const REPORT_DELAY_PER_HOLDER_MS = 3;

/** What the shard is, and what may become of it. */
export interface ShardSelf {
  prefix: ShardPrefix;
  state: StateOfShard;
  split: ShardSplit;
}

export class ShardDuties {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #env: Env;
  readonly #prefix: ShardPrefix;
  readonly #split: ShardSplit;
  readonly #duties: Duties<
    "report" | "sweep" | "repair" | "audit" | "claims" | "collect" | "keepers" | "peers" | "split"
  >;

  /** What the root shard was told last of this one being behind. */
  #behind: { report: number; told: Promise<void> } | null = null;

  constructor({ storage }: DurableObjectState, env: Env, { prefix, state, split }: ShardSelf) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#env = env;
    this.#prefix = prefix;
    this.#split = split;
    // Of a range that it does not serve, a shard does nothing.
    const asLeaf =
      (work: DoDuty): DoDuty =>
      async (nowMs) =>
        state.isOwner() ? work(nowMs) : null;
    this.#duties = new Duties(storage, {
      report: asLeaf((nowMs) => this.#report(nowMs)),
      sweep: asLeaf((nowMs) => this.#sweep(nowMs)),
      repair: asLeaf((nowMs) => this.#repair(nowMs)),
      audit: asLeaf((nowMs) => this.#audit(nowMs)),
      collect: asLeaf((nowMs) => collect(storage, new IndexClient(env), prefix, nowMs)),
      claims: asLeaf((nowMs) => this.#promote(nowMs)),
      peers: asLeaf((nowMs) => this.#handOn(nowMs)),
      keepers: asLeaf((nowMs) => this.#tellKeepers(nowMs)),
      split: (nowMs) => split.work(nowMs),
    });
  }

  /** Does what is due. */
  run(nowMs: number): Promise<void> {
    return this.#duties.run(nowMs);
  }

  /** Makes sure that a report will follow. One that is asked for already covers this write too. */
  async noteChange(): Promise<void> {
    await this.#askAudits();
    if (!this.#duties.isAsked("report")) await this.#duties.ask("report", Date.now() + this.#delayMs());
  }

  /**
   * Makes sure that the root shard counts this one as behind until the report that was asked for is there: before a link hears
   * that what its node brought is here, and tells the root shard that nothing is missing. Told once for each report.
   */
  async noteBehind(): Promise<void> {
    if (!this.#duties.isAsked("report")) return;
    const report = nextReport(this.#sql);
    if (this.#behind?.report !== report)
      this.#behind = { report, told: this.#root().noteBehind(this.#prefix, report) };
    const { told } = this.#behind;
    try {
      await told;
    } catch (error) {
      if (this.#behind?.told === told) this.#behind = null;
      throw error;
    }
  }

  #delayMs(): number {
    const delayMs = REPORT_DELAY_PER_HOLDER_MS * countHolders(this.#sql);
    return Math.min(REPORT_DELAY_MAX_MS, Math.max(REPORT_DELAY_MIN_MS, delayMs));
  }

  async #askAudits(): Promise<void> {
    if (this.#duties.isAsked("audit")) return;
    const delayMs = auditDelayMs(new IndexClient(this.#env), false);
    if (delayMs !== null) await this.#duties.ask("audit", Date.now() + delayMs);
  }

  /** False where nothing is ever audited. */
  get audits(): boolean {
    return auditDelayMs(new IndexClient(this.#env), true) !== null;
  }

  /** Has what clients complained of read soon. */
  async askAuditOfSuspects(): Promise<void> {
    const delayMs = auditDelayMs(new IndexClient(this.#env), true);
    if (delayMs !== null) await this.#duties.ask("audit", Date.now() + delayMs);
  }

  /** Takes in what reads of chunks from nodes came to. */
  async noteChecks(checks: Check[]): Promise<void> {
    await this.noteChange();
    const apply = () => applyChecks(this.#sql, this.#prefix, checks, Date.now());
    await new IndexClient(this.#env).noteSights(this.#storage.transactionSync(apply));
  }

  /** Since when this shard is complete. */
  bornMs(): Promise<number> {
    return bornMs(this.#sql, this.#prefix, this.#root());
  }

  #root(): Shard {
    return new IndexClient(this.#env).root();
  }

  /** What a shard does by itself, from when it has taken its parent's place. */
  async begin(): Promise<void> {
    await this.askSplit();
    await this.noteChange();
    await this.noteReferences();
    await this.askRepairs();
    await this.askHandingOn();
    await this.askPromotion();
  }

  /** Has what there is to do of a split gone on with. */
  async askSplit(): Promise<void> {
    await this.#duties.ask("split", Date.now());
  }

  /** Tells ledgers which part of its parent's sums are this shard's; true where all have heard of it. */
  async settleOrigins(): Promise<boolean> {
    if (hasOrigins(this.#sql)) await tellTotals(this.#sql, new IndexClient(this.#env), this.#prefix);
    return !hasOrigins(this.#sql);
  }

  /** Makes sure that references will be looked at, and that their domains will hear who keeps them. */
  async noteReferences(): Promise<void> {
    await this.askCollect();
    // To count what there is to tell is not for every write.
    if (this.#duties.isAsked("keepers", Date.now() + REPORT_DELAY_MAX_MS)) return;
    await this.#duties.ask("keepers", Date.now() + this.#delayMs());
  }

  async askCollect(): Promise<void> {
    const intervalMs = collectIntervalMs(parseSettings(this.#env));
    if (intervalMs > 0) await this.#duties.ask("collect", Date.now() + intervalMs);
  }

  /** Makes sure that what waits for peers is handed on. */
  async askHandingOn(): Promise<void> {
    const dues = this.#peers().map((peer) => nextDueMs(this.#sql, peer) ?? Number.POSITIVE_INFINITY);
    const dueMs = Math.min(...dues);
    if (Number.isFinite(dueMs))
      await this.#duties.ask("peers", Math.max(dueMs, Date.now() + HAND_ON_DELAY_MS));
  }

  #peers(): readonly string[] {
    return parseSettings(this.#env).peerEdges;
  }

  async #handOn(nowMs: number): Promise<number | null> {
    const nextMs = await handOn(this.#sql, this.#peers(), nowMs);
    await this.noteChange();
    return nextMs;
  }

  async #report(nowMs: number): Promise<null> {
    sweepPins(this.#sql, nowMs);
    // The root shard tells by reports which shards there were: before this one is there.
    await this.bornMs();
    const report = collectReport(this.#sql, nowMs);
    await this.#root().report(this.#prefix, report);
    await this.#splitIfLarge(report);
    const { sweepMs } = parseSettings(this.#env);
    if (sweepMs > 0 && hasHolders(this.#sql) && !this.#duties.isAsked("sweep"))
      await this.#duties.ask("sweep", nowMs + sweepMs);
    return null;
  }

  /** A split takes a shard's bornMs along, which is known from its first report on. */
  async #splitIfLarge({ versions, partitions, bytes }: ShardReport): Promise<void> {
    const { splitRows } = parseSettings(this.#env);
    const rows = partitions.reduce((sum, { replicas }) => sum + replicas, versions);
    const isLarge = bytes >= SPLIT_BYTES || (splitRows > 0 && rows >= splitRows);
    if (!isLarge || this.#prefix.length === SHARD_DEPTH_MAX) return;
    await this.#split.begin();
    await this.askSplit();
  }

  async #sweep(nowMs: number): Promise<number | null> {
    if (parseSettings(this.#env).sweepMs === 0) return null;
    const { short, unreadable } = countRepairs(this.#sql, nowMs);
    const nextMs = await sweepStep(this.#sql, new IndexClient(this.#env), nowMs);
    const now = countRepairs(this.#sql, nowMs);
    if (now.short !== short || now.unreadable !== unreadable) await this.noteChange();
    await this.askRepairs();
    return nextMs;
  }

  async #repair(nowMs: number): Promise<number | null> {
    if (parseSettings(this.#env).sweepMs === 0) return null;
    const nextMs = await repairStep(this.#sql, new IndexClient(this.#env), this.#prefix, nowMs);
    await this.noteChange();
    return nextMs;
  }

  /** Where shards look over nothing, they repair nothing. */
  async askRepairs(): Promise<void> {
    const nextMs = nextRepairMs(this.#sql);
    if (nextMs !== null && parseSettings(this.#env).sweepMs > 0) await this.#duties.ask("repair", nextMs);
  }

  async #audit(nowMs: number): Promise<number | null> {
    const { checks, nextMs } = await auditRound(this.#sql, new IndexClient(this.#env), this.#prefix, nowMs);
    if (checks.length > 0) await this.noteChecks(checks);
    return nextMs;
  }

  /** Has what nodes claim read soon. */
  async askPromotion(): Promise<void> {
    if (parseSettings(this.#env).sweepMs > 0) await this.#duties.ask("claims", Date.now() + CLAIMS_PAUSE_MS);
  }

  async #promote(nowMs: number): Promise<number | null> {
    const { checks, isEnd, nextMs } = await promoteClaims(this.#sql, new IndexClient(this.#env), nowMs);
    if (checks.length > 0) await this.noteChecks(checks);
    // What was short for want of a look is so no more.
    if (isEnd) await this.#duties.ask("sweep", Date.now());
    return nextMs;
  }

  /** Tells the domains' shards who keeps how much of them here, some domains at a time. */
  async #tellKeepers(nowMs: number): Promise<number | null> {
    const due = domainsToTell(this.#sql, nowMs);
    const counts = countKeepers(
      this.#sql,
      due.map(({ domain }) => domain),
    );
    await new IndexClient(this.#env).recordKeepers(this.#prefix, counts);
    noteTold(this.#sql, due, nowMs);
    return due.length < DOMAINS_TOLD_MAX ? nextTellingMs(this.#sql) : nowMs + this.#delayMs();
  }
}
