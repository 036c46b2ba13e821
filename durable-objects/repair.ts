// Brings a chunk back to where it should be: new holders are chosen as at a publish, and told to copy it from those that
// are left. A shard never carries the bytes; it believes a signed receipt of the new holder, and of the others nothing bad
// that it has not seen itself.

import { countsAsCopy } from "../lib/durability/copies.ts";
import {
  PULL_PATIENCE_MS,
  PULL_SOURCES_MAX,
  type PullAnswer,
  type PullOrder,
  parsePullAnswer,
} from "../lib/durability/pull.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../lib/manifest.ts";
import { placeReplicas } from "../lib/overlay/placement.ts";
import type { ShardPrefix } from "../lib/overlay/shards.ts";
import { acceptsDomain } from "../lib/pledge.ts";
import { errorOf } from "../lib/problem.ts";
import { PULL_PATH } from "../lib/tunnel/passage.ts";
import { verifyReceipt } from "../lib/upload.ts";
import { parseProblem, SMALL_ANSWER_MAX } from "../lib/wire/problem.ts";
import { parseSigned } from "../lib/wire/signed.ts";
import { applyChecks } from "./audits.ts";
import { fillingUntilMs } from "./birth.ts";
import { readJsonBody } from "./body.ts";
import { handBundles } from "./bundle-handing.ts";
import { addHolders, dropHolder, removeHolder } from "./chunks-table.ts";
import type { IndexClient } from "./index-client.ts";
import type { Member } from "./members-table.ts";
import { orAfter, pause } from "./patience.ts";
import {
  awaitHolders,
  dueRepairs,
  endRepair,
  markCrowded,
  nextRepairMs,
  noteRepaired,
  postponeRepair,
  type RepairRow,
} from "./repairs-table.ts";
import { type ChunkRecord, chunkRecord, type Judgement, judgeChunk, type Shortage } from "./shortage.ts";
import { findStripe } from "./stripe-finder.ts";

/** Chunks that a shard has under repair at a time, */
export const REPAIRS_AT_ONCE = 8;
/** and bytes of them (one is taken whatever its size). */
export const REPAIR_BYTES_AT_ONCE = 4 * CHUNK_BYTES_MAX;
/** A step begins no more repairs after this long, */
export const REPAIR_STEP_MS = 60_000;
/**
 * and the next begins after a pause. So long, too, a repair keeps its place however soon it is over: in that time a shard moves
 * REPAIR_BYTES_AT_ONCE at most. And so long what is queued during a step waits to be seen.
 */
export const REPAIR_PAUSE_MS = 500;
/** Nodes asked in turn to take one copy. */
export const TAKERS_TRIED_MAX = 3;
/** Claims that are read for each copy that is missing: some are false. */
export const CLAIMS_PER_COPY_MAX = 3;
/** Holders that a taker complained of and that are read to see for ourselves, for one repair. */
export const SUSPECTS_READ_MAX = 2;
/** A stripe that has fewer failure domains than chunks for so many attempts is crowded: better a chunk beside another than none. */
export const CROWDED_AFTER_ATTEMPTS = 5;

/**
 * Repairs what is due, one that takes long beside the others; returns when the next one is due, or null where none waits.
 */
export async function repairStep(
  sql: SqlStorage,
  index: IndexClient,
  shard: ShardPrefix,
  nowMs: number,
): Promise<number | null> {
  const underWay = new Map<Hash, { bytes: number; done: Promise<void> }>();
  const untilMs = Date.now() + REPAIR_STEP_MS;
  for (;;) {
    const row = Date.now() < untilMs ? nextDue(sql, underWay, Math.max(nowMs, Date.now())) : null;
    if (row === null && underWay.size === 0) break;
    if (row === null) {
      // What is queued meanwhile is taken up as well.
      await orAfter(Promise.race([...underWay.values()].map(({ done }) => done)), REPAIR_PAUSE_MS);
      continue;
    }
    const bytes = bytesOf(sql, row);
    const work = Promise.all([new Repair(sql, index, shard, row).run(), pause(REPAIR_PAUSE_MS)]);
    underWay.set(row.chunk, { bytes, done: work.then(() => void underWay.delete(row.chunk)) });
  }
  const next = nextRepairMs(sql);
  return next === null ? null : Math.max(next, Date.now() + REPAIR_PAUSE_MS);
}

