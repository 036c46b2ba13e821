// holdfast blame: who brought which bytes, or which lines, of an object.

import { Command } from "commander";
import {
  BLAMED_TEXT_MAX,
  type BlamedLine,
  type BlamedRange,
  blameBytes,
  blameLines,
  type History,
  historyOf,
} from "../../lib/client/blame.ts";
import { type KnownVersion, stands } from "../../lib/client/name-knowledge.ts";
import { plainText } from "../../lib/client/request.ts";
import { chooseVersion } from "../../lib/client/resolve.ts";
import { collectVersions } from "../../lib/client/versions.ts";
import type { Hash } from "../../lib/hash.ts";
import { nameHashOf } from "../../lib/names.ts";
import { usageError } from "../failure.ts";
import { formatSize } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import { type FullName, fullNameArgument, hashArgument, OBJECT_ARGUMENT, withServers } from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { holderNotes, readingOf, warnOfServers } from "../reading.ts";
import { type CommonOptions, loadSettings } from "../settings.ts";

/** A long history is told of every so many Versions. */
const VERSIONS_TOLD = 50;

interface BlameOptions extends CommonOptions {
  version?: Hash;
  bytes?: boolean;
  lines?: boolean;
}

export function blameCommand(): Command {
  const command = new Command("blame")
    .summary("who brought which bytes or lines of an object")
    .description(
      "For each line of a text, or each stretch of other bytes, of the newest Version of DOMAIN/NAME: the Version and the author that it came with.",
    )
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso", fullNameArgument)
    .option("--version <ID>", "this Version instead of the newest", hashArgument)
    .option("--lines", "line by line (the default for texts)")
    .option("--bytes", "by byte ranges, as Versions share chunks");
  return withServers(command)
    .addHelpText("after", EXAMPLES)
    .action((target: FullName, options: BlameOptions) => run(target, options));
}

const EXAMPLES = `
Examples:
  holdfast blame example.org/docs/guide.md
  holdfast blame example.org/releases/app.iso --bytes --json
`;

async function run(target: FullName, options: BlameOptions): Promise<void> {
  if (options.bytes === true && options.lines === true)
    throw usageError("--lines and --bytes exclude each other");
  const { history, source } = await openHistory(target, options);
  const blaming = { source, hasher: nodeHost.hasher, onVersion: sayNowAndThen };
  const byLine = options.lines === true || (options.bytes !== true && (await isText(history)));
  if (byLine) return printLines(await blameLines(history, blaming), options.json === true);
  return printRanges(await blameBytes(history, blaming), options.json === true);
}

function sayNowAndThen(count: number): void {
  if (count % VERSIONS_TOLD === 0) say(`holdfast: ${count} Versions looked at`);
}

async function openHistory(target: FullName, options: BlameOptions) {
  const reading = readingOf(await loadSettings(options), holderNotes(say));
  const { source } = reading;
  const request = {
    domain: target.domain,
    nameHash: nameHashOf(target.domain, target.name),
    ...(options.version === undefined ? {} : { versionId: options.version }),
  };
  const knowledge = await collectVersions({ ...request, depth: "all" }, reading);
  const chosen = chooseVersion(request, knowledge);
  warnOfServers(knowledge.problems);
  const current = knowledge.versions.find((known) => stands(known) && known.version.id === chosen.id);
  if (current === undefined)
    throw new TypeError("the Version that was chosen is not among those that are known");
  return { history: historyOf(current, knowledge.versions, knowledge.manifests, source), source };
}

async function isText(history: History): Promise<boolean> {
  const [current] = history.versions;
  if (current === undefined) return false;
  const { contentType, size } = await history.manifestOf(current);
  return (
    size <= BLAMED_TEXT_MAX && /^(text\/|application\/(json|xml|javascript|toml|yaml))/.test(contentType)
  );
}

async function printLines(lines: BlamedLine[], asJson: boolean): Promise<void> {
  if (asJson)
    return printJson(lines.map(({ text, origin }, i) => ({ line: i + 1, text, ...originOf(origin) })));
  const heads = lines.map(({ origin }) => headOf(origin));
  const width = Math.max(0, ...heads.map((head) => head.length));
  const digits = String(lines.length).length;
  await printData(
    lines
      .map(
        ({ text }, i) =>
          `${(heads[i] ?? "").padEnd(width)}  ${String(i + 1).padStart(digits)}) ${plainLine(text)}\n`,
      )
      .join(""),
  );
}

/** Tabs are part of what a line says. */
function plainLine(text: string): string {
  return text.split("\t").map(plainText).join("\t");
}

async function printRanges(ranges: BlamedRange[], asJson: boolean): Promise<void> {
  if (asJson)
    return printJson(ranges.map(({ first, last, origin }) => ({ first, last, ...originOf(origin) })));
  const heads = ranges.map(({ origin }) => headOf(origin));
  const width = Math.max(0, ...heads.map((head) => head.length));
  await printData(
    ranges
      .map(
        ({ first, last }, i) =>
          `${(heads[i] ?? "").padEnd(width)}  bytes ${first}-${last} (${formatSize(last - first + 1)})\n`,
      )
      .join(""),
  );
}

function headOf({ version: { id, body } }: KnownVersion): string {
  return `${id.slice(0, 12)} ${String(body.sequence).padStart(3)} ${body.time.slice(0, 10)} ${plainText(body.author)}`;
}

function originOf({ version: { id, body } }: KnownVersion): object {
  return { version: id, sequence: body.sequence, time: body.time, author: body.author };
}
