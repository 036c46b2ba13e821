// holdfast publish DIR: every file of a folder under its own name, and the index of the tree.

import type { BatchOutcome } from "../../lib/client/publish-batch.ts";
import {
  compareTree,
  publishTree,
  type TreeComparison,
  type TreeFile,
  type TreeRequest,
  type TreeResult,
} from "../../lib/client/publish-tree.ts";
import { plainText } from "../../lib/client/request.ts";
import type { IfMatch } from "../../lib/client/version-draft.ts";
import type { Hash } from "../../lib/hash.ts";
import { formatTreeRoot, parseTreeRoot, type TreeRoot } from "../../lib/tree-index.ts";
import { usageError } from "../failure.ts";
import { formatCount, formatSize, formatTable, plural } from "../format.ts";
import { printData, printJson, say, warn } from "../output.ts";
import { type Progress, startProgress } from "../progress.ts";
import { holderNotes } from "../reading.ts";
import {
  type CommonOptions,
  chunkSourceOf,
  domainKeysOf,
  edgeOf,
  hostFor,
  loadSettings,
  type Settings,
  seenVersionsOf,
  serversOf,
  trustedEdgesOf,
} from "../settings.ts";
import { loadAuthor, loadDelegation, loadSigner } from "../signing-key.ts";
import { inPhases, treeFiles } from "../tree-files.ts";
import type { PublishOptions } from "./publish.ts";

const SKIPPED_TOLD_MAX = 5;
/** A dry run signs nothing. */
const NOBODY = "nobody@invalid.example";

/** What the files of a tree came to. */
interface Tally {
  new: number;
  changed: number;
  unchanged: number;
  refused: { name: string; code: string; detail: string }[];
  sentBytes: number;
  /** What became a new Version, in the order of publishing. */
  versions: { name: string; version: Hash; sequence: number; size: number }[];
}

export async function publishFolder(dir: string, target: string, options: PublishOptions): Promise<void> {
  if (options.contentType !== undefined)
    throw usageError("--content-type is for one file: a tree's files have the types of their names");
  const root = parseTreeRoot(target);
  const files = await filesOf(dir);
  const expiry = options.expires === undefined ? {} : { expires: options.expires };
  const request: TreeRequest = {
    root,
    phases: inPhases(
      files.map((file) => ({ ...file, ...expiry })),
      options.last ?? [],
      (glob) => warn(`--last ${glob}: no file is held back by it`),
    ),
    redundancy: options.redundancy ?? { replicas: options.replicas },
    deletesVanished: options.delete === true,
    ...ifMatchOf(options.ifMatch),
    ...expiry,
  };
  const settings = await loadSettings(options);
  if (options.dryRun === true) return compare(request, settings, options);
  await publish(request, settings, options);
}

function ifMatchOf(ifMatch: IfMatch | undefined): { ifMatch?: IfMatch } {
  return ifMatch === undefined ? {} : { ifMatch };
}

async function filesOf(dir: string): Promise<TreeFile[]> {
  const skipped: string[] = [];
  const files = await treeFiles(dir, (path) => skipped.push(path));
  for (const path of skipped.slice(0, SKIPPED_TOLD_MAX)) warn(`${path} is no file, and is left out`);
  if (skipped.length > SKIPPED_TOLD_MAX) warn(`and ${skipped.length - SKIPPED_TOLD_MAX} more are left out`);
  return files;
}

function treeOptions(settings: Settings, options: CommonOptions) {
  const servers = serversOf(settings);
  return {
    host: hostFor(servers),
    servers,
    source: chunkSourceOf(servers, holderNotes(say)),
    trustedEdges: trustedEdgesOf(settings),
    domainKeys: domainKeysOf(settings, "write"),
    onWarning: warn,
    seen: seenVersionsOf(settings, options),
  };
}

async function publish(request: TreeRequest, settings: Settings, options: CommonOptions): Promise<void> {
  const author = await loadAuthor(settings);
  const signer = await loadSigner(settings);
  const edge = edgeOf(settings);
  const files = request.phases.flat();
  const progress = startProgress(
    "published",
    files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
  );
  const tally: Tally = { new: 0, changed: 0, unchanged: 0, refused: [], sentBytes: 0, versions: [] };
  const delegation = await loadDelegation(settings);
  const publishing = { ...treeOptions(settings, options), author, signer, delegation, edge };
  try {
    const result = await publishTree(request, { ...publishing, onOutcome: counting(tally, progress) });
    progress.stop();
    await report(request.root, edge.url, tally, result, options.json === true);
  } catch (error) {
    progress.stop();
    for (const { name, code, detail } of tally.refused) say(`holdfast: refused ${name}: ${detail} (${code})`);
    throw error;
  }
}

function counting(tally: Tally, progress: Progress): (outcome: BatchOutcome) => void {
  let doneBytes = 0;
  return (outcome) => {
    doneBytes += outcome.request.sizeBytes ?? 0;
    progress.update(doneBytes);
    if (outcome.status === "unchanged") tally.unchanged += 1;
    else if (outcome.status === "refused") {
      const { code, message } = outcome.error;
      tally.refused.push({ name: outcome.request.name, code, detail: plainText(message) });
    } else {
      const { sequence, size } = outcome.version.body;
      tally[sequence === 1 ? "new" : "changed"] += 1;
      tally.sentBytes += size;
      tally.versions.push({ name: outcome.request.name, version: outcome.version.id, sequence, size });
    }
  };
}

async function report(
  root: TreeRoot,
  edgeUrl: string,
  tally: Tally,
  { index, version, entries, deleted }: TreeResult,
  asJson: boolean,
): Promise<void> {
  const url = `${edgeUrl}/obj/${encodeURI(formatTreeRoot(root))}/`;
  if (asJson) {
    const { refused: _, ...counts } = tally;
    const status = version === null ? "unchanged" : "published";
    return printJson({ status, ...root, url, entries, ...counts, deleted, index: index.version });
  }
  const counts = [
    `${formatCount(tally.new)} new`,
    `${formatCount(tally.changed)} changed (${formatSize(tally.sentBytes)} in all)`,
    `${formatCount(tally.unchanged)} unchanged`,
    ...(deleted.length === 0 ? [] : [`${formatCount(deleted.length)} deleted`]),
  ];
  await printData(
    `${formatTreeRoot(root)}: ${plural(entries, "file")}; ${counts.join(", ")}\n` +
      `index  ${index.version}${version === null ? " (unchanged)" : ""}\n` +
      `url    ${url}\n`,
  );
}

async function compare(request: TreeRequest, settings: Settings, options: CommonOptions): Promise<void> {
  const author = settings.author ?? NOBODY;
  const found: TreeComparison[] = [];
  for await (const one of compareTree(request, { ...treeOptions(settings, options), author }))
    found.push(one);
  if (options.json === true) return printJson(found);
  const changes = found.filter(({ status }) => status !== "unchanged");
  const rows = changes.map(({ status, sizeBytes, path }) => [
    status,
    sizeBytes === null ? "" : formatSize(sizeBytes),
    plainText(path),
  ]);
  await printData(formatTable(rows));
  say(
    `${plural(changes.length, "change")}, ${formatCount(found.length - changes.length)} unchanged; nothing was sent`,
  );
}
