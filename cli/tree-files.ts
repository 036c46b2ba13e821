// The files of a folder as a tree to publish: every regular file, under its path with slashes, in an order that does not
// depend on the file system; those that must appear last in phases of their own.

import { readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { lookup } from "mime-types";
import picomatch from "picomatch";
import type { TreeFile } from "../lib/client/publish-tree.ts";
import { SMALL_CHUNK_BYTES_MAX } from "../lib/client/uploader.ts";
import { HoldfastError } from "../lib/error.ts";
import { DEFAULT_CONTENT_TYPE } from "../lib/manifest.ts";
import { INDEX_ENTRIES_MAX } from "../lib/tree-index.ts";
import { fileBlocks } from "./file-blocks.ts";

/** Files whose sizes are asked for together. */
const STATS_AT_ONCE = 64;

/** Texts that cannot say themselves how they are encoded, as HTML and CSS can: a browser would guess, and not UTF-8. */
const UNDECLARED_TEXT = /^text\/(?!html|css)/;

/** Extensions of packages that the database does not know: RFC 6713 and RFC 8878 name their types. */
const MORE_TYPES: Record<string, string> = { ".tgz": "application/gzip", ".zst": "application/zstd" };

/** The media type of a name's extension; a name without one has none, whatever it is called. */
export function contentTypeOf(name: string): string {
  const extension = extname(name).toLowerCase();
  const known = extension === "" ? false : lookup(extension);
  const type = MORE_TYPES[extension] ?? (known === false ? DEFAULT_CONTENT_TYPE : known);
  return UNDECLARED_TEXT.test(type) ? `${type}; charset=utf-8` : type;
}

/** Every file below `dir`. `skipped` is told of what is neither a file nor a folder, and of links to folders. */
export async function treeFiles(dir: string, skipped: (path: string) => void): Promise<TreeFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const files: TreeFile[] = [];
  for (let at = 0; at < paths.length; at += STATS_AT_ONCE) {
    const some = paths.slice(at, at + STATS_AT_ONCE);
    const infos = await Promise.all(some.map((path) => statOrNull(path)));
    for (const [i, path] of some.entries()) {
      const info = infos[i];
      if (info?.isFile() === true) files.push(treeFile(dir, path, info.size));
      else skipped(path);
    }
  }
  if (files.length > INDEX_ENTRIES_MAX) {
    throw new HoldfastError(
      "invalid-index",
      `${dir} has ${files.length} files, an index ${INDEX_ENTRIES_MAX} at most: publish its folders as trees of their own`,
    );
  }
  return files;
}

/**
 * Files that match one of `lastGlobs` come after all others, those of a later glob after those of an earlier one. `unused`
 * is told of a glob that no file is in the phase of.
 */
export function inPhases(
  files: readonly TreeFile[],
  lastGlobs: readonly string[],
  unused: (glob: string) => void,
): TreeFile[][] {
  const matchers = lastGlobs.map((glob) => picomatch(glob, { dot: true }));
  const phases: TreeFile[][] = Array.from({ length: matchers.length + 1 }, () => []);
  for (const file of files) phases[1 + matchers.findLastIndex((matches) => matches(file.path))]?.push(file);
  for (const [i, glob] of lastGlobs.entries()) if (phases[i + 1]?.length === 0) unused(glob);
  return phases.filter((phase) => phase.length > 0);
}

function treeFile(dir: string, path: string, sizeBytes: number): TreeFile {
  const below = path.slice(join(dir, "/").length).replaceAll("\\", "/");
  return {
    path: below,
    sizeBytes,
    contentType: contentTypeOf(below),
    open: () => (sizeBytes <= SMALL_CHUNK_BYTES_MAX ? wholeFile(path) : fileBlocks(path)),
  };
}

/** A small file in one synchronous read: four trips to another thread cost more than its bytes. */
async function* wholeFile(path: string): AsyncGenerator<Uint8Array> {
  yield readFileSync(path);
}

/** Null for a link that leads nowhere. */
async function statOrNull(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
