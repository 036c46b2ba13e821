// holdfast log: every Version of a name that the servers know, newest first, each verified here.

import { Command } from "commander";
import { plainText } from "../../lib/client/request.ts";
import { collectVersions, type KnownVersion } from "../../lib/client/versions.ts";
import { HoldfastError } from "../../lib/error.ts";
import { nameHashOf } from "../../lib/names.ts";
import { fingerprintOf } from "../../lib/openssh-key.ts";
import { formatSize } from "../format.ts";
import { type FullName, fullNameArgument, OBJECT_ARGUMENT, withServers } from "../options.ts";
import { printData, printJson } from "../output.ts";
import { warnOfServers } from "../reading.ts";
import { type CommonOptions, domainKeysOf, loadSettings, serversOf } from "../settings.ts";

export function logCommand(): Command {
  const command = new Command("log")
    .summary("list the Versions of a name, newest first")
    .description("List every Version of DOMAIN/NAME, newest first, and how each was verified.")
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso", fullNameArgument);
  return withServers(command)
    .addHelpText("after", EXAMPLES)
    .action((target: FullName, options: CommonOptions) => run(target, options));
}

const EXAMPLES = `
Examples:
  holdfast log example.org/releases/app.iso
  holdfast log example.org/releases/app.iso --json | jq -r '.[0].version'
`;

async function run(target: FullName, options: CommonOptions): Promise<void> {
  const settings = await loadSettings(options);
  const nameHash = nameHashOf(target.domain, target.name);
  const { versions, problems, answered } = await collectVersions(
    { domain: target.domain, nameHash, depth: "all" },
    { servers: serversOf(settings), domainKeys: domainKeysOf(settings) },
  );
  const [problem] = problems;
  if (versions.length === 0 && answered === 0 && problem !== undefined) throw problem.error;
  warnOfServers(problems);
  if (versions.length === 0) {
    throw new HoldfastError(
      "not-found",
      `no server asked knows a Version of ${target.domain}/${target.name}`,
    );
  }
  if (options.json === true) return printJson(versions.map(jsonOf));
  await printData(versions.map(describe).join("\n"));
}

/** A few short lines for each Version: ids and fingerprints are too wide for a table. */
function describe(known: KnownVersion): string {
  const { id, body, key } = known.version;
  const lines = [
    `version ${id}`,
    `  sequence ${body.sequence}, ${formatSize(body.size)}, ${body.time}${expiryOf(body.expires)}`,
    `  author   ${plainText(body.author)}`,
    `  key      ${fingerprintOf(key)} (${verifiedHow(known)})`,
  ];
  return `${lines.join("\n")}\n`;
}

function expiryOf(expires: string | undefined): string {
  return expires === undefined ? "" : `, expires ${expires}`;
}

function jsonOf(known: KnownVersion): object {
  const { id, body, key } = known.version;
  const { sequence, previous, time, expires, author, size, manifest } = body;
  return {
    ...{ sequence, version: id, previous, time, ...(expires === undefined ? {} : { expires }), author },
    ...{ key: fingerprintOf(key), size, manifest, verified: verifiedHow(known) },
    ...{ witnesses: known.witnesses.length, servers: known.servers },
  };
}

/** By a key that DNS shows now, or why not. */
function verifiedHow({ unverified }: KnownVersion): string {
  return unverified === null ? "domain-key" : `not verified: ${unverified.code}`;
}
