// What lies in a folder, as a server that has read the index of a tree tells it. It proves nothing: whoever wants proof
// reads the index itself, an object like any other.

import type { Hash } from "./hash.ts";
import { type Domain, type ObjectName, parseName } from "./names.ts";
import { formatTreeRoot, indexNameOf, listFolder, type TreeEntry, type TreeRoot } from "./tree-index.ts";
import type { Version } from "./version.ts";

export const LISTING_TYPE = "application/vnd.holdfast.listing+json";

/** A tree, and the newest Version of its index. */
export interface TreeVersion {
  root: TreeRoot;
  id: Hash;
  body: Version;
}

/** GET /obj/<domain>/<folder>/ as JSON. Sizes are in bytes. */
export interface FolderListing {
  domain: Domain;
  /** Its path from the domain on, without a slash at its end; null: the domain itself. */
  folder: ObjectName | null;
  /** The trees published at the folder and above it, the innermost first, as `<domain>[/<prefix>]`. */
  trees: string[];
  /** The Version of the index that says so, and of which of the trees it is. */
  index: {
    tree: string;
    name: ObjectName;
    version: Hash;
    sequence: number;
    time: string;
    expires: string | null;
    author: string;
    manifest: Hash;
    size: number;
  };
  /** Directly in the folder, with the Version that each has in the index. */
  files: { name: string; size: number; version: Hash; manifest: Hash }[];
  /** With the files below them, at any depth, and their size together. */
  folders: { name: string; files: number; size: number }[];
  total: { files: number; size: number };
}

/**
 * The listing of `folder` below the root of `tree` ("" for the root itself), or null where the tree has nothing there.
 * `trees` are those that might have it, `tree` among them.
 */
export function makeListing(
  tree: TreeVersion,
  entries: readonly TreeEntry[],
  folder: string,
  trees: readonly TreeVersion[],
): FolderListing | null {
  const listed = listFolder(entries, folder);
  if (listed === null) return null;
  const files = listed.files.map(({ name, ...entry }) => ({ name: lastSegment(name), ...entry }));
  const folders = listed.folders
    .map(({ name, files: count, sizeBytes }) => ({ name, files: count, size: sizeBytes }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const total = {
    files: files.length + folders.reduce((sum, below) => sum + below.files, 0),
    size: [...files, ...folders].reduce((sum, { size }) => sum + size, 0),
  };
  return {
    ...{ domain: tree.root.domain, folder: fullPath(tree.root, folder) },
    ...{ trees: trees.map(({ root }) => formatTreeRoot(root)), index: describeIndex(tree) },
    ...{ files, folders, total },
  };
}

function describeIndex({ root, id, body }: TreeVersion): FolderListing["index"] {
  const { sequence, time, expires = null, author, manifest, size } = body;
  return {
    ...{ tree: formatTreeRoot(root), name: indexNameOf(root), version: id },
    ...{ sequence, time, expires, author, manifest, size },
  };
}

function fullPath({ prefix }: TreeRoot, folder: string): ObjectName | null {
  if (folder === "") return prefix;
  return parseName(prefix === null ? folder : `${prefix}/${folder}`);
}

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
