// A visit to what a node keeps of statements, some partitions at a time: which of them the index has not, and what becomes of
// these.

import type { ErrorCode } from "../lib/error.ts";
import type { Hash } from "../lib/hash.ts";
import { parseListedStatements } from "../lib/inventory-digests.ts";
import { NAMES_INVENTORY_PATH } from "../lib/tunnel/passage.ts";
import type { Visit } from "./inventory-walk.ts";
import type { SyncProgress } from "./sync-progress.ts";

/** Partitions of which a node is asked at once. */
export const LISTED_AT_ONCE = 8;
/** Statements brought in at a time. */
export const STATEMENTS_PER_STEP_MAX = 64;

type Round = SyncProgress["round"];

/** What became of a statement that a node listed. `waiting`: it lacks something that may come. */
export type Outcome = { status: "taken" | "known" } | { status: "waiting" | "refused"; code: ErrorCode };

/** A statement that a node lists in a partition. */
export interface ListedId {
  id: Hash;
  partition: number;
}

export interface NamesDeps {
  /** The node's JSON answer to a GET, through its tunnel. */
  ask: (path: string) => Promise<unknown>;
  /** Those of the statements that the index has, and whether it is young: what is refused now may be taken later. */
  kept: (listed: ListedId[]) => Promise<{ kept: ReadonlySet<Hash>; isYoung: boolean }>;
  /** Brings these statements in; what became of each. */
  restore: (listed: ListedId[]) => Promise<Outcome[]>;
}

/** A page of what a partition has, and what of it is to be brought in. */
interface Page {
  partition: number;
  missing: Hash[];
  next: Hash | null;
}

/** As many partitions as one step brings in; of the last, as much. */
export async function visitNames(
  deps: NamesDeps,
  round: Round,
  partitions: readonly number[],
  after: Hash | null,
): Promise<Visit[]> {
  const { pages, isYoung } = await pagesOf(deps, partitions, after);
  const visited = withinStep(pages);
  const listed = visited.flatMap(({ partition, ids }) => ids.map((id) => ({ id, partition })));
  const outcomes = listed.length === 0 ? [] : await deps.restore(listed);
  for (const outcome of outcomes) countOutcome(round, outcome);
  const openIn = (partition: number) =>
    outcomes.filter((outcome, i) => listed[i]?.partition === partition && isOpen(outcome, isYoung)).length;
  const visits = visited.map(({ partition, after: next }) => ({
    partition,
    after: next,
    open: openIn(partition),
  }));
  round.isOpen ||= visits.some(({ open }) => open > 0);
  return visits;
}

/** The first of the pages, as far as a step goes: what comes after one that is half done is for the next step. */
function withinStep(pages: readonly Page[]): { partition: number; ids: Hash[]; after: Hash | null }[] {
  const visited: ReturnType<typeof withinStep> = [];
  let room = STATEMENTS_PER_STEP_MAX;
  for (const { partition, missing, next } of pages) {
    if (room === 0 && missing.length > 0) break;
    const ids = missing.slice(0, room);
    room -= ids.length;
    const after = ids.length < missing.length ? (ids.at(-1) ?? null) : next;
    visited.push({ partition, ids, after });
    if (after !== null) break;
  }
  return visited;
}

/** Some at a time, until there is enough for a step. */
async function pagesOf(
  { ask, kept }: NamesDeps,
  partitions: readonly number[],
  after: Hash | null,
): Promise<{ pages: Page[]; isYoung: boolean }> {
  const pages: Page[] = [];
  let [missing, isYoung] = [0, false];
  for (let at = 0; at < partitions.length && missing < STATEMENTS_PER_STEP_MAX; at += LISTED_AT_ONCE) {
    const group = partitions.slice(at, at + LISTED_AT_ONCE);
    const lists = await Promise.all(
      group.map(async (partition, i) => {
        const from = at + i === 0 ? after : null;
        const path = `${NAMES_INVENTORY_PATH}/${partition}${afterQuery(from)}`;
        return { partition, ...parseListedStatements(await ask(path), from) };
      }),
    );
    const known = await kept(lists.flatMap(({ partition, ids }) => ids.map((id) => ({ id, partition }))));
    isYoung ||= known.isYoung;
    for (const { partition, ids, next } of lists) {
      const page = { partition, next, missing: ids.filter((id) => !known.kept.has(id)) };
      missing += page.missing.length;
      pages.push(page);
    }
  }
  return { pages, isYoung };
}

function countOutcome(round: Round, outcome: Outcome): void {
  if (outcome.status === "taken") round.statements += 1;
  if (outcome.status === "waiting") round.waiting += 1;
  if (outcome.status === "refused") round.refused[outcome.code] = (round.refused[outcome.code] ?? 0) + 1;
}

/** What is refused may have its reason: DNS that was wrong, a witness that another node has. */
function isOpen({ status }: Outcome, isYoung: boolean): boolean {
  return status === "waiting" || (status === "refused" && isYoung);
}

export function afterQuery(after: Hash | null): string {
  return after === null ? "" : `?after=${after}`;
}
