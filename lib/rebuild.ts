// How much of an edge's index is there, by the edge's own numbers: what of it is missing, and since when it fills.

import { HoldfastError } from "./error.ts";
import { plural } from "./format.ts";
import type { EdgeStatus, InventoriesStatus } from "./wire/status.ts";

export interface Completeness {
  isComplete: boolean;
  /** What is not there, in words. */
  missing: string[];
  /** Chunks that something refers to, and what is known of where they are. */
  chunks: { needed: number; seen: number; unseen: number; unheld: number; short: number };
  inventories: InventoriesStatus;
  /** From the first question to the last thing that was missing; null while nodes are still to tell. */
  tookMs: number | null;
}

/** Throws `bad-answer` for an edge of a release that does not say. */
export function completenessOf({ needed, inventories, repairs, shards }: EdgeStatus): Completeness {
  if (needed === undefined || inventories === undefined)
    throw new HoldfastError("bad-answer", "the edge does not say: it is of an earlier release");
  const { unheld, unseen, few } = needed;
  // Shards look for what is short now and then; what few were seen to hold is so at once.
  const short = Math.max(repairs?.short ?? 0, few);
  const behind = shards?.behind ?? 0;
  const seen = needed.chunks - unheld - unseen;
  const { since, until, online, told, statements } = inventories;
  const missing = [
    ...(online === 0 ? ["no home node is online"] : []),
    ...(told < online ? [`${plural(online - told, "home node")} online still to tell what they keep`] : []),
    ...(behind > 0 ? [`${plural(behind, "shard")} still to count what home nodes have brought`] : []),
    ...(statements.waiting > 0
      ? [`${plural(statements.waiting, "statement")} whose Manifest nobody has given yet`]
      : []),
    ...(unheld > 0 ? [`${plural(unheld, "chunk")} that nobody is known to hold`] : []),
    ...(unseen > 0 ? [`${plural(unseen, "chunk")} still to be read from who claims them`] : []),
    ...(short > 0 ? [`${plural(short, "chunk")} below target`] : []),
  ];
  return {
    isComplete: missing.length === 0,
    missing,
    chunks: { needed: needed.chunks, seen, unseen, unheld, short },
    inventories,
    tookMs: told < online || since === null || until === null ? null : Date.parse(until) - Date.parse(since),
  };
}