/** The one that has waited longest, if there is room for it beside those that are under way. */
function nextDue(
  sql: SqlStorage,
  underWay: ReadonlyMap<Hash, { bytes: number }>,
  nowMs: number,
): RepairRow | null {
  if (underWay.size >= REPAIRS_AT_ONCE) return null;
  const due = dueRepairs(sql, nowMs, underWay.size + 1);
  const row = due.find(({ chunk }) => !underWay.has(chunk)) ?? null;
  if (row === null || underWay.size === 0) return row;
  const bytes = [...underWay.values()].reduce((sum, one) => sum + one.bytes, bytesOf(sql, row));
  return bytes <= REPAIR_BYTES_AT_ONCE ? row : null;
}

function bytesOf(sql: SqlStorage, { chunk }: RepairRow): number {
  return sizeOf(chunkRecord(sql, chunk)) ?? CHUNK_BYTES_MAX;
}

/** Null where its holders do not agree: their receipts say it, and one of them lies. */
function sizeOf({ holders }: ChunkRecord): number | null {
  const [size, ...others] = new Set(holders.map(({ sizeBytes }) => sizeBytes));
  return size === undefined || others.length > 0 ? null : size;
}

/** What came of an attempt to make one copy. */
type Copied = { ok: true } | { ok: false; isUnreadable: boolean; detail: string };

class Repair {
  readonly #sql: SqlStorage;
  readonly #index: IndexClient;
  readonly #shard: ShardPrefix;
  readonly #row: RepairRow;
  /** Nodes that were told to copy it. */
  readonly #asked = new Set<NodeId>();
  #suspectsRead = 0;

  constructor(sql: SqlStorage, index: IndexClient, shard: ShardPrefix, row: RepairRow) {
    this.#sql = sql;
    this.#index = index;
    this.#shard = shard;
    this.#row = row;
  }

  /** Never throws: one chunk that cannot be repaired must not keep the others waiting. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      console.error(`the repair of chunk ${this.#row.chunk} failed: ${error}`);
      this.#postpone({ isUnreadable: false, detail: `failed: ${error}` });
    }
  }

  async #run(): Promise<void> {
    await this.#readClaims();
    const { record, judged } = await this.#look();
    for (const { node } of judged.lost) removeHolder(this.#sql, record.chunk, node);
    const fillingMs = fillingUntilMs(this.#sql, this.#index.settings.repairGraceMs, Date.now());
    if (judged.shortages.length > 0 && fillingMs !== null)
      return awaitHolders(this.#sql, record.chunk, fillingMs);
    const copied = await this.#copyFor(judged.shortages, record, judged);
    if (judged.shortages.length > 0 && (await this.#look()).judged.shortages.length > 0) {
      const failure = copied.find((one) => !one.ok);
      this.#postpone(failure ?? { isUnreadable: false, detail: "more copies are needed" });
    } else if (await this.#isSpread(record)) endRepair(this.#sql, record.chunk);
    else {
      markCrowded(this.#sql, record.chunk);
      this.#postpone({
        isUnreadable: false,
        detail: "another chunk of its stripe is on the same failure domain",
      });
    }
  }

  /** Before anything is copied: those who only say that they hold the chunk are read, and are copies or none. */
  async #readClaims(): Promise<void> {
    const { judged } = await this.#look();
    const missing = Math.max(0, ...judged.shortages.map((shortage) => shortage.missing));
    const claims = judged.holders.filter(({ row, member }) => row.isClaim && member.online);
    const checks = await Promise.all(
      claims.slice(0, missing * CLAIMS_PER_COPY_MAX).map(async ({ row: { node }, member }) => {
        const { status } = await this.#index.read(member, { hash: this.#row.chunk });
        return { chunk: this.#row.chunk, node, code: status === "read" ? ("passed" as const) : status };
      }),
    );
    await this.#index.noteSights(applyChecks(this.#sql, this.#shard, checks, Date.now()));
  }

