// Claims made good: what nodes say that they hold is read from them once, a little at a time and without being asked, so that
// it counts as copies again. After an index was lost all holders are claims; else there are few.

import pLimit from "p-limit";
import { isDelisted } from "../lib/durability/standing.ts";
import type { Hash, NodeId } from "../lib/hash.ts";
import type { Check } from "./audits.ts";
import { CLAIMED } from "./chunks-table.ts";
import { takeNews } from "./claims.ts";
import type { IndexClient } from "./index-client.ts";
import type { Member } from "./members-table.ts";
import { readSetting, writeSetting } from "./settings-table.ts";

/** Claims looked at in one step; */
export const CLAIMS_PER_STEP_MAX = 64;
/** bytes that are read of them (one is read whatever its size), */
export const CLAIM_BYTES_PER_STEP_MAX = 16 * 1024 * 1024;
/** and how many at a time. The platform opens six connections at once for one request. */
export const CLAIMS_READ_AT_ONCE = 6;
/** The pause between two steps, */
export const CLAIMS_PAUSE_MS = 1_000;
/** and between two walks, where claims are left that did not come meanwhile: their nodes are offline, or gave nothing. */
export const CLAIMS_PERIOD_MS = 10 * 60_000;

const CURSOR_SETTING = "claims-after";

/** What one step saw; `nextMs` is null where no claim is left. */
export interface Promotion {
  checks: Check[];
  nextMs: number | null;
  /** The walk has come to its end. */
  isEnd: boolean;
}

interface Claim {
  chunk: Hash;
  node: NodeId;
  size: number;
}

/** One step of a walk over the claims, in the order of chunks and nodes. */
export async function promoteClaims(sql: SqlStorage, index: IndexClient, nowMs: number): Promise<Promotion> {
  const after = readSetting(sql, CURSOR_SETTING) ?? "";
  if (after === "") takeNews(sql);
  const batch = withinBudget(claimsAfter(sql, after));
  const members = await index.members(batch.map(({ node }) => node));
  const limit = pLimit(CLAIMS_READ_AT_ONCE);
  const read = batch.map((claim) => limit(() => readClaim(index, claim, members.get(claim.node))));
  const checks = (await Promise.all(read)).filter((check) => check !== null);
  await index.checkLinks(new Set(checks.flatMap(({ code, node }) => (code === "unreachable" ? [node] : []))));
  const last = batch.at(-1);
  const isEnd = last === undefined;
  writeSetting(sql, CURSOR_SETTING, isEnd ? "" : cursorOf(last));
  if (!isEnd) return { checks, isEnd, nextMs: nowMs + CLAIMS_PAUSE_MS };
  if (claimsAfter(sql, "").length === 0) return { checks, isEnd, nextMs: null };
  return { checks, isEnd, nextMs: nowMs + (takeNews(sql) ? CLAIMS_PAUSE_MS : CLAIMS_PERIOD_MS) };
}

function claimsAfter(sql: SqlStorage, cursor: string): Claim[] {
  const [chunk = "", node = ""] = cursor.split(" ");
  return sql
    .exec<{ chunk: Hash; node: NodeId; size: number }>(
      `SELECT chunk, node, size FROM holders INDEXED BY holders_claimed
       WHERE checked = ${CLAIMED} AND (chunk, node) > (?, ?) ORDER BY chunk, node LIMIT ${CLAIMS_PER_STEP_MAX}`,
      chunk,
      node,
    )
    .toArray();
}

function cursorOf({ chunk, node }: Claim): string {
  return `${chunk} ${node}`;
}

function withinBudget(claims: Claim[]): Claim[] {
  let bytes = 0;
  return claims.filter(({ size }, i) => {
    bytes += size;
    return i === 0 || bytes <= CLAIM_BYTES_PER_STEP_MAX;
  });
}

/** Null for what is not read now: by a node that is offline, or that has not kept what it said before. */
async function readClaim(
  index: IndexClient,
  { chunk, node }: Claim,
  member: Member | undefined,
): Promise<Check | null> {
  if (member === undefined || !member.online || isDelisted(member.standing)) return null;
  const { status } = await index.read(member, { hash: chunk });
  return { chunk, node, code: status === "read" ? "passed" : status };
}
