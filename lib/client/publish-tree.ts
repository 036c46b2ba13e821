// Publishing a tree: every file under its own name, phase by phase, and at the end the index that makes them one
// snapshot. Nothing of a later phase, and no index, appears before everything in the phases before it is accepted.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Redundancy } from "../manifest.ts";
import { type Domain, nameHashOf, type ObjectName, parseName } from "../names.ts";
import {
  encodeTreeIndex,
  entriesByName,
  formatTreeRoot,
  INDEX_CONTENT_TYPE,
  indexNameOf,
  nameInTree,
  type TreeEntry,
  type TreeRoot,
} from "../tree-index.ts";
import type { VerifiedVersion } from "../version.ts";
import type { ChunkSource } from "./chunk-source.ts";
import {
  type BatchOptions,
  type BatchOutcome,
  type BatchRequest,
  type Comparison,
  compareBatch,
  type KnownEntry,
  publishBatch,
} from "./publish-batch.ts";
import { noteSeen } from "./seen.ts";
import { openTree, type Tree } from "./tree.ts";
import type { IfMatch } from "./version-draft.ts";

/** Another publisher may write the index meanwhile: it is read and merged anew this often. */
export const INDEX_ATTEMPTS_MAX = 8;

export interface TreeFile extends Omit<BatchRequest, "name" | "redundancy" | "ifMatch"> {
  /** Below the root, with slashes. */
  path: string;
}

export interface TreeRequest {
  root: TreeRoot;
  /** One after the other. */
  phases: readonly (readonly TreeFile[])[];
  redundancy: Redundancy;
  /** Leave names of the index out that are not among the files. */
  deletesVanished: boolean;
  /** The Version of the index that must be the newest. */
  ifMatch?: IfMatch;
  /** When the index expires, ISO 8601 with milliseconds, UTC; its files say so for themselves. */
  expires?: string;
}

export interface TreeOptions extends Omit<BatchOptions, "domain" | "entries"> {
  source: ChunkSource;
}

export interface PublishTreeOptions extends TreeOptions {
  onOutcome?: (outcome: BatchOutcome) => void;
  onWarning?: (text: string) => void;
}

/** What it takes to look without publishing. */
export type ReadingOptions = Omit<PublishTreeOptions, "signer" | "edge">;

export interface TreeResult {
  /** The index as it is now. */
  index: KnownEntry;
  /** Null where the index says what it said before. */
  version: VerifiedVersion | null;
  entries: number;
  /** Paths that the index no longer has. */
  deleted: ObjectName[];
}

/**
 * Publishes a tree. Throws `invalid-name` for a path that is no name, before anything is sent; `precondition-failed`; the
 * first refusal of a file, after its phase; and what publishBatch throws.
 */
export async function publishTree(request: TreeRequest, options: PublishTreeOptions): Promise<TreeResult> {
  const { root } = request;
  const { phases, current, known, entries } = await prepare(request, options);
  const batchOptions = { ...options, domain: root.domain, entries };
  const published = new Map<ObjectName, TreeEntry>();
  for (const phase of phases) {
    for (const [name, entry] of await publishPhase(phase, root, batchOptions, options.onOutcome)) {
      published.set(name, entry);
    }
  }
  const deleted = request.deletesVanished ? [...known.keys()].filter((name) => !published.has(name)) : [];
  if (
    current.tree !== null &&
    deleted.length === 0 &&
    saysAll(known, published) &&
    stands(request, current.tree, options)
  )
    return unchangedIndex(current.tree);
  return writeIndex(request, { published, deleted }, current, options);
}

/** What publishTree would do with one file. */
export interface TreeComparison {
  path: string;
  status: Comparison["status"] | "deleted";
  /** Null where there is no file any more. */
  sizeBytes: number | null;
}

/** What `publishTree` would do, file by file, and then which names it would delete. */
export async function* compareTree(
  request: TreeRequest,
  options: ReadingOptions,
): AsyncGenerator<TreeComparison> {
  const { root } = request;
  const { phases, known, entries } = await prepare(request, options);
  const batchOptions = { ...options, domain: root.domain, entries };
  for await (const { request: file, status } of compareBatch(phases.flat(), batchOptions)) {
    yield { path: pathIn(root, file.name), status, sizeBytes: file.sizeBytes };
  }
  if (!request.deletesVanished) return;
  const names = new Set(request.phases.flat().map(({ path }) => path));
  for (const name of known.keys())
    if (!names.has(name)) yield { path: name, status: "deleted", sizeBytes: null };
}

/** What a publish has to go on, before anything is sent. */
async function prepare(request: TreeRequest, options: ReadingOptions) {
  const phases = requestsOf(request);
  const current = await currentTree(request.root, options);
  checkSeen(request, current.tree);
  const known = entriesByName(current.tree?.index ?? null);
  return { phases, current, known, entries: byFullName(request.root, known) };
}

function requestsOf({ root, phases, redundancy }: TreeRequest): BatchRequest[][] {
  return phases.map((files) =>
    files.map(({ path, ...file }): BatchRequest => ({ ...file, name: nameInTree(root, path), redundancy })),
  );
}

/** The tree as it is, null where there is none that can be relied on; and what the next index is to follow. */
interface Current {
  tree: Tree | null;
  /** Left out where an index is there that cannot be used. */
  ifMatch?: IfMatch;
}

