// holdfast get: an object's bytes, verified, into a file or onto standard output; with -r a tree, into a folder.

import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { Command } from "commander";
import { type DownloadEvent, download, type Sink } from "../../lib/client/download.ts";
import type { Hash } from "../../lib/hash.ts";
import { parseFullName } from "../../lib/names.ts";
import { usageError } from "../failure.ts";
import { formatSize } from "../format.ts";
import { chunkMemory, nodeHasher } from "../node-host.ts";
import { type FullName, hashArgument, OBJECT_ARGUMENT, withAllowOlder, withServers } from "../options.ts";
import { printJson, say, writeTo } from "../output.ts";
import { PartFile } from "../part-file.ts";
import { startProgress } from "../progress.ts";
import { holderNotes, type OpenedObject, openObject } from "../reading.ts";
import type { CommonOptions } from "../settings.ts";
import { getTree } from "./get-tree.ts";

export interface GetOptions extends CommonOptions {
  output?: string;
  version?: Hash;
  force?: boolean;
  recursive?: boolean;
  delete?: boolean;
}

export function getCommand(): Command {
  const command = new Command("get")
    .summary("fetch an object or a tree, verified")
    .description("Fetch DOMAIN/NAME from any holders and verify every byte before it is released.")
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso; with -r a tree, or a folder of one")
    .option("-o, --output <FILE|DIR>", "where to, - is standard output (default: the name's last segment)")
    .option("-r, --recursive", "a whole published tree, as its index has it")
    .option("--version <ID>", "this Version (of a tree: of its index) instead of the newest", hashArgument)
    .option("--force", "overwrite what is there")
    .option("--delete", "with -r: remove files that the tree does not have");
  return withServers(withAllowOlder(command))
    .addHelpText("after", EXAMPLES)
    .action((target: string, options: GetOptions) => run(target, options));
}

const EXAMPLES = `
An interrupted download goes on from FILE.part, after its bytes are verified.

Examples:
  holdfast get example.org/releases/app.iso
  holdfast get example.org/site.tar -o - | tar x
  holdfast get example.org/app.iso --from https://node.example.net --version 3a7b…
  holdfast get -r example.org/debian -o mirror --delete
`;

async function run(target: string, options: GetOptions): Promise<void> {
  if (options.recursive === true) return getTree(target, options);
  if (options.delete === true) throw usageError("--delete goes with -r");
  return getObject(parseFullName(target), options);
}

async function getObject(target: FullName, options: GetOptions): Promise<void> {
  if (options.output === "-") return toStdout(target, options);
  const path = await outputPath(target, options);
  const object = await open(target, options);
  const file = await PartFile.open(path);
  try {
    await deliver(object, file);
  } catch (error) {
    await file.abandon();
    throw error;
  }
  await file.commit(object.manifest.size);
  await report(target, path, object, options.json === true);
}

async function toStdout(target: FullName, options: GetOptions): Promise<void> {
  if (options.json === true) throw usageError("--json and -o - both want standard output");
  const object = await open(target, options);
  await deliver(object, { write: (bytes) => writeTo(process.stdout, bytes) });
}

function open(target: FullName, options: GetOptions): Promise<OpenedObject> {
  return openObject(target, options.version, options, holderNotes(say));
}

async function deliver({ manifest, source, complain }: OpenedObject, sink: Sink): Promise<void> {
  const progress = startProgress("fetched", manifest.size);
  let doneBytes = 0;
  const onEvent = (event: DownloadEvent): void => {
    doneBytes += event.sizeBytes;
    progress.update(doneBytes);
  };
  try {
    await download(manifest, sink, { source, hasher: nodeHasher, pool: chunkMemory, onEvent });
  } finally {
    progress.stop();
    await complain();
  }
}

/** Decided before anything is fetched. */
async function outputPath(target: FullName, options: GetOptions): Promise<string> {
  const name = basename(target.name);
  const wanted = options.output ?? name;
  const path = (await kindOf(wanted)) === "directory" ? join(wanted, name) : wanted;
  if (options.force === true || (await kindOf(path)) === null) return path;
  throw usageError(`${path} exists already: give --force to overwrite it, or -o for another name`);
}

async function kindOf(path: string): Promise<"directory" | "file" | null> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (info === null) return null;
  return info.isDirectory() ? "directory" : "file";
}

async function report(target: FullName, path: string, object: OpenedObject, asJson: boolean): Promise<void> {
  const { version } = object;
  const { sequence, time, author, size } = version.body;
  if (asJson) {
    const { digest, contentType } = object.manifest;
    return printJson({
      ...target,
      file: path,
      version: version.id,
      sequence,
      time,
      author,
      size,
      digest,
      contentType,
    });
  }
  say(`${path}: ${formatSize(size)}, sequence ${sequence} of ${time} by ${author}, verified`);
}
