// GET /inventory and /inventory/names: the chunks and the statements that a home node holds, by digests. An edge compares them
// with those that it last agreed on, and asks for the contents of the partitions that differ, and of no others.

import { concatBytes } from "@noble/hashes/utils.js";
import * as v from "valibot";
import { decodeBase64 } from "./base64.ts";
import { HoldfastError } from "./error.ts";
import { decodeHash, type Hash, hashBytes, PARTITION_COUNT, partitionOf } from "./hash.ts";
import { CHUNK_BYTES_MAX } from "./manifest.ts";
import { primitives } from "./primitives.ts";
import { countSchema, hashSchema, parseWith, positiveSchema } from "./schema.ts";

/** Of a partition: enough that no two sets of hashes are taken for each other. */
export const PARTITION_DIGEST_BYTES = 16;
export const INVENTORY_DIGESTS_BYTES = PARTITION_COUNT * PARTITION_DIGEST_BYTES;
/** Chunks in one answer about a partition, */
export const LISTED_CHUNKS_MAX = 1000;
/** and ids of statements. */
export const LISTED_STATEMENTS_MAX = 1000;
export const INVENTORY_ANSWER_MAX = 256 * 1024;
/** One statement with its witnesses and its delegation. */
export const STATEMENT_ANSWER_MAX = 2 * 1024 * 1024;

/** Hashes as digests: of each partition 16 bytes, zeros where there are none. */
export interface InventoryDigests {
  /** SHA-256 of `partitions`. */
  root: Hash;
  partitions: Uint8Array<ArrayBuffer>;
}

/** Of chunks in ascending order. */
export async function digestInventory(chunks: AsyncIterable<{ hash: Hash }>): Promise<InventoryDigests> {
  const partitions = new Uint8Array(INVENTORY_DIGESTS_BYTES);
  let hashes: Uint8Array[] = [];
  let at = 0;
  const end = () => {
    if (hashes.length > 0) partitions.set(digestOf(hashes), at * PARTITION_DIGEST_BYTES);
    hashes = [];
  };
  for await (const { hash } of chunks) {
    const partition = partitionOf(hash);
    if (partition !== at) end();
    at = partition;
    hashes.push(decodeHash(hash));
  }
  end();
  return { root: hashBytes(partitions), partitions };
}

/** Of what each partition has, in ascending order. */
export function digestPartitions(hashesIn: (partition: number) => readonly Hash[]): InventoryDigests {
  const partitions = new Uint8Array(INVENTORY_DIGESTS_BYTES);
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const hashes = hashesIn(partition);
    if (hashes.length > 0)
      partitions.set(digestOf(hashes.map(decodeHash)), partition * PARTITION_DIGEST_BYTES);
  }
  return { root: hashBytes(partitions), partitions };
}

/** SHA-256 of the hashes one after the other, its first bytes. */
function digestOf(hashes: Uint8Array[]): Uint8Array {
  return primitives()
    .sha256(concatBytes(...hashes))
    .subarray(0, PARTITION_DIGEST_BYTES);
}

/** The partitions of which the digests are not the same. */
export function differingPartitions(a: Uint8Array, b: Uint8Array): number[] {
  return Array.from({ length: PARTITION_COUNT }, (_, i) => i).filter((i) => {
    const start = i * PARTITION_DIGEST_BYTES;
    for (let at = start; at < start + PARTITION_DIGEST_BYTES; at++) if (a[at] !== b[at]) return true;
    return false;
  });
}

const digestsAnswerSchema = v.object({
  root: hashSchema,
  /** The digests, base64; null where `root` is what the asker said that it knows. */
  partitions: v.nullable(v.pipe(v.string(), v.maxLength(Math.ceil(INVENTORY_DIGESTS_BYTES / 3) * 4))),
  /** How many chunks or statements there are. */
  count: countSchema,
});
const listedChunksSchema = v.object({
  /** In ascending order. */
  chunks: v.pipe(
    v.array(v.strictObject({ hash: hashSchema, size: v.pipe(positiveSchema, v.maxValue(CHUNK_BYTES_MAX)) })),
    v.maxLength(LISTED_CHUNKS_MAX),
  ),
  /** Pass as `after` for the rest; null where there is none. */
  next: v.nullable(hashSchema),
});
const listedStatementsSchema = v.object({
  /** In ascending order. */
  ids: v.pipe(v.array(hashSchema), v.maxLength(LISTED_STATEMENTS_MAX)),
  /** Pass as `after` for the rest; null where there is none. */
  next: v.nullable(hashSchema),
});
export type DigestsAnswer = v.InferOutput<typeof digestsAnswerSchema>;
export type ListedChunks = v.InferOutput<typeof listedChunksSchema>;
export type ListedStatements = v.InferOutput<typeof listedStatementsSchema>;
export type ListedChunk = ListedChunks["chunks"][number];

/** What a node says that it has: how much, and its digests; null where nothing has changed. */
export interface ToldDigests {
  count: number;
  digests: InventoryDigests | null;
}

/** Throws `bad-answer`, also where the root is not that of the digests. */
export function parseDigests(value: unknown, known: Hash | null): ToldDigests {
  const { root, partitions, count } = parseWith(digestsAnswerSchema, value, "bad-answer");
  if (partitions === null) {
    if (root === known) return { count, digests: null };
    throw new HoldfastError("bad-answer", "the inventory has changed, and its digests are left out");
  }
  const bytes = decodeBase64(partitions);
  if (bytes.length !== INVENTORY_DIGESTS_BYTES || hashBytes(bytes) !== root)
    throw new HoldfastError("bad-answer", "the inventory's digests do not fit its root");
  return { count, digests: { root, partitions: bytes } };
}

/** The answer about a partition after `after`. Throws `bad-answer` where it is about anything else, or out of order. */
export function parseListedChunks(value: unknown, partition: number, after: Hash | null): ListedChunks {
  const listed = parseWith(listedChunksSchema, value, "bad-answer");
  const hashes = listed.chunks.map(({ hash }) => hash);
  if (hashes.some((hash) => partitionOf(hash) !== partition))
    throw new HoldfastError("bad-answer", "the inventory lists chunks of another partition");
  checkOrder(hashes, after, listed.next);
  return listed;
}

/** As parseListedChunks. Of which partition the statements are shows when they are read. */
export function parseListedStatements(value: unknown, after: Hash | null): ListedStatements {
  const listed = parseWith(listedStatementsSchema, value, "bad-answer");
  checkOrder(listed.ids, after, listed.next);
  return listed;
}

function checkOrder(hashes: readonly Hash[], after: Hash | null, next: Hash | null): void {
  let last = after ?? "";
  for (const hash of hashes) {
    if (hash <= last) throw new HoldfastError("bad-answer", "the inventory is out of order");
    last = hash;
  }
  if (next !== null && next !== hashes.at(-1))
    throw new HoldfastError("bad-answer", "the inventory goes on after another hash than its last");
}
