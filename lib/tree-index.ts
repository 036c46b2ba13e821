// The index of a published tree: which names lie under a prefix, and which Version of each. It is an ordinary object,
// signed by its own Version, so whoever has one has a consistent snapshot: every entry names the exact bytes.

import * as v from "valibot";
import { encodeCanonical, parseCanonical } from "./canonical-json.ts";
import { HoldfastError } from "./error.ts";
import { type Domain, type ObjectName, parseDomain, parseName } from "./names.ts";
import { countSchema, domainSchema, hashSchema, nameSchema, parseWith } from "./schema.ts";

/** The last segment of an index's own name; no file of a tree may have it. */
export const INDEX_SEGMENT = ".holdfast-index";
export const INDEX_CONTENT_TYPE = "application/vnd.holdfast.index+json";
const INDEX_TYPE = "holdfast-index-1";
/** Some 250 bytes each. */
export const INDEX_ENTRIES_MAX = 200_000;
export const INDEX_BYTES_MAX = 64 * 1024 * 1024;

const entrySchema = v.strictObject({
  /** Below the prefix. */
  name: nameSchema,
  size: countSchema,
  version: hashSchema,
  manifest: hashSchema,
});
const indexSchema = v.strictObject({
  type: v.literal(INDEX_TYPE),
  domain: domainSchema,
  /** Without a slash at its end; null: the whole domain. */
  prefix: v.nullable(nameSchema),
  /** In the order of their names' UTF-16 code units, as canonical JSON orders keys. */
  entries: v.pipe(v.array(entrySchema), v.maxLength(INDEX_ENTRIES_MAX)),
});

/** A name of the tree, its size in bytes, and the Version and Manifest that it has in this snapshot. */
export type TreeEntry = v.InferOutput<typeof entrySchema>;
export type TreeIndex = v.InferOutput<typeof indexSchema>;

/** Where a tree lies: everything whose name begins with `prefix` and a slash. */
export interface TreeRoot {
  domain: Domain;
  prefix: ObjectName | null;
}

/** The index's canonical bytes; the entries may come in any order. Throws what its parser throws. */
export function encodeTreeIndex({ domain, prefix }: TreeRoot, entries: readonly TreeEntry[]) {
  const sorted = entries.toSorted((a, b) => compareNames(a.name, b.name));
  const bytes = encodeCanonical({ type: INDEX_TYPE, domain, prefix, entries: sorted });
  parseTreeIndex(bytes, { domain, prefix });
  return bytes;
}

/** Throws `body-too-large`, `not-canonical` or `invalid-index`, the last also for an index of another tree. */
export function parseTreeIndex(bytes: Uint8Array, root: TreeRoot): TreeIndex {
  const index = parseWith(indexSchema, parseCanonical(bytes, INDEX_BYTES_MAX), "invalid-index");
  if (index.domain !== root.domain || index.prefix !== root.prefix) {
    throw new HoldfastError("invalid-index", "the index is that of another tree");
  }
  for (const [i, { name }] of index.entries.entries()) {
    const before = index.entries[i - 1]?.name;
    if (before !== undefined && compareNames(before, name) >= 0) {
      throw new HoldfastError("invalid-index", "the names are not in order, or one comes twice");
    }
    nameInTree(root, name);
  }
  return index;
}

/** `example.org`, `example.org/` or `example.org/some/prefix[/]` as it stands on a command line. */
export function parseTreeRoot(text: string): TreeRoot {
  const path = text.endsWith("/") ? text.slice(0, -1) : text;
  const slash = path.indexOf("/");
  if (slash === -1) return { domain: parseDomain(path), prefix: null };
  return { domain: parseDomain(path.slice(0, slash)), prefix: parseName(path.slice(slash + 1)) };
}

export function formatTreeRoot({ domain, prefix }: TreeRoot): string {
  return prefix === null ? domain : `${domain}/${prefix}`;
}

/** The full name of the index itself. */
export function indexNameOf({ prefix }: TreeRoot): ObjectName {
  return parseName(prefix === null ? INDEX_SEGMENT : `${prefix}/${INDEX_SEGMENT}`);
}

/** The full name of a file of the tree. Throws `invalid-name`, also for a name that is kept for indexes. */
export function nameInTree({ prefix }: TreeRoot, path: string): ObjectName {
  const name = parseName(prefix === null ? path : `${prefix}/${path}`);
  if (name.split("/").at(-1) === INDEX_SEGMENT) {
    throw new HoldfastError("invalid-name", `${INDEX_SEGMENT} is the name of a tree's index, not of a file`);
  }
  return name;
}

/** What lies directly in a folder of the tree ("" for its root): files, and folders with what is below them. */
export interface Listing {
  files: TreeEntry[];
  folders: { name: string; files: number; sizeBytes: number }[];
}

/** Null where the tree has nothing there. `folder` has no slash at its end. */
export function listFolder(entries: readonly TreeEntry[], folder: string): Listing | null {
  const start = folder === "" ? "" : `${folder}/`;
  const files: TreeEntry[] = [];
  const folders = new Map<string, Listing["folders"][number]>();
  for (const entry of entries) {
    if (!entry.name.startsWith(start)) continue;
    const rest = entry.name.slice(start.length);
    const slash = rest.indexOf("/");
    if (slash === -1) files.push(entry);
    else countIn(folders, rest.slice(0, slash), entry.size);
  }
  if (files.length + folders.size === 0 && folder !== "") return null;
  return { files, folders: [...folders.values()] };
}

function countIn(folders: Map<string, Listing["folders"][number]>, name: string, sizeBytes: number): void {
  const folder = folders.get(name) ?? { name, files: 0, sizeBytes: 0 };
  folder.files += 1;
  folder.sizeBytes += sizeBytes;
  folders.set(name, folder);
}

/** The trees that may have `path` (without a slash at its end; "" for the domain itself), the innermost first. */
export function rootsAbove(domain: Domain, path: string): { root: TreeRoot; folder: string }[] {
  const segments = path === "" ? [] : path.split("/");
  return Array.from({ length: segments.length + 1 }, (_, up) => {
    const prefix = segments.slice(0, segments.length - up).join("/");
    const folder = segments.slice(segments.length - up).join("/");
    return { root: { domain, prefix: prefix === "" ? null : parseName(prefix) }, folder };
  });
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An index's entries by their names, for what is known of a tree before it is published anew. */
export function entriesByName(index: TreeIndex | null): Map<ObjectName, TreeEntry> {
  return new Map(index?.entries.map((entry) => [entry.name, entry]));
}
