// holdfast node run: a home node in this process, until it is told to end.

import { Command, InvalidArgumentError, Option } from "commander";
import type { Logger } from "pino";
import {
  DEFAULT_COLLECT_SECONDS,
  DEFAULT_DISK_RESERVE_BYTES,
  DEFAULT_REPAIR_RATE,
  DEFAULT_SCRUB_RATE,
  type NodeConfig,
  parseNodeConfig,
} from "../../home-node/config.ts";
import type { HomeNode } from "../../home-node/home-node.ts";
import { parseServerUrl } from "../../lib/client/server.ts";
import { isHoldfastError } from "../../lib/error.ts";
import { type Domain, parseDomain } from "../../lib/names.ts";
import { isLoopbackHost } from "../../lib/node-url.ts";
import { type PledgeHours, parseHours, parseVolunteerName } from "../../lib/pledge.ts";
import { formatSize } from "../format.ts";
import { DEFAULT_NODE_DIR } from "../node-dir.ts";
import { repeated, sizeArgument } from "../options.ts";
import { printData, warn } from "../output.ts";
import { loadSettings } from "../settings.ts";

const DEFAULT_LISTEN = "0.0.0.0:8790";
const DEFAULT_PLEDGE = "10GB";
/** Requests under way may take this long to finish after a signal. */
const STOP_TIMEOUT_MS = 10_000;
const STDERR = 2;

interface RunOptions {
  dir: string;
  edge?: string[];
  join?: string[];
  doh?: string[];
  /** False for --no-listen. */
  listen: { host: string; port: number } | false;
  url?: string;
  pledge: number;
  domains: "all" | Domain[];
  up?: number;
  down?: number;
  repairRate?: number;
  /** False for --no-scrub. */
  scrub: number | false;
  lostDisk?: boolean;
  reserve?: number;
  deny?: string;
  keepAll?: true;
  /** False for --no-relay. */
  relay: boolean;
  name?: string;
  hours?: PledgeHours;
}

