// Reading published trees: the index of a tree as a verified object, and the Manifests of its entries. An entry's
// Manifest needs no Version of its own: the index, which is signed, names its hash.

import { decodeBase64 } from "../base64.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type Hash, type Hasher, hashBytes } from "../hash.ts";
import { type Manifest, namedHashes, parseManifest } from "../manifest.ts";
import { type Domain, nameHashOf } from "../names.ts";
import { handled } from "../promise.ts";
import type { TreeEntry, TreeIndex, TreeRoot } from "../tree-index.ts";
import { INDEX_BYTES_MAX, indexNameOf, nameInTree, parseTreeIndex, rootsAbove } from "../tree-index.ts";
import type { VerifiedVersion } from "../version.ts";
import { LOCATE_BATCH } from "./chunk-source.ts";
import { download } from "./download.ts";
import type { ServerProblem } from "./name-knowledge.ts";
import {
  type Resolution,
  type ResolvedObject,
  type ResolveOptions,
  resolveMany,
  resolveObject,
} from "./resolve.ts";
import type { Server } from "./server.ts";

/** Manifests of entries fetched together: as many as one look-up takes. */
export const ENTRIES_AT_ONCE = 100;

export interface TreeOptions extends ResolveOptions {
  servers: readonly Server[];
  hasher: Hasher;
}

/** A snapshot of a tree, as one Version of its index has it. */
export interface Tree {
  root: TreeRoot;
  version: VerifiedVersion;
  index: TreeIndex;
  problems: ServerProblem[];
}

/** The newest index of the tree at `root`, or the one that `versionId` names. Throws what resolveObject and parseTreeIndex throw. */
export async function openTree(
  root: TreeRoot,
  versionId: Hash | undefined,
  options: TreeOptions,
): Promise<Tree> {
  const object = await resolveObject(
    {
      domain: root.domain,
      nameHash: nameHashOf(root.domain, indexNameOf(root)),
      ...(versionId === undefined ? {} : { versionId }),
    },
    options,
  );
  return treeOf(root, object, options);
}

/** The tree that has `path` in it, the innermost where there are several, and the path from its root. Throws `not-found`. */
export async function findTree(
  domain: Domain,
  path: string,
  options: TreeOptions,
): Promise<{ tree: Tree; folder: string }> {
  const candidates = rootsAbove(domain, path);
  const nameHashes = candidates.map(({ root }) => nameHashOf(domain, indexNameOf(root)));
  const resolutions: Resolution[] = [];
  for await (const batch of resolveMany(domain, nameHashes, options)) resolutions.push(...batch);
  for (const [i, { root, folder }] of candidates.entries()) {
    const resolution = resolutions[i];
    if (resolution === undefined || isHoldfastError(resolution, "not-found")) continue;
    if (resolution instanceof HoldfastError) throw resolution;
    return { tree: await treeOf(root, resolution, options), folder };
  }
  throw new HoldfastError(
    "not-found",
    `no tree is published at ${domain}${path === "" ? "" : `/${path}`}, or above it`,
  );
}

async function treeOf(root: TreeRoot, object: ResolvedObject, options: TreeOptions): Promise<Tree> {
  const bytes = await readWhole(object.manifest, options);
  return { root, version: object.version, index: parseTreeIndex(bytes, root), problems: object.problems };
}

/** An index's bytes, in memory. Throws `invalid-index` for one that is too large. */
async function readWhole(manifest: Manifest, options: TreeOptions): Promise<Uint8Array> {
  if (manifest.size > INDEX_BYTES_MAX) {
    throw new HoldfastError("invalid-index", `the index has ${manifest.size} bytes`);
  }
  const whole = new Uint8Array(manifest.size);
  const sink = { write: async (bytes: Uint8Array, offset: number) => whole.set(bytes, offset) };
  await download(manifest, sink, options);
  return whole;
}

/** A file of a tree with its Manifest. */
export interface TreeFile<Entry extends TreeEntry> {
  entry: Entry;
  manifest: Manifest;
}

/**
 * The files of a tree, ENTRIES_AT_ONCE at a time and in their order, with the holders of their chunks located as far as one
 * request asks for them. A group is asked for while the one before it is used.
 */
export async function* treeFiles<Entry extends TreeEntry>(
  root: TreeRoot,
  entries: readonly Entry[],
  options: TreeOptions,
): AsyncGenerator<TreeFile<Entry>[]> {
  let ahead: Promise<TreeFile<Entry>[]> | null = null;
  for (let at = 0; at < entries.length; at += ENTRIES_AT_ONCE) {
    const next = handled(filesOf(root, entries.slice(at, at + ENTRIES_AT_ONCE), options));
    if (ahead !== null) yield await ahead;
    ahead = next;
  }
  if (ahead !== null) yield await ahead;
}

/** Manifests come with a look-up where that has them, else as the chunks that they are. */
async function filesOf<Entry extends TreeEntry>(
  root: TreeRoot,
  entries: readonly Entry[],
  options: TreeOptions,
): Promise<TreeFile<Entry>[]> {
  const { source, servers } = options;
  const inline = await inlineManifests(root, entries, servers);
  const missing = entries.filter(({ manifest }) => !inline.has(manifest));
  await source.locate(missing.map(({ manifest }) => manifest));
  const files = await Promise.all(
    entries.map(async (entry) => {
      const hash = entry.manifest;
      const bytes = inline.get(hash) ?? (await source.get({ hash, sizeBytes: null }));
      return { entry, manifest: checkEntry(entry, parseManifest(bytes)) };
    }),
  );
  const chunks = files.flatMap(({ manifest }) => namedHashes(manifest));
  await source.locate([...new Set(chunks)].slice(0, LOCATE_BATCH));
  return files;
}

function checkEntry({ name, size }: TreeEntry, manifest: Manifest): Manifest {
  if (manifest.size === size) return manifest;
  throw new HoldfastError(
    "invalid-index",
    `the index has ${size} bytes for ${name}, its Manifest ${manifest.size}`,
  );
}

/** Small Manifests that a server sends with the newest Versions. What it says of Versions is not asked. */
async function inlineManifests(
  root: TreeRoot,
  entries: readonly TreeEntry[],
  servers: readonly Server[],
): Promise<Map<Hash, Uint8Array>> {
  const { domain } = root;
  const names = entries.map(({ name }) => ({ domain, nameHash: nameHashOf(domain, nameInTree(root, name)) }));
  for (const server of servers) {
    try {
      const answer = await server.lookup(names);
      const manifests = answer.names.flatMap(({ manifest }) =>
        manifest === null ? [] : [decodeBase64(manifest)],
      );
      return new Map(manifests.map((bytes) => [hashBytes(bytes), bytes]));
    } catch (error) {
      // A home node has no look-ups, and a server may be down: the Manifests are chunks, too.
      if (!isHoldfastError(error)) throw error;
    }
  }
  return new Map();
}
