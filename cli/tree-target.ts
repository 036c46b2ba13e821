// The folder that a snapshot is laid into. Names come from a signed index, and are still only names: no path leaves the
// folder, by its own segments or through a link that lies in it.

import { lstat, mkdir, open, readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import type { ChunkSource } from "../lib/client/chunk-source.ts";
import { HoldfastError } from "../lib/error.ts";
import { chunksOf, type Manifest } from "../lib/manifest.ts";
import { usageError } from "./failure.ts";
import { chunkMemory, nodeHasher } from "./node-host.ts";

/** What a file system may read differently than the name means. */
const UNSAFE = process.platform === "win32" ? /[\\:*?"<>|]/ : /\\(?!.)|\0/;

export class TreeTarget {
  readonly #dir: string;
  readonly #paths: ReadonlySet<string>;
  /** Folders that are there, and are no links. */
  readonly #checked = new Map<string, Promise<void>>();

  private constructor(dir: string, paths: ReadonlySet<string>) {
    this.#dir = dir;
    this.#paths = paths;
  }

  /** Throws a usage error for names that cannot lie beside each other as files. */
  static async open(dir: string, paths: readonly string[]): Promise<TreeTarget> {
    const files = new Set(paths);
    for (const path of paths) {
      if (UNSAFE.test(path)) throw usageError(`${path} cannot be a file's name here`);
      const clash = foldersAbove(path).find((folder) => files.has(folder));
      if (clash !== undefined)
        throw usageError(`${clash} is a file and a folder in this tree: get its files one by one`);
    }
    await mkdir(dir, { recursive: true });
    return new TreeTarget(dir, files);
  }

  /** Where a file goes; its folder is there. Throws a usage error where something else is in the way. */
  async pathFor(path: string): Promise<string> {
    for (const folder of foldersAbove(path).toReversed()) await this.#ensureFolder(folder);
    const place = join(this.#dir, ...path.split("/"));
    const info = await lstat(place).catch(nullIfMissing);
    if (info !== null && !info.isFile()) throw usageError(`${place} is in the way: it is no plain file`);
    return place;
  }

  /** Removes what the snapshot does not have, and folders that are empty then; returns the paths of the files. */
  async removeOthers(): Promise<string[]> {
    const entries = await readdir(this.#dir, { recursive: true, withFileTypes: true });
    const removed: string[] = [];
    for (const entry of entries.filter((one) => !one.isDirectory())) {
      const path = join(entry.parentPath, entry.name);
      const below = path.slice(join(this.#dir, sep).length).replaceAll(sep, "/");
      if (this.#paths.has(below)) continue;
      await rm(path);
      removed.push(below);
    }
    const folders = entries.filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name));
    for (const folder of folders.sort((a, b) => b.length - a.length)) await rmdir(folder).catch(keepIfFull);
    return removed.sort();
  }

  #ensureFolder(folder: string): Promise<void> {
    const known = this.#checked.get(folder);
    if (known !== undefined) return known;
    const checked = makeFolder(join(this.#dir, ...folder.split("/")));
    this.#checked.set(folder, checked);
    return checked;
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const info = await lstat(path);
  if (!info.isDirectory()) throw usageError(`${path} is a link or a file, and a folder is to be there`);
}

/** `a/b` and `a` for `a/b/c`. */
function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) folders.push(folder);
  return folders;
}

/** Whether a file has exactly the bytes that the Manifest lists. */
export async function hasContent(path: string, manifest: Manifest, source: ChunkSource): Promise<boolean> {
  const file = await open(path, "r").catch(nullIfMissing);
  if (file === null) return false;
  try {
    if ((await file.stat()).size !== manifest.size) return false;
    for await (const { hash, size, offset } of chunksOf(manifest, (part) =>
      source.get({ hash: part, sizeBytes: null }),
    )) {
      const bytes = chunkMemory.take(size);
      const { bytesRead } = await file.read(bytes, 0, size, offset);
      const isSame = bytesRead === size && (await nodeHasher.digest(bytes)) === hash;
      chunkMemory.give(bytes);
      if (!isSame) return false;
    }
    return true;
  } finally {
    await file.close();
  }
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  if (error.code === "ENOTDIR") throw new HoldfastError("invalid-request", `${error.path} lies below a file`);
  throw error;
}

function keepIfFull(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOTEMPTY") throw error;
}