  /**
   * Whether the chunk has a failure domain of its own in each stripe. Shards that repair chunks of one stripe at the same time
   * may choose the same: whoever is left over is copied once more, by its own shard.
   */
  async #isSpread({ chunk, targets }: ChunkRecord): Promise<boolean> {
    let isSpread = true;
    for (const domain of targets.keys()) {
      const found = await findStripe(this.#sql, this.#index, chunk, domain);
      const crowded = found?.crowded ?? [];
      await this.#index.lookAt(crowded.filter((hash) => hash !== chunk));
      if (!crowded.includes(chunk)) continue;
      const { record, judged } = await this.#look();
      await this.#copy(domain, record, judged);
      const again = await findStripe(this.#sql, this.#index, chunk, domain);
      isSpread &&= !(again?.crowded.includes(chunk) ?? true);
    }
    return isSpread;
  }

  async #look(): Promise<{ record: ChunkRecord; judged: Judgement }> {
    const record = chunkRecord(this.#sql, this.#row.chunk);
    const members = await this.#index.members(record.holders.map(({ node }) => node));
    const graceMs = this.#index.settings.repairGraceMs;
    return { record, judged: judgeChunk(record, members, { nowMs: Date.now(), graceMs }) };
  }

  /** A copy that one domain lacks may be one that the next lacks as well: they are made one after the other. */
  async #copyFor(shortages: Shortage[], record: ChunkRecord, judged: Judgement): Promise<Copied[]> {
    const copied: Copied[] = [];
    for (const { domain, missing } of shortages) {
      for (let i = 0; i < missing; i++) copied.push(await this.#copy(domain, record, judged));
    }
    return copied;
  }

  async #copy(domain: Shortage["domain"], record: ChunkRecord, judged: Judgement): Promise<Copied> {
    const sources = sourcesOf(judged);
    const found = await findStripe(this.#sql, this.#index, record.chunk, domain);
    if (sources.length === 0 && found === null) return { ok: false, isUnreadable: true, detail: "" };
    const stripe = found === null ? {} : { stripe: found.stripe };
    const size = sizeOf(record) ?? found?.sizeBytes ?? null;
    const mayCrowd = judged.shortages.length > 0 && this.#row.attempts >= CROWDED_AFTER_ATTEMPTS;
    const apartFrom = mayCrowd ? [] : (found?.taken ?? []);
    let detail = "no other home node has room, is online and takes the domain";
    for (let tries = 0; tries < TAKERS_TRIED_MAX; tries++) {
      const taker = await this.#chooseTaker(domain, record, judged, apartFrom);
      if (taker === null) break;
      this.#asked.add(taker.id);
      const order = { chunk: record.chunk, size, domain, sources, ...stripe };
      const answer = await this.#order(taker, order);
      if (typeof answer === "string") detail = answer;
      else if (await this.#settle(answer, taker, order, judged)) return { ok: true };
      else return { ok: false, isUnreadable: true, detail: "" };
    }
    return { ok: false, isUnreadable: false, detail };
  }

  async #chooseTaker(
    domain: Shortage["domain"],
    record: ChunkRecord,
    judged: Judgement,
    apartFrom: Iterable<string>,
  ): Promise<Member | null> {
    const counting = judged.holders.filter(
      ({ state, member }) => countsAsCopy(state) && acceptsDomain(member, domain),
    );
    const candidates = (await this.#index.candidates(record.chunk)).filter(takesMore);
    const asked = candidates.filter(({ id }) => this.#asked.has(id));
    const [chosen] = placeReplicas(
      {
        chunk: record.chunk,
        sizeBytes: sizeOf(record) ?? CHUNK_BYTES_MAX,
        domain,
        count: 1,
        taken: new Set([
          ...[...counting.map(({ member }) => member), ...asked].map((node) => node.failureDomain),
          ...apartFrom,
        ]),
        avoid: new Set(judged.holders.flatMap(({ state, row }) => (state === "gone" ? [] : [row.node]))),
        holders: counting.map(({ member }) => member),
        hoursYield: true,
        nowMs: Date.now(),
      },
      candidates,
    );
    return candidates.find(({ id }) => id === chosen) ?? null;
  }

  /** The node's answer, or in words why there is none. */
  async #order(taker: Member, order: PullOrder): Promise<PullAnswer | string> {
    // Not AbortSignal.timeout: what waits on would keep the shard in memory long after the answer has come.
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(new Error("no answer in time")), PULL_PATIENCE_MS);
    try {
      const response = await this.#index.link(taker.id).fetch(`http://link.invalid${PULL_PATH}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(order),
        redirect: "manual",
        signal: patience.signal,
      });
      const body = await readJsonBody(response, SMALL_ANSWER_MAX);
      if (response.status === 200) return parsePullAnswer(body);
      return `${taker.id} refused: ${errorOf(parseProblem(body)).message}`;
    } catch (error) {
      return `${taker.id} did not answer: ${error instanceof Error ? error.message : error}`;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes in what the new holder answered; true where it holds the chunk now. */
  async #settle(answer: PullAnswer, taker: Member, order: PullOrder, judged: Judgement): Promise<boolean> {
    await this.#lookAtFailures(answer, judged);
    const sizeBytes = await receiptSize(answer, taker, order);
    if (sizeBytes === null) return false;
    // Before it counts: a Manifest whose names its holders do not know is found by an edge only.
    await handBundles(this.#sql, this.#index, order.chunk, taker.id);
    const { id: node, lostMs } = taker;
    addHolders(this.#sql, [{ chunk: order.chunk, node, sizeBytes, lostMs }], Date.now());
    noteRepaired(this.#sql, sizeBytes, Date.now());
    return true;
  }

  /** A new holder's word is not enough to take others off the list: they are read once more from here. */
  async #lookAtFailures({ failed }: PullAnswer, judged: Judgement): Promise<void> {
    const unreachable = failed.filter(({ code }) => code === "unreachable");
    if (unreachable.length > 0) await this.#index.checkLinks(unreachable.map(({ id }) => id));
    for (const { id, code } of failed) {
      const holder = judged.holders.find(({ row }) => row.node === id);
      if (code === "unreachable" || holder === undefined || this.#suspectsRead >= SUSPECTS_READ_MAX) continue;
      this.#suspectsRead += 1;
      const { status } = await this.#index.read(holder.member, { hash: this.#row.chunk });
      if (status === "missing" || status === "corrupt") dropHolder(this.#sql, this.#row.chunk, id);
    }
  }

  #postpone(why: { isUnreadable: boolean; detail: string }): void {
    postponeRepair(this.#sql, this.#row, why, Date.now());
  }
}

/** Holders that can be read from now, those that count first. */
function sourcesOf({ holders }: Judgement): PullOrder["sources"] {
  const online = holders.filter(({ member, state }) => member.online && state !== "gone");
  return online
    .toSorted((a, b) => Number(countsAsCopy(b.state)) - Number(countsAsCopy(a.state)))
    .slice(0, PULL_SOURCES_MAX)
    .map(({ member: { id, url } }) => ({ id, url }));
}

function takesMore({ leaving, awayUntilMs }: Member): boolean {
  return !leaving && (awayUntilMs === null || awayUntilMs <= Date.now());
}

/** The size in bytes that the receipt gives the chunk; null where there is no receipt that holds. */
async function receiptSize({ receipt }: PullAnswer, taker: Member, order: PullOrder): Promise<number | null> {
  if (receipt === null) return null;
  try {
    const { body } = await verifyReceipt(parseSigned(receipt), Date.now());
    const held = body.chunks.find(({ hash }) => hash === order.chunk);
    const isRight = body.node === taker.id && body.domain === order.domain && held !== undefined;
    if (isRight && (order.size === null || order.size === held.size)) return held.size;
    throw new HoldfastError("receipt-invalid", "the receipt is for something else");
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    console.warn(`${taker.id} copied chunk ${order.chunk} and gave no good receipt: ${error.message}`);
    return null;
  }
}
