// holdfast log: every Version of a name that the servers know, newest first, each verified here.

import { Command } from "commander";
import { type Holding, holdingsOf } from "../../lib/client/holdings.ts";
import { type KnownVersion, stands } from "../../lib/client/name-knowledge.ts";
import { plainText } from "../../lib/client/request.ts";
import { checkNoFork, twinsOf } from "../../lib/client/resolve.ts";
import { checkNotOlder } from "../../lib/client/seen.ts";
import { collectVersions } from "../../lib/client/versions.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import type { Hash } from "../../lib/hash.ts";
import { nameHashOf } from "../../lib/names.ts";
import { fingerprintOf } from "../../lib/openssh-key.ts";
import type { VerifiedRemoval } from "../../lib/removal.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import { verifyWitness, type Witness } from "../../lib/witness.ts";
import { formatAge, formatSize, formatTime, plural } from "../format.ts";
import { type FullName, fullNameArgument, OBJECT_ARGUMENT, withAllowOlder, withServers } from "../options.ts";
import { printData, printJson } from "../output.ts";
import { readingOf, warnOfServers } from "../reading.ts";
import { type CommonOptions, edgeOf, loadSettings, seenVersionsOf } from "../settings.ts";

interface LogOptions extends CommonOptions {
  holders: boolean;
}

export function logCommand(): Command {
  const command = new Command("log")
    .summary("list the Versions of a name, newest first")
    .description(
      "List every Version of DOMAIN/NAME, newest first: who signed it, by what right, who witnessed it, who holds it now.",
    )
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso", fullNameArgument);
  return withServers(withAllowOlder(command).option("--no-holders", "do not ask who holds the chunks now"))
    .addHelpText("after", EXAMPLES)
    .action((target: FullName, options: LogOptions) => run(target, options));
}

const EXAMPLES = `
Examples:
  holdfast log example.org/releases/app.iso
  holdfast log example.org/releases/app.iso --json | jq -r '.[0].version'
`;

async function run(target: FullName, options: LogOptions): Promise<void> {
  const settings = await loadSettings(options);
  const reading = readingOf(settings, () => undefined);
  const nameHash = nameHashOf(target.domain, target.name);
  const knowledge = await collectVersions({ domain: target.domain, nameHash, depth: "all" }, reading);
  const { versions, problems, answered } = knowledge;
  const [problem] = problems;
  if (versions.length === 0 && answered === 0 && problem !== undefined) throw problem.error;
  warnOfServers(problems);
  const newest = versions.find(stands) ?? null;
  const flaw = await problemOf(async () => {
    const name = { domain: target.domain, nameHash };
    await checkNotOlder(name, newest?.version ?? null, knowledge, seenVersionsOf(settings, options));
    if (newest !== null) checkNoFork(newest, versions);
  });
  if (versions.length === 0) {
    if (flaw !== null) throw flaw;
    throw new HoldfastError(
      "not-found",
      `no server asked knows a Version of ${target.domain}/${target.name}`,
    );
  }
  const load = (hash: Hash) => reading.source.get({ hash, sizeBytes: null });
  // Home nodes do not know who else keeps a chunk.
  const hasEdge = options.holders && settings.edgeUrls.length > 0;
  const holdings = hasEdge
    ? await holdingsOf(versions, knowledge.manifests, { edge: edgeOf(settings), load })
    : null;
  const entries = await Promise.all(
    versions.map(async (known, i) => ({
      known,
      twins: stands(known) ? twinsOf(known, versions).map(({ version }) => version.id) : [],
      witnesses: await witnessesOf(known),
      holding: holdings?.[i] ?? null,
    })),
  );
  if (options.json === true) await printJson(entries.map(jsonOf));
  else await printData(entries.map(describe).join("\n"));
  // What there is has been told; what is wrong with it comes last, and as the exit code.
  if (flaw !== null) throw flaw;
}

async function problemOf(check: () => Promise<void>): Promise<HoldfastError | null> {
  try {
    await check();
    return null;
  } catch (error) {
    if (isHoldfastError(error)) return error;
    throw error;
  }
}

