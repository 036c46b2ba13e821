// holdfast remove: takes Versions of a name back, by a signed statement that says why.

import { Command } from "commander";
import type { KnownVersion } from "../../lib/client/name-knowledge.ts";
import {
  type RemoveOptions as ClientOptions,
  findRemovable,
  type RemoveRequest,
  type RemoveResult,
  removeVersions,
} from "../../lib/client/remove.ts";
import type { Hash } from "../../lib/hash.ts";
import { parseReason } from "../../lib/removal.ts";
import { usageError } from "../failure.ts";
import { plural } from "../format.ts";
import { nodeHost } from "../node-host.ts";
import {
  type FullName,
  fullNameArgument,
  hashArgument,
  integerArgument,
  OBJECT_ARGUMENT,
  repeated,
  withKey,
  withServers,
} from "../options.ts";
import { printData, printJson, say, warn } from "../output.ts";
import {
  type CommonOptions,
  domainKeysOf,
  edgeOf,
  loadSettings,
  serversOf,
  trustedEdgesOf,
} from "../settings.ts";
import { loadAuthor, loadDelegation, loadSigner } from "../signing-key.ts";

interface RemoveOptions extends CommonOptions {
  version?: Hash[];
  through?: number;
  all?: boolean;
  reason: string;
  dryRun?: boolean;
}

export function removeCommand(): Command {
  const command = new Command("remove")
    .summary("take Versions of a name back")
    .description(
      "Sign a Removal of Versions of DOMAIN/NAME. They are served no longer, and stay listed as taken back, with the reason. " +
        "A key of the domain may remove anything, an author what they published.",
    )
    .argument(OBJECT_ARGUMENT, "such as example.org/app.iso", fullNameArgument)
    .option("--version <ID>", "this Version; repeatable", repeated(hashArgument))
    .option("--through <SEQUENCE>", "everything up to this sequence", (text) =>
      integerArgument(text, 1, Number.MAX_SAFE_INTEGER),
    )
    .option("--all", "everything that there is of the name")
    .option("--reason <TEXT>", "why, for everybody to read", parseReason, "")
    .option("--dry-run", "say what would be taken back, and sign nothing");
  return withServers(withKey(command))
    .addHelpText("after", EXAMPLES)
    .action((target: FullName, options: RemoveOptions) => run(target, options));
}

const EXAMPLES = `
What others have copied stays copied. A name goes on after what was taken back: the next Version has the next sequence.

Examples:
  holdfast remove example.org/app.iso --version 3a7b… --reason "does not boot"
  holdfast remove example.org/leak.txt --all --reason "published by mistake" --dry-run
`;

async function run(target: FullName, options: RemoveOptions): Promise<void> {
  const what = whatOf(options);
  const settings = await loadSettings(options);
  const author = await loadAuthor(settings);
  const request: RemoveRequest = { ...target, author, what, reason: options.reason };
  const client: ClientOptions = {
    edge: edgeOf(settings),
    servers: serversOf(settings),
    domainKeys: domainKeysOf(settings, "write"),
    trustedEdges: trustedEdgesOf(settings),
    signer: await loadSigner(settings),
    delegation: await loadDelegation(settings),
    fetch: nodeHost.fetch,
    now: nodeHost.now,
  };
  const versions = await findRemovable(request, client);
  if (options.dryRun === true) return tellPlan(target, versions, options.json === true);
  await report(target, await removeVersions(request, versions, client), options.json === true);
}

function whatOf({ version, through, all }: RemoveOptions): RemoveRequest["what"] {
  const given = [version, through, all].filter((option) => option !== undefined);
  if (given.length !== 1)
    throw usageError("name what to take back: --version ID, --through SEQUENCE, or --all");
  if (version !== undefined) return { versions: version };
  return through === undefined ? "all" : { through };
}

async function tellPlan(target: FullName, versions: KnownVersion[], asJson: boolean): Promise<void> {
  if (asJson) return printJson(versions.map(entryOf));
  await printData(versions.map(lineOf).join(""));
  say(`${plural(versions.length, "Version")} of ${target.domain}/${target.name} would be taken back`);
}

async function report(
  target: FullName,
  { removal, versions, witnesses, bundle }: RemoveResult,
  asJson: boolean,
): Promise<void> {
  for (const { url, error } of bundle.failures) warn(`${url}: ${error.message} (${error.code})`);
  if (asJson) {
    const { domain, name } = target;
    return printJson({
      domain,
      name,
      removal: removal.id,
      reason: removal.body.reason,
      versions: versions.map(entryOf),
      witnesses,
      bundleKept: bundle.kept,
    });
  }
  await printData(
    `${target.domain}/${target.name}: ${plural(versions.length, "Version")} taken back\n${versions.map(lineOf).join("")}` +
      `removal  ${removal.id}\nkept     by ${plural(bundle.kept, "home node")}\n`,
  );
}

function lineOf({ version: { id, body } }: KnownVersion): string {
  return `  sequence ${body.sequence}  ${body.time}  ${id}\n`;
}

function entryOf({ version: { id, body } }: KnownVersion): object {
  const { sequence, time, author, size, manifest } = body;
  return { version: id, sequence, time, author, size, manifest };
}
