// holdfast publish: a file or a pipe becomes a new Version of a name; a folder, a tree.

import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Command, Option } from "commander";
import { type PublishEvent, type PublishResult, publish } from "../../lib/client/publish.ts";
import type { IfMatch } from "../../lib/client/version-draft.ts";
import { DEFAULT_REPLICAS, type Redundancy, type Striping } from "../../lib/manifest.ts";
import { parseFullName } from "../../lib/names.ts";
import { usageError } from "../failure.ts";
import { fileBlocks } from "../file-blocks.ts";
import { formatSize, plural } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import {
  type FullName,
  ifMatchArgument,
  repeated,
  replicasArgument,
  stripingArgument,
  timeArgument,
  withAllowOlder,
  withKey,
  withServers,
} from "../options.ts";
import { printData, printJson, warn } from "../output.ts";
import { type Progress, startProgress } from "../progress.ts";
import { journalPath, ReceiptJournal } from "../receipt-journal.ts";
import {
  type CommonOptions,
  domainKeysOf,
  edgeOf,
  hostFor,
  loadSettings,
  processEnvironment,
  seenVersionsOf,
  serversOf,
  trustedEdgesOf,
} from "../settings.ts";
import { loadAuthor, loadDelegation, loadSigner } from "../signing-key.ts";
import { contentTypeOf } from "../tree-files.ts";
import { publishFolder } from "./publish-tree.ts";

export interface PublishOptions extends CommonOptions {
  replicas: number;
  redundancy?: Striping;
  contentType?: string;
  expires?: string;
  ifMatch?: IfMatch;
  last?: string[];
  delete?: boolean;
  dryRun?: boolean;
}

interface Input {
  blocks: AsyncIterable<Uint8Array>;
  sizeBytes: number | null;
}

export function publishCommand(): Command {
  const command = new Command("publish")
    .summary("publish a file or a folder")
    .description(
      "Publish FILE (- reads standard input) as a new signed Version of DOMAIN/NAME, or every file of the folder DIR " +
        "under DOMAIN/PREFIX, and an index that makes them one snapshot. What is published already is not sent again.",
    )
    .argument("<FILE|DIR>", "the file, the folder, or -")
    .argument("<DOMAIN/NAME>", "such as example.org/app.iso; with / at its end, the file's own name is added")
    .option("--replicas <N>", "home nodes that must keep each chunk", replicasArgument, DEFAULT_REPLICAS)
    .addOption(
      new Option("--redundancy <D+P>", "instead: stripes of D chunks and P of parity; any P may be lost")
        .argParser(stripingArgument)
        .conflicts("replicas"),
    )
    .option("--content-type <TYPE>", "media type (default: from the name)")
    .option("--expires <DATE>", "readers refuse the Version after this date", timeArgument)
    .option(
      "--if-match <ID|none>",
      "only where this Version (of a folder: of its index) is the newest",
      ifMatchArgument,
    )
    .option(
      "--last <GLOB>",
      "files of the folder that appear after all others; repeatable, in this order",
      repeated((glob) => glob),
    )
    .option("--delete", "drop names from the tree that are not in the folder")
    .option("--dry-run", "say what of the folder would be published, and send nothing");
  return withServers(withKey(withAllowOlder(command)))
    .addHelpText("after", EXAMPLES)
    .action((file: string, target: string, options: PublishOptions) => run(file, target, options));
}

const EXAMPLES = `
A publish that was broken off is run again: what home nodes were sent within the last day is not sent again.

With --redundancy 10+6, each ten chunks (of about 1 MiB) get six parity chunks, and all sixteen go to home nodes in different
networks: any six may be lost, at about twice the size instead of three times. The last stripe of an object is as long as what
is left, so an object of one chunk is kept in seven copies, as are Manifests: small files are better off with --replicas.

Examples:
  holdfast publish app.iso example.org/releases/app.iso --key ~/.ssh/id_ed25519
  tar c site | holdfast publish - example.org/site.tar --replicas 5
  holdfast publish disk.img example.org/disk.img --redundancy 10+6
  holdfast publish ./repo example.org/debian --last 'dists/*/Release*' --last 'dists/*/InRelease'
  holdfast publish ./site example.org/www --delete --dry-run
`;

