// holdfast ls: what a published tree has, as its signed index says.

import { Command } from "commander";
import { plainText } from "../../lib/client/request.ts";
import { findTree, openTree, type Tree } from "../../lib/client/tree.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { formatTreeRoot, listFolder, parseTreeRoot, type TreeEntry } from "../../lib/tree-index.ts";
import { formatSize, formatTable, plural } from "../format.ts";
import { hashArgument, withAllowOlder, withServers } from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { type TreeReading, treeReading, warnOfServers } from "../reading.ts";
import type { CommonOptions } from "../settings.ts";

const SHORT_ID = 12;

interface LsOptions extends CommonOptions {
  recursive?: boolean;
  version?: Hash;
}

export function lsCommand(): Command {
  const command = new Command("ls")
    .summary("list a published tree")
    .description(
      "List the files and folders of a published tree, or of one of its folders, from its signed index.",
    )
    .argument("<DOMAIN[/PATH]>", "such as example.org/debian")
    .option("-r, --recursive", "every file, with its path")
    .option("--version <ID>", "as this Version of the index has it, in place of the newest", hashArgument);
  return withServers(withAllowOlder(command))
    .addHelpText("after", EXAMPLES)
    .action((target: string, options: LsOptions) => run(target, options));
}

const EXAMPLES = `
Examples:
  holdfast ls example.org/debian
  holdfast ls example.org/debian/dists -r
  holdfast ls example.org/debian -r --json | jq -r '.entries[] | "\\(.version) \\(.name)"'
`;

async function run(target: string, options: LsOptions): Promise<void> {
  const { tree, folder } = await treeAt(target, options.version, await treeReading(options));
  const entries = entriesBelow(tree, folder);
  if (options.json === true) return printJson(jsonOf(tree, folder, entries));
  await printData(options.recursive === true ? formatEntries(entries) : formatListing(tree, folder));
  const { sequence, time, author } = tree.version.body;
  const sizeBytes = entries.reduce((sum, { size }) => sum + size, 0);
  say(
    `${plural(entries.length, "file")}, ${formatSize(sizeBytes)}; ` +
      `index ${tree.version.id.slice(0, SHORT_ID)}…, sequence ${sequence} of ${time} by ${plainText(author)}`,
  );
}

/** The tree at or above a path. With a Version, the path is the tree's own root. */
export async function treeAt(
  target: string,
  versionId: Hash | undefined,
  reading: TreeReading,
): Promise<{ tree: Tree; folder: string }> {
  const root = parseTreeRoot(target);
  const found =
    versionId === undefined
      ? await findTree(root.domain, root.prefix ?? "", reading)
      : { tree: await openTree(root, versionId, reading), folder: "" };
  warnOfServers(found.tree.problems);
  return found;
}

/** Files below a folder of the tree, with their paths from the tree's root. Throws `not-found` where there are none. */
export function entriesBelow({ root, index }: Tree, folder: string): TreeEntry[] {
  if (folder === "") return index.entries;
  const entries = index.entries.filter(({ name }) => name.startsWith(`${folder}/`));
  if (entries.length > 0) return entries;
  throw new HoldfastError("not-found", `the tree ${formatTreeRoot(root)} has no folder ${folder}`);
}

function jsonOf({ root, version }: Tree, folder: string, entries: readonly TreeEntry[]): object {
  const { sequence, time, author } = version.body;
  return { ...root, folder, index: version.id, sequence, time, author, entries };
}

function formatEntries(entries: readonly TreeEntry[]): string {
  return formatTable(entries.map(rowOf));
}

function formatListing({ index }: Tree, folder: string): string {
  const listing = listFolder(index.entries, folder) ?? { files: [], folders: [] };
  const start = folder === "" ? 0 : folder.length + 1;
  const folders = listing.folders.map(({ name, files, sizeBytes }) => [
    formatSize(sizeBytes),
    plural(files, "file"),
    `${plainText(name)}/`,
  ]);
  const files = listing.files.map((entry) => rowOf({ ...entry, name: entry.name.slice(start) }));
  return formatTable([...folders, ...files]);
}

function rowOf({ name, size, version }: Pick<TreeEntry, "size" | "version"> & { name: string }): string[] {
  return [formatSize(size), version.slice(0, SHORT_ID), plainText(name)];
}