export function nodeRunCommand(): Command {
  return new Command("run")
    .summary("run a home node")
    .description("Run a home node that keeps chunks of the domains you choose, until Ctrl-C.")
    .requiredOption("--domains <LIST>", "whose chunks to keep: a.org,b.org or all", parseDomains)
    .addOption(
      new Option("--pledge <SIZE>", "disk space offered")
        .argParser(sizeArgument)
        .default(sizeArgument(DEFAULT_PLEDGE), DEFAULT_PLEDGE),
    )
    .option("--dir <DIR>", "where identity and chunks lie", DEFAULT_NODE_DIR)
    .option("--edge <URL>", "an edge to register with; repeatable", repeated(parseServerUrl))
    .option(
      "--join <URL>",
      "a home node by which to find others, should no edge name any; repeatable",
      repeated(parseServerUrl),
    )
    .option("--doh <URL>", "a DNS-over-HTTPS resolver; repeatable", repeated(String))
    .addOption(
      new Option("--listen <HOST:PORT>", "where to serve directly")
        .argParser(parseListen)
        .default(parseListen(DEFAULT_LISTEN), DEFAULT_LISTEN),
    )
    .option("--no-listen", "serve through the edges only")
    .option("--url <URL>", "the URL at which others reach this node", parseServerUrl)
    .option("--up <RATE>", "bytes a second sent, such as 2MB (default: no limit)", sizeArgument)
    .option("--down <RATE>", "bytes a second received (default: no limit)", sizeArgument)
    .option(
      "--repair-rate <RATE>",
      `bytes a second copied to make up for lost holders (default: half of --down, ${formatSize(DEFAULT_REPAIR_RATE)} at most)`,
      sizeArgument,
    )
    .addOption(
      new Option("--scrub <RATE>", "bytes a second read to see whether the disk keeps what it was given")
        .argParser(sizeArgument)
        .default(DEFAULT_SCRUB_RATE, formatSize(DEFAULT_SCRUB_RATE)),
    )
    .option("--no-scrub", "never look")
    .option("--lost-disk", "the chunks that this node had are gone: have its edges make up for them")
    .option(
      "--reserve <SIZE>",
      `disk space left free whatever the pledge (default: ${formatSize(DEFAULT_DISK_RESERVE_BYTES)})`,
      sizeArgument,
    )
    .option("--deny <FILE>", "hashes to neither store nor serve, one a line; SIGHUP reads it again")
    .option("--keep-all", "delete nothing, not even what no edge needs any more")
    .option("--no-relay", "carry nothing for home nodes that cannot be reached directly")
    .option("--name <NAME>", "what to call you where the edge thanks those who keep a domain", nameArgument)
    .option(
      "--hours <FROM-TO>",
      "serve strangers daily in these hours of UTC only: 22:00-06:00",
      hoursArgument,
    )
    .addHelpText("after", EXAMPLES)
    .action((options: RunOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node run --domains example.org --pledge 50GB
  holdfast node run --domains example.org --name "Ada's attic" --hours 22:00-06:00
  holdfast node run --domains all --url https://node.example.net --listen 127.0.0.1:8790 --up 2MB
  holdfast node run --domains example.org --join https://node.example.net
`;

async function run(options: RunOptions): Promise<void> {
  const config = parseNodeConfig(await configOf(options));
  if (config.edges.length === 0 && config.join.length === 0)
    warn(
      "neither an edge nor a node to join is set (--edge URL, --join URL): only those who know this node will find it",
    );
  // The daemon's modules take longer to load than most commands take to run.
  const [{ createHomeNode }, { createStrangerFetch }, { createPublicLookup }, { pino }] = await Promise.all([
    import("../../home-node/home-node.ts"),
    import("../stranger-fetch.ts"),
    import("../public-lookup.ts"),
    import("pino"),
  ]);
  const log = pino({ level: "info" }, pino.destination({ dest: STDERR, sync: true }));
  const node = createHomeNode(config, {
    log,
    strangerFetch: createStrangerFetch(serversOf(config)),
    strangerLookup: createPublicLookup(),
  });
  const { id, url } = await node.start();
  stopOnSignals(node, log);
  rereadOnSignal(node, log);
  const where = config.publicUrl ?? url ?? "through its edges only";
  await printData(
    `home node ${id} serves ${where}, pledging ${formatSize(config.pledge.bytes)} of ${config.dir}\n`,
  );
}

/** The servers that the volunteer named; a node that is itself on this machine is one of those here. */
function serversOf({ edges, join, publicUrl }: NodeConfig): string[] {
  const isHere = publicUrl !== null && isLoopbackHost(new URL(publicUrl).hostname);
  return [...edges, ...join, ...(isHere ? [publicUrl] : [])];
}

async function configOf(options: RunOptions): Promise<NodeConfig> {
  const settings = await loadSettings({});
  return {
    dir: options.dir,
    listen: options.listen === false ? null : options.listen,
    publicUrl: options.url ?? null,
    advertise: false,
    edges: options.edge ?? settings.edgeUrls,
    join: options.join ?? [],
    dohUrls: options.doh ?? settings.dohUrls,
    pledge: {
      bytes: options.pledge,
      uploadRate: options.up ?? null,
      downloadRate: options.down ?? null,
      domains: options.domains,
      ...(options.hours === undefined ? {} : { hours: options.hours }),
    },
    repairRate: options.repairRate ?? null,
    name: options.name ?? null,
    scrubRate: options.scrub === false ? null : options.scrub,
    lostDisk: options.lostDisk === true,
    diskReserveBytes: options.reserve ?? DEFAULT_DISK_RESERVE_BYTES,
    collectSeconds: options.keepAll === true ? 0 : DEFAULT_COLLECT_SECONDS,
    relay: options.relay,
    denyFile: options.deny ?? null,
  };
}

/** The first signal lets requests finish; a second one, or the timeout, does not. */
function stopOnSignals(node: HomeNode, log: Logger): void {
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, "stopping");
    setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
    await node.stop();
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => void stop(signal));
}

/** A file that cannot be read leaves the list as it was. */
function rereadOnSignal(node: HomeNode, log: Logger): void {
  process.on("SIGHUP", () => {
    node.rereadDenied().then(
      (denied) => log.info({ denied }, "read the deny file again"),
      (error: unknown) => log.error({ err: error }, "the deny file cannot be read; the last one holds"),
    );
  });
}

function parseDomains(text: string): "all" | Domain[] {
  return text === "all" ? "all" : text.split(",").map((domain) => parseDomain(domain.trim()));
}

function hoursArgument(text: string): PledgeHours {
  return orInvalidArgument(() => parseHours(text), "expected hours of the day such as 22:00-06:00.");
}

function nameArgument(text: string): string {
  return orInvalidArgument(() => parseVolunteerName(text), "expected 1 to 64 printable characters.");
}

function orInvalidArgument<T>(parse: () => T, words: string): T {
  try {
    return parse();
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    throw new InvalidArgumentError(words);
  }
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-f:.]+\]|[^:\s]+):(\d{1,5})$/i.exec(text);
  const [, host = "", port = ""] = match ?? [];
  if (match === null || Number(port) > 65_535) {
    throw new InvalidArgumentError("expected HOST:PORT, such as 0.0.0.0:8790.");
  }
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}