async function run(file: string, target: string, options: PublishOptions): Promise<void> {
  if (file !== "-" && (await isFolder(file))) return publishFolder(file, target, options);
  if (options.last !== undefined || options.delete === true || options.dryRun === true)
    throw usageError("--last, --delete and --dry-run are for folders");
  return publishFile(file, nameOf(file, target), options);
}

/** False for what is not there: what else is wrong with the command line is told first. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

function nameOf(file: string, target: string): FullName {
  if (!target.endsWith("/")) return parseFullName(target);
  if (file === "-") throw usageError("standard input has no name to add: give the whole name");
  return parseFullName(`${target}${basename(file)}`);
}

async function publishFile(file: string, target: FullName, options: PublishOptions): Promise<void> {
  const settings = await loadSettings(options);
  const edge = edgeOf(settings);
  const servers = serversOf(settings);
  const author = await loadAuthor(settings);
  const signer = await loadSigner(settings);
  const input = await openInput(file);
  const progress = startProgress("published", input.sizeBytes);
  const path = journalPath(processEnvironment.env, edge.url, target);
  const keeper = new ReceiptJournal({ path, domain: target.domain, now: nodeHost.now, warn });
  try {
    const result = await publish(
      { ...target, ...input, author, ...headOf(target, options) },
      {
        host: hostFor(servers),
        edge,
        servers,
        trustedEdges: trustedEdgesOf(settings),
        domainKeys: domainKeysOf(settings, "write"),
        signer,
        delegation: await loadDelegation(settings),
        keeper,
        seen: seenVersionsOf(settings, options),
        onEvent: showProgress(progress, input.sizeBytes ?? Number.POSITIVE_INFINITY),
      },
    );
    progress.stop();
    await report(target, edge.url, result, options.json === true);
  } catch (error) {
    progress.stop();
    throw error;
  }
}

function headOf(target: FullName, options: PublishOptions) {
  return {
    redundancy: redundancyOf(options),
    contentType: options.contentType ?? contentTypeOf(target.name),
    ...(options.expires === undefined ? {} : { expires: options.expires }),
    ...(options.ifMatch === undefined ? {} : { ifMatch: options.ifMatch }),
  };
}

function redundancyOf({ replicas, redundancy }: PublishOptions): Redundancy {
  return redundancy ?? { replicas };
}

async function openInput(file: string): Promise<Input> {
  if (file === "-") return { blocks: process.stdin, sizeBytes: null };
  const info = await stat(file);
  return { blocks: fileBlocks(file), sizeBytes: info.isFile() ? info.size : null };
}

/** Manifests are stored too: what is shown never passes the object's size. */
function showProgress(progress: Progress, sizeBytes: number): (event: PublishEvent) => void {
  let storedBytes = 0;
  return (event) => {
    if (event.type === "node-failed") {
      progress.note(
        `holdfast: node ${event.node.slice(0, 12)}… failed, trying others: ${event.error.message}`,
      );
    }
    if (event.type !== "stored") return;
    storedBytes += event.sizeBytes;
    progress.update(Math.min(storedBytes, sizeBytes));
  };
}

async function report(
  target: FullName,
  edgeUrl: string,
  result: PublishResult,
  asJson: boolean,
): Promise<void> {
  for (const warning of result.warnings) warn(warning);
  const { version, status, nameHash, witnesses, bundle } = result;
  const { sequence, size, time, manifest } = version.body;
  const url = `${edgeUrl}/obj/${target.domain}/${encodeURI(target.name)}`;
  if (asJson) {
    const { domain, name } = target;
    const bundleKept = bundle?.kept ?? 0;
    return printJson({
      status,
      domain,
      name,
      nameHash,
      version: version.id,
      sequence,
      time,
      size,
      manifest,
      url,
      witnesses,
      bundleKept,
    });
  }
  const what = status === "unchanged" ? "unchanged since" : "published as";
  await printData(
    `${target.domain}/${target.name} ${what} sequence ${sequence}, ${formatSize(size)}\n` +
      `version  ${version.id}\n` +
      `url      ${url}\n` +
      (bundle === null ? "" : `kept     with its Manifest by ${plural(bundle.kept, "home node")}\n`),
  );
}
