// Which published tree has a folder: the indexes that may list it are looked up in one go, and read from the folder
// outward until one does. What an index says is taken as the edge takes every object: chunks verified, and signed by
// whoever the shard let in.

import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError, isHoldfastError } from "../lib/error.ts";
import { type FolderListing, makeListing, type TreeVersion } from "../lib/folder-listing.ts";
import type { Hash } from "../lib/hash.ts";
import { type Manifest, parseManifest } from "../lib/manifest.ts";
import { NAME_BYTES_MAX, nameHashOf, parseName } from "../lib/names.ts";
import {
  formatTreeRoot,
  INDEX_SEGMENT,
  indexNameOf,
  parseTreeIndex,
  rootsAbove,
  type TreeEntry,
  type TreeRoot,
} from "../lib/tree-index.ts";
import { checkExpiry, parseVersion } from "../lib/version.ts";
import { findHolders, readChunk } from "./chunk-reader.ts";
import { denylist } from "./denylist.ts";
import type { FolderPath } from "./object-path.ts";
import { readObject } from "./object-stream.ts";

/** A tree's index is looked for in the folder itself and in so many above it. */
export const FOLDERS_ABOVE_MAX = 32;
/** Bytes of indexes that one request reads: some 40,000 files. Parsed, they take several times as much memory. */
export const LISTED_INDEX_BYTES_MAX = 8 * 1024 * 1024;

/** A tree that may have the folder. */
export interface Candidate extends TreeVersion {
  /** The folder's path below the tree's root. */
  folder: string;
  /** The index's Manifest, where the look-up brought it. */
  manifestBytes: Uint8Array<ArrayBuffer> | null;
}

/** The trees published at the folder and above it, the innermost first. */
export async function findTrees(index: IndexClient, { domain, path }: FolderPath): Promise<Candidate[]> {
  const roots = rootsAbove(domain, path ?? "")
    .slice(0, FOLDERS_ABOVE_MAX + 1)
    .filter(({ root }) => hasIndexName(root));
  const names = roots.map(({ root }) => ({ domain, nameHash: nameHashOf(domain, indexNameOf(root)) }));
  const newest = await index.newest(names);
  return roots.flatMap((place, i) => {
    const found = newest[i] ?? null;
    // Nothing was said to be known: "known" is no answer here.
    if (found === null || found === "known" || found.version === null) return [];
    const body = parseVersion(found.version.bytes);
    // As at /obj: what does not say its name is not served by it.
    return body.name === undefined
      ? []
      : [{ ...place, id: found.version.id, body, manifestBytes: found.manifest }];
  });
}

/**
 * The listing by the first of these trees that has the folder, or null. Throws `statement-expired`, `invalid-index`,
 * `use-client` and `no-holder` for an index that would have to be read for that: an outer one never stands in for it.
 */
export async function listFrom(
  index: IndexClient,
  trees: Candidate[],
): Promise<{ tree: Candidate; listing: FolderListing } | null> {
  let bytesLeft = LISTED_INDEX_BYTES_MAX;
  for (const tree of trees) {
    checkAllowed(tree);
    checkExpiry(tree.body, Date.now());
    bytesLeft -= tree.body.size;
    if (bytesLeft < 0) throw tooLarge(tree);
    const listing = makeListing(tree, await entriesOf(index, tree), tree.folder, trees);
    if (listing !== null) return { tree, listing: withoutDenied(listing) };
  }
  return null;
}

/** Throws where the index itself is blocked. */
export function checkAllowed({ root, id, body }: Candidate): void {
  denylist().checkName(root.domain, body.nameHash);
  denylist().check(id, body.manifest);
}

/** Files that are blocked are not there. What lies in folders below is counted with them. */
function withoutDenied(listing: FolderListing): FolderListing {
  if (denylist().isEmpty) return listing;
  const { domain, folder } = listing;
  const isDenied = ({ name, manifest, version }: FolderListing["files"][number]) =>
    denylist().has(manifest) ||
    denylist().has(version) ||
    denylist().has(nameHashOf(domain, parseName(folder === null ? name : `${folder}/${name}`)));
  const [denied = [], files = []] = [true, false].map((wanted) =>
    listing.files.filter((file) => isDenied(file) === wanted),
  );
  const size = listing.total.size - denied.reduce((sum, file) => sum + file.size, 0);
  return { ...listing, files, total: { files: listing.total.files - denied.length, size } };
}

/** Whether a tree has the folder; false also where that cannot be told. */
export async function isFolder(index: IndexClient, folder: FolderPath): Promise<boolean> {
  try {
    return (await listFrom(index, await findTrees(index, folder))) !== null;
  } catch (error) {
    if (isHoldfastError(error)) return false;
    throw error;
  }
}

/** What was read last, for readers who walk through a tree folder by folder. */
let remembered: { version: Hash; entries: readonly TreeEntry[] } | null = null;

async function entriesOf(index: IndexClient, tree: Candidate): Promise<readonly TreeEntry[]> {
  if (remembered?.version === tree.id) return remembered.entries;
  const bytes = await readObject(index, await manifestOf(index, tree));
  const entries = parseEntries(bytes, tree.root);
  remembered = { version: tree.id, entries };
  return entries;
}

async function manifestOf(index: IndexClient, { body, manifestBytes }: Candidate): Promise<Manifest> {
  if (manifestBytes !== null) return parseManifest(manifestBytes);
  const holders = await findHolders(index, [body.manifest]);
  return parseManifest(await readChunk(index, { hash: body.manifest }, holders.get(body.manifest) ?? []));
}

function parseEntries(bytes: Uint8Array, root: TreeRoot): readonly TreeEntry[] {
  try {
    return parseTreeIndex(bytes, root).entries;
  } catch (cause) {
    if (!isHoldfastError(cause)) throw cause;
    const what = `the index of ${formatTreeRoot(root)} cannot be read: ${cause.message}`;
    throw new HoldfastError("invalid-index", what, { cause });
  }
}

function hasIndexName({ prefix }: TreeRoot): boolean {
  const segments = prefix === null ? [INDEX_SEGMENT] : [prefix, INDEX_SEGMENT];
  return new TextEncoder().encode(segments.join("/")).length <= NAME_BYTES_MAX;
}

function tooLarge({ root, folder }: Candidate): HoldfastError {
  const path = folder === "" ? formatTreeRoot(root) : `${formatTreeRoot(root)}/${folder}`;
  return new HoldfastError(
    "use-client",
    `the index of ${formatTreeRoot(root)} is too large to be listed here: use \`holdfast ls ${path}\``,
  );
}
