// A shard's duty towards peers: it hands on what it has accepted, many statements in one request, and goes on until each peer
// has said what it did with them. A peer that is down gets them when it is back.

import { requestJson } from "../lib/client/request.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import {
  type NamesResult,
  type PostedJson,
  parseNamesAnswer,
  STATEMENTS_PER_POST_MAX,
} from "../lib/wire/names.ts";
import { PEER_HEADERS } from "../lib/wire/peers.ts";
import { bundleOf } from "./bundles.ts";
import {
  dueRows,
  nextDueMs,
  notePeerAnswer,
  notePeerFailure,
  type OutboxRow,
  postponeRow,
  removeRow,
  trimOutbox,
} from "./outbox-table.ts";

/** What comes within this time of a statement is handed on with it. */
export const HAND_ON_DELAY_MS = 300;
/** A peer asks DNS, and perhaps us, before it answers. */
const LIMITS = { idleMs: 20_000, totalMs: 30_000 };
/** Characters of the statements in one request; one alone may have more. */
export const HANDED_ON_TEXT_MAX = 4 * 1024 * 1024;
/** 100 results with a witness each. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** Codes by which a peer says no for good. */
const FINAL_CODES: readonly string[] = [
  ...["fork", "gone", "unavailable-for-legal-reasons", "name-owned", "statement-expired", "removed"],
  ...["invalid-statement", "invalid-manifest", "invalid-signature", "not-canonical", "time-order"],
];

interface Offer {
  row: OutboxRow;
  posted: PostedJson;
}

/** One request to each peer that something waits for; when the next is due, or null. */
export async function handOn(
  sql: SqlStorage,
  peers: readonly string[],
  nowMs: number,
): Promise<number | null> {
  trimOutbox(sql, peers, nowMs);
  await Promise.all(peers.map((peer) => handOnTo(sql, peer, nowMs)));
  const dues = peers.map((peer) => nextDueMs(sql, peer)).filter((ms) => ms !== null);
  return dues.length === 0 ? null : Math.max(Math.min(...dues), nowMs + HAND_ON_DELAY_MS);
}

async function handOnTo(sql: SqlStorage, peer: string, nowMs: number): Promise<void> {
  if ((nextDueMs(sql, peer) ?? Number.POSITIVE_INFINITY) > nowMs) return;
  const offers = offersFor(sql, peer, nowMs);
  if (offers.length === 0) return;
  try {
    const results = await post(peer, offers);
    notePeerAnswer(sql, peer, Date.now());
    for (const [i, { row }] of offers.entries()) settle(sql, peer, row, results[i], Date.now());
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    console.warn(`${peer} was not given ${offers.length} statements: ${error.message}`);
    notePeerFailure(sql, peer, Date.now());
  }
}

/** As many as one request takes. What is here no longer is not handed on. */
function offersFor(sql: SqlStorage, peer: string, nowMs: number): Offer[] {
  const offers: Offer[] = [];
  let length = 0;
  for (const row of dueRows(sql, peer, STATEMENTS_PER_POST_MAX, nowMs)) {
    const posted = bundleOf(sql, row.id);
    if (posted === null) {
      removeRow(sql, row);
      continue;
    }
    length += JSON.stringify(posted).length;
    if (length > HANDED_ON_TEXT_MAX && offers.length > 0) break;
    offers.push({ row, posted });
  }
  return offers;
}

/** Throws `bad-answer` where not each statement has its result, and what requestJson throws. */
async function post(peer: string, offers: readonly Offer[]): Promise<NamesResult[]> {
  const { results } = await requestJson((url, init) => fetch(url, init), `${peer}/peer/names`, {
    method: "POST",
    headers: PEER_HEADERS,
    body: JSON.stringify({ statements: offers.map(({ posted }) => posted), receipts: [] }),
    limits: LIMITS,
    waitsMax: 0,
    maxBytes: ANSWER_BYTES_MAX,
    parse: parseNamesAnswer,
  });
  const isComplete =
    results.length === offers.length && results.every(({ id }, i) => id === offers[i]?.row.id);
  if (isComplete) return results;
  throw new HoldfastError("bad-answer", `${peer} did not say what it did with each statement`);
}

function settle(
  sql: SqlStorage,
  peer: string,
  row: OutboxRow,
  result: NamesResult | undefined,
  nowMs: number,
): void {
  if (result === undefined || result.status !== "refused") {
    removeRow(sql, row);
    return;
  }
  const { code, detail } = result.problem;
  console.warn(`${peer} does not take ${row.id}: ${code}: ${detail}`);
  if (FINAL_CODES.includes(code)) removeRow(sql, row);
  else postponeRow(sql, row, nowMs);
}
