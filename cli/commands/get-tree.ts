// holdfast get -r: a snapshot of a tree, or of a folder of it, into a folder. What is there already with the right bytes
// stays; each file takes its name when it is whole and verified.

import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { download } from "../../lib/client/download.ts";
import { type Tree, type TreeFile, treeFiles } from "../../lib/client/tree.ts";
import type { Manifest } from "../../lib/manifest.ts";
import { formatTreeRoot, type TreeEntry } from "../../lib/tree-index.ts";
import { usageError } from "../failure.ts";
import { formatCount, formatSize, plural } from "../format.ts";
import { chunkMemory, nodeHasher } from "../node-host.ts";
import { printJson, say } from "../output.ts";
import { PartFile } from "../part-file.ts";
import { type Progress, startProgress } from "../progress.ts";
import { type TreeReading, treeReading } from "../reading.ts";
import { hasContent, TreeTarget } from "../tree-target.ts";
import type { GetOptions } from "./get.ts";
import { entriesBelow, treeAt } from "./ls.ts";

/** Small files that are fetched side by side; larger ones come one by one, each from several holders. */
const SMALL_FILES_AT_ONCE = 16;
const SMALL_FILE_BYTES_MAX = 1024 * 1024;

/** A file of the snapshot and where it goes, from the target folder. */
interface Wanted extends TreeEntry {
  path: string;
}

interface Tally {
  fetched: number;
  kept: number;
  fetchedBytes: number;
  deleted: string[];
}

export async function getTree(target: string, options: GetOptions): Promise<void> {
  if (options.output === "-") throw usageError("a tree goes into a folder: give -o DIR");
  const reading = await treeReading(options);
  const { tree, folder } = await treeAt(target, options.version, reading);
  const wanted = entriesBelow(tree, folder).map((entry) => ({
    ...entry,
    path: folder === "" ? entry.name : entry.name.slice(folder.length + 1),
  }));
  const dir = options.output ?? basename(folder === "" ? formatTreeRoot(tree.root) : folder);
  await checkFolder(dir, options);
  const place = await TreeTarget.open(
    dir,
    wanted.map(({ path }) => path),
  );
  const tally: Tally = { fetched: 0, kept: 0, fetchedBytes: 0, deleted: [] };
  const progress = startProgress(
    "fetched",
    wanted.reduce((sum, { size }) => sum + size, 0),
  );
  try {
    await fetchAll(tree, wanted, place, tally, reading, progress);
  } finally {
    progress.stop();
    await reading.complain();
  }
  if (options.delete === true) tally.deleted = await place.removeOthers();
  await report(dir, tree, tally, options.json === true);
}

/** Nothing is laid over files that somebody else put there, unless that is what was asked for. */
async function checkFolder(dir: string, { force, delete: deletes }: GetOptions): Promise<void> {
  if (force === true || deletes === true) return;
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (names.length > 0) {
    throw usageError(
      `${dir} is not empty: give --force to bring its files to the snapshot, and --delete to remove the others too`,
    );
  }
}

async function fetchAll(
  tree: Tree,
  wanted: readonly Wanted[],
  place: TreeTarget,
  tally: Tally,
  reading: TreeReading,
  progress: Progress,
): Promise<void> {
  let doneBytes = 0;
  const done = (sizeBytes: number) => {
    doneBytes += sizeBytes;
    progress.update(doneBytes);
  };
  const fetchOne = async ({ entry: { path }, manifest }: TreeFile<Wanted>) => {
    await fetchFile(await place.pathFor(path), manifest, tally, reading);
    done(manifest.size);
  };
  const isSmall = ({ manifest }: TreeFile<Wanted>) => manifest.size <= SMALL_FILE_BYTES_MAX;
  for await (const files of treeFiles(tree.root, wanted, reading)) {
    await inParallel(files.filter(isSmall), SMALL_FILES_AT_ONCE, fetchOne);
    for (const file of files) if (!isSmall(file)) await fetchOne(file);
  }
}

async function fetchFile(
  path: string,
  manifest: Manifest,
  tally: Tally,
  reading: TreeReading,
): Promise<void> {
  const { source } = reading;
  if (await hasContent(path, manifest, source)) {
    tally.kept += 1;
    return;
  }
  const file = await PartFile.open(path);
  try {
    await download(manifest, file, { source, hasher: nodeHasher, pool: chunkMemory });
  } catch (error) {
    await file.abandon();
    throw error;
  }
  await file.commit(manifest.size, { durably: false });
  tally.fetched += 1;
  tally.fetchedBytes += manifest.size;
}

/** The first failure ends the others' turns, and is thrown when those under way have ended. */
async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const workers = Array.from({ length: Math.min(atOnce, items.length) }, async () => {
    for (const item of queue) await work(item);
  });
  const results = await Promise.allSettled(workers);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function report(dir: string, tree: Tree, tally: Tally, asJson: boolean): Promise<void> {
  const { sequence, time, author } = tree.version.body;
  if (asJson)
    return printJson({ ...tree.root, dir, index: tree.version.id, sequence, time, author, ...tally });
  say(
    `${dir}: ${plural(tally.fetched + tally.kept, "file")}, ${formatCount(tally.fetched)} fetched ` +
      `(${formatSize(tally.fetchedBytes)}), ${formatCount(tally.kept)} kept` +
      `${tally.deleted.length === 0 ? "" : `, ${formatCount(tally.deleted.length)} deleted`}; ` +
      `sequence ${sequence} of ${time}, verified`,
  );
}