async function currentTree(root: TreeRoot, options: ReadingOptions): Promise<Current> {
  try {
    const { host, source, servers, domainKeys, trustedEdges, seen } = options;
    const tree = await openTree(root, undefined, {
      servers,
      source,
      domainKeys,
      trustedEdges,
      seen,
      hasher: host.hasher,
      now: host.now,
      acceptsExpired: true,
    });
    return { tree, ifMatch: tree.version.id };
  } catch (error) {
    if (isHoldfastError(error, "not-found")) return { tree: null, ifMatch: "none" };
    if (!isHoldfastError(error, "invalid-index", "key-not-authorized")) throw error;
    options.onWarning?.(`the tree is indexed anew, because its index cannot be used: ${error.message}`);
    return { tree: null };
  }
}

function checkSeen({ ifMatch, root }: TreeRequest, tree: Tree | null): void {
  const newest = tree?.version.id ?? "none";
  if (ifMatch === undefined || ifMatch === newest) return;
  throw new HoldfastError(
    "precondition-failed",
    `the newest index of ${formatTreeRoot(root)} is ${newest}, not ${ifMatch}: look at it, then publish again`,
  );
}

function byFullName(
  root: TreeRoot,
  entries: ReadonlyMap<ObjectName, TreeEntry>,
): Map<ObjectName, KnownEntry> {
  return new Map([...entries].map(([path, entry]) => [nameInTree(root, path), entry]));
}

/**
 * Every file of the phase is tried; then the first refusal is thrown. In the order of their Name Hashes: names that are looked
 * up and announced together are then in one shard of the index, or in few, instead of in as many as there are names.
 */
async function publishPhase(
  requests: BatchRequest[],
  root: TreeRoot,
  options: BatchOptions,
  onOutcome: PublishTreeOptions["onOutcome"],
): Promise<Map<ObjectName, TreeEntry>> {
  const published = new Map<ObjectName, TreeEntry>();
  let refusal: HoldfastError | null = null;
  for await (const outcome of publishBatch(byNameHash(requests, root.domain), options)) {
    onOutcome?.(outcome);
    if (outcome.status === "refused") refusal ??= refusalOf(outcome.request, outcome.error);
    else published.set(...entryOf(root, outcome.request.name, outcome.entry));
  }
  if (refusal !== null) throw refusal;
  return published;
}

function byNameHash(requests: BatchRequest[], domain: Domain): BatchRequest[] {
  return requests
    .map((request) => ({ request, hash: nameHashOf(domain, request.name) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .map(({ request }) => request);
}

function refusalOf({ name }: BatchRequest, error: HoldfastError): HoldfastError {
  return new HoldfastError(error.code, `${name}: ${error.message}. No index was published`, { cause: error });
}

function entryOf(root: TreeRoot, name: ObjectName, entry: KnownEntry): [ObjectName, TreeEntry] {
  const path = pathIn(root, name);
  const { size, version, manifest } = entry;
  return [path, { name: path, size, version, manifest }];
}

/** The inverse of nameInTree: what it made is a name again without the prefix. */
function pathIn({ prefix }: TreeRoot, name: ObjectName): ObjectName {
  return prefix === null ? name : parseName(name.slice(prefix.length + 1));
}

function saysAll(
  known: ReadonlyMap<ObjectName, TreeEntry>,
  published: ReadonlyMap<ObjectName, TreeEntry>,
): boolean {
  return [...published].every(([name, entry]) => known.get(name)?.version === entry.version);
}

/** Whether the index needs no new date. */
function stands({ expires }: TreeRequest, { version }: Tree, { host }: PublishTreeOptions): boolean {
  const until = version.body.expires;
  return expires === undefined && (until === undefined || Date.parse(until) > host.now());
}

function unchangedIndex({ version, index }: Tree): TreeResult {
  const { size, manifest } = version.body;
  return {
    index: { version: version.id, size, manifest },
    version: null,
    entries: index.entries.length,
    deleted: [],
  };
}

interface Changes {
  published: ReadonlyMap<ObjectName, TreeEntry>;
  deleted: readonly ObjectName[];
}

/** Writes the index over the one that was read; where another was written meanwhile, over that one. */
async function writeIndex(
  request: TreeRequest,
  changes: Changes,
  first: Current,
  options: PublishTreeOptions,
): Promise<TreeResult> {
  let current = first;
  for (let attempt = 1; ; attempt++) {
    const entries = merge(current.tree, changes);
    const outcome = await publishIndex(request, entries, current.ifMatch, options);
    if (outcome.status !== "refused") {
      const version = outcome.status === "published" ? outcome.version : null;
      if (version !== null) await noteSeen(version, options.seen);
      return { index: outcome.entry, version, entries: entries.length, deleted: [...changes.deleted] };
    }
    const isRace = isHoldfastError(outcome.error, "precondition-failed", "fork", "unknown-previous");
    if (!isRace || request.ifMatch !== undefined || attempt === INDEX_ATTEMPTS_MAX) throw outcome.error;
    current = await currentTree(request.root, options);
  }
}

function merge(tree: Tree | null, { published, deleted }: Changes): TreeEntry[] {
  const entries = entriesByName(tree?.index ?? null);
  for (const name of deleted) entries.delete(name);
  for (const [name, entry] of published) entries.set(name, entry);
  return [...entries.values()];
}

async function publishIndex(
  { root, redundancy, expires }: TreeRequest,
  entries: readonly TreeEntry[],
  ifMatch: IfMatch | undefined,
  options: PublishTreeOptions,
): Promise<BatchOutcome> {
  const bytes = encodeTreeIndex(root, entries);
  const request: BatchRequest = {
    name: indexNameOf(root),
    open: () => once(bytes),
    sizeBytes: bytes.length,
    redundancy,
    contentType: INDEX_CONTENT_TYPE,
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(expires === undefined ? {} : { expires }),
  };
  for await (const outcome of publishBatch([request], { ...options, domain: root.domain })) return outcome;
  throw new TypeError("an index without an answer");
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
