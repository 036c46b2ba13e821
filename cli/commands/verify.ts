// holdfast verify: is this file what the publisher signed?

import { createReadStream } from "node:fs";
import { Command } from "commander";
import { type Difference, findDifference } from "../../lib/client/verify.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { formatSize } from "../format.ts";
import { nodeHasher } from "../node-host.ts";
import {
  type FullName,
  fullNameArgument,
  hashArgument,
  OBJECT_ARGUMENT,
  withAllowOlder,
  withServers,
} from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { startProgress } from "../progress.ts";
import { holderNotes, type OpenedObject, openObject } from "../reading.ts";
import type { CommonOptions } from "../settings.ts";

const READ_BLOCK_BYTES = 512 * 1024;

interface VerifyOptions extends CommonOptions {
  version?: Hash;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .summary("check a file against a published object")
    .description("Check FILE (- reads standard input) against DOMAIN/NAME; exit code 4 where it differs.")
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso", fullNameArgument)
    .argument("<FILE>", "the file, or -")
    .option("--version <ID>", "this Version instead of the newest", hashArgument);
  return withServers(withAllowOlder(command))
    .addHelpText("after", EXAMPLES)
    .action((target: FullName, file: string, options: VerifyOptions) => run(target, file, options));
}

const EXAMPLES = `
Examples:
  holdfast verify example.org/releases/app.iso ./app.iso
  holdfast verify example.org/app.iso ./app.iso --version 3a7b…
`;

async function run(target: FullName, file: string, options: VerifyOptions): Promise<void> {
  const object = await openObject(target, options.version, options, holderNotes(say));
  const difference = await compare(object, file);
  if (difference !== null) throw differs(file, difference, object);
  const { version, manifest } = object;
  const { sequence, time, author } = version.body;
  if (options.json === true) {
    const { size, digest } = manifest;
    return printJson({
      ...target,
      file,
      matches: true,
      version: version.id,
      sequence,
      time,
      author,
      size,
      digest,
    });
  }
  await printData(
    `${file} is ${target.domain}/${target.name}, sequence ${sequence} of ${time} by ${author}\n`,
  );
}

async function compare(
  { manifest, source, complain }: OpenedObject,
  file: string,
): Promise<Difference | null> {
  const blocks = file === "-" ? process.stdin : createReadStream(file, { highWaterMark: READ_BLOCK_BYTES });
  const progress = startProgress("checked", manifest.size);
  try {
    return await findDifference(manifest, blocks, {
      hasher: nodeHasher,
      loadChunk: (hash) => source.get({ hash, sizeBytes: null }),
      onProgress: (bytes) => progress.update(bytes),
    });
  } finally {
    progress.stop();
    await complain();
  }
}

function differs(
  file: string,
  { kind, first, last }: Difference,
  { version, manifest }: OpenedObject,
): HoldfastError {
  const words = {
    differs: `${file} differs within bytes ${first} to ${last}`,
    "too-short": `${file} ends after ${first} bytes; bytes ${first} to ${last} are missing`,
    "too-long": `${file} goes on after the object's ${manifest.size} bytes (${formatSize(last - first + 1)} more)`,
  };
  const code = kind === "differs" ? "digest-mismatch" : "length-mismatch";
  return new HoldfastError(code, `${words[kind]} (against sequence ${version.body.sequence})`);
}