/** What is told of one Version. */
interface Entry {
  known: KnownVersion;
  /** What the same key signed at the same sequence: a fork. */
  twins: Hash[];
  /** Genuine ones, the earliest first. */
  witnesses: Witness[];
  /** Null where it was not asked for, or the edge did not say. */
  holding: Holding | null;
}

/** Those that are what they say; a false one is no news, because anybody can send one along. */
async function witnessesOf({ version, witnesses }: KnownVersion): Promise<Witness[]> {
  const genuine: Witness[] = [];
  for (const json of witnesses) {
    try {
      genuine.push((await verifyWitness(parseSigned(json), version)).body);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return genuine.sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

/** A few short lines for each Version: ids and fingerprints are too wide for a table. */
function describe({ known, twins, witnesses, holding }: Entry): string {
  const { id, body, key } = known.version;
  const [first] = witnesses;
  const lines = [
    `version ${id}${body.previous === null ? "" : `, after ${body.previous.slice(0, 12)}…`}`,
    `  sequence  ${body.sequence}, ${formatSize(body.size)}, ${body.time}${expiryOf(body.expires)}`,
    `  author    ${plainText(body.author)}${known.isAuthorVerified ? "" : " (not verified)"}`,
    `  key       ${fingerprintOf(key)} (${describeRight(known)})`,
    ...(first === undefined
      ? ["  witnessed by nobody who is known here"]
      : [`  witnessed ${first.time} by edge ${first.edge.slice(0, 12)}…${others(witnesses.length)}`]),
    ...(holding === null
      ? []
      : [`  held      ${describeHolding(holding)}`, `  audited   ${describeAudit(holding)}`]),
    ...twins.map((id) => `  fork      the same key signed ${id.slice(0, 12)}… at this sequence`),
    ...(known.removal === null ? [] : [`  removed   ${describeRemoval(known.removal)}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function others(count: number): string {
  return count === 1 ? "" : `, and ${plural(count - 1, "other")}`;
}

function expiryOf(expires: string | undefined): string {
  return expires === undefined ? "" : `, expires ${expires}`;
}

/** By what right its key signed, or why it is not to be relied on. */
function describeRight({ right, unverified }: KnownVersion): string {
  if (unverified !== null) return `not verified: ${unverified.code}`;
  if (right?.by === "successor") return `in the history of ${right.version.slice(0, 12)}…`;
  if (right?.by !== "delegation") return right?.by ?? "no right";
  return `delegation ${right.delegation.slice(0, 12)}… by ${right.from === null ? "the domain" : plainText(right.from)}`;
}

function describeHolding({ chunks, known, online }: Holding): string {
  return `${plural(chunks, "chunk")}, each by ${plural(known, "home node")} or more, ${online} of them online now`;
}

/** Of the chunk that was not seen for longest. */
function describeAudit({ audited }: Holding): string {
  if (audited === null) return "not every chunk yet";
  return `every chunk since ${formatTime(audited)}, ${formatAge(Date.now() - Date.parse(audited))} ago`;
}

function describeRemoval({ body }: VerifiedRemoval): string {
  const why = body.reason === "" ? "" : `: ${plainText(body.reason)}`;
  return `${body.time} by ${plainText(body.author)}${why}`;
}

function jsonOf({ known, twins, witnesses, holding }: Entry): object {
  const { id, body, key } = known.version;
  const { sequence, previous, time, expires, author, size, manifest } = body;
  const { right, unverified, removal } = known;
  return {
    ...{ sequence, version: id, previous, time, ...(expires === undefined ? {} : { expires }) },
    ...{ author, authorVerified: known.isAuthorVerified },
    ...{ key: fingerprintOf(key), size, manifest },
    verified: unverified === null ? (right?.by ?? null) : `not verified: ${unverified.code}`,
    ...(right?.by === "delegation" ? { delegation: right.delegation, delegatedBy: right.from } : {}),
    ...(removal === null ? {} : { removed: { removal: removal.id, ...pick(removal.body) } }),
    ...(twins.length === 0 ? {} : { forkedWith: twins }),
    witnesses: witnesses.map(({ edge, time: at }) => ({ edge, time: at })),
    ...(holding === null ? {} : { holders: holding }),
    servers: known.servers,
  };
}

function pick({ author, time, reason }: VerifiedRemoval["body"]): object {
  return { author, time, reason };
}
