// How far a link has come with what its node keeps: for whoever asks how much of an index is back. The link's own record,
// told to the root shard now and then.

import * as v from "valibot";
import { countSchema, parseWith } from "../lib/schema.ts";

const refusedSchema = v.record(v.string(), countSchema);

/** What came of one walk over statements and one over chunks. */
const roundSchema = v.strictObject({
  /** Taken in. */
  statements: countSchema,
  chunks: countSchema,
  /** Statements that lack something that may come, and refused ones by their codes. */
  waiting: countSchema,
  refused: refusedSchema,
  /** Something is to be asked for again. */
  isOpen: v.boolean(),
});

const progressSchema = v.strictObject({
  /** Whether statements or chunks are walked over. */
  walk: v.picklist(["names", "chunks"]),
  /** When the node was first asked; until when it brought back something, null before it has told all once. Milliseconds. */
  sinceMs: v.number(),
  untilMs: v.nullable(v.number()),
  /** What the node says that it has. */
  statementsListed: countSchema,
  chunksListed: countSchema,
  /** What the index had not, in all rounds before. */
  statementsTaken: countSchema,
  chunksTaken: countSchema,
  /** As in a round: of the last whole walk over the statements. */
  waiting: countSchema,
  refused: refusedSchema,
  /** The one under way. */
  round: roundSchema,
  /** Rounds in a row that left something open and brought nothing. */
  fruitless: countSchema,
  /** What the root shard was told last, and when. */
  told: v.string(),
  toldMs: v.number(),
});
export type SyncProgress = v.InferOutput<typeof progressSchema>;

export function readProgress(sql: SqlStorage, nowMs: number): SyncProgress {
  const [row] = sql.exec<{ progress: string }>("SELECT progress FROM sync_progress").toArray();
  return row === undefined ? begin(nowMs) : parseWith(progressSchema, JSON.parse(row.progress), "internal");
}

export function writeProgress(sql: SqlStorage, progress: SyncProgress): void {
  sql.exec(
    "INSERT INTO sync_progress (one, progress) VALUES (1, ?) ON CONFLICT DO UPDATE SET progress = excluded.progress",
    JSON.stringify(progress),
  );
}

function begin(nowMs: number): SyncProgress {
  return {
    ...{ walk: "names", sinceMs: nowMs, untilMs: null, statementsListed: 0, chunksListed: 0 },
    ...{ statementsTaken: 0, chunksTaken: 0, waiting: 0, refused: {}, round: emptyRound(), fruitless: 0 },
    ...{ told: "", toldMs: 0 },
  };
}

export function emptyRound(): SyncProgress["round"] {
  return { statements: 0, chunks: 0, waiting: 0, refused: {}, isOpen: false };
}
