// `npm run sim`: how look-ups, routing tables and the edge's membership do as the network grows. Figures on stdout, words
// on stderr.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { type CountProgress, startCount } from "../cli/count-progress.ts";
import { integerArgument } from "../cli/options.ts";
import { endQuietlyOnClosedOutput, printData, printJson, say } from "../cli/output.ts";
import { formatCount } from "../lib/format.ts";
import { PATHS } from "../lib/overlay/lookup.ts";
import { drawChart } from "./chart.ts";
import { missedExpectations } from "./expectations.ts";
import { edgeTable, nodeTable, replaceBetween } from "./report.ts";
import { type Figures, simulate } from "./scenario.ts";
import { BUCKETS, type Scene, TABLES } from "./world.ts";

const DOCUMENT = new URL("../docs/scale.md", import.meta.url);
const PICTURE = new URL("../docs/scale/lookups.svg", import.meta.url);
/** Larger networks join node by node only where that is asked for: it takes more than minutes, and memory by the node. */
const JOINED_NODES_MAX = 100_000;
const NODES = [100, 1000, 10_000];
const NODES_MIN = 2;
const NODES_MAX = 2_000_000;
const LOOKUPS = 2000;
const LOOKUPS_MAX = 100_000;

interface Options {
  nodes: number[];
  seed: string;
  hostile: number;
  loss: number;
  lookups: number;
  paths: number;
  tables?: Scene["tables"];
  buckets: Scene["buckets"];
  json?: boolean;
  write?: boolean;
}

const HELP = `
Up to ${formatCount(JOINED_NODES_MAX)} nodes join one after the other, then half of them leave within two hours, as many come, and chunks
are looked up meanwhile. Of larger networks the tables that look-ups touch are drawn, unless --tables says otherwise.
Equal seeds give equal figures. It exits with 1 where the figures are not what docs/scale.md expects, and says which.

Examples:
  npm run sim
  npm run sim -- --nodes 100000
  npm run sim -- --nodes 100,1000,10000,100000,1000000 --write
  npm run -s sim -- --nodes 1000 --hostile 0.4 --json
`;

async function main(): Promise<void> {
  endQuietlyOnClosedOutput();
  const options = parseOptions();
  const figures: Figures[] = [];
  for (const nodes of options.nodes) figures.push(await simulateShown(nodes, options));
  if (options.json === true) await printJson({ options, figures });
  else await printData(`${nodeTable(figures)}\n${edgeTable(figures)}`);
  if (options.write === true) await writeDocument(figures, options);
  const missed = figures.flatMap(missedExpectations);
  for (const words of missed) say(`missed: ${words}`);
  if (missed.length > 0) process.exitCode = 1;
}

function parseOptions(): Options {
  return new Command("sim")
    .description(
      "Simulate the overlay in memory: home nodes that find each other and chunks, and the edge's members.",
    )
    .option("--nodes <N,…>", "sizes of the network", sizesArgument, NODES)
    .option("--seed <TEXT>", "what everything is drawn by", "1")
    .option("--hostile <SHARE>", "nodes that mislead, are silent or invent holders", shareArgument, 0.2)
    .option("--loss <SHARE>", "calls that are lost", shareArgument, 0.01)
    .option("--lookups <N>", "chunks looked up", (text) => integerArgument(text, 1, LOOKUPS_MAX), LOOKUPS)
    .option("--paths <N>", "disjoint paths of a look-up", (text) => integerArgument(text, 1, 10), PATHS)
    .addOption(
      new Option("--tables <HOW>", "have nodes join, or draw the tables that look-ups touch").choices(TABLES),
    )
    .addOption(
      new Option("--buckets <HOW>", "how a joining node fills its far buckets")
        .choices(BUCKETS)
        .default("sampled" satisfies Scene["buckets"]),
    )
    .option("--json", "print JSON")
    .option("--write", "write the tables and the picture of docs/scale.md")
    .addHelpText("after", HELP)
    .parse()
    .opts<Options>();
}

function sizesArgument(text: string): number[] {
  return text.split(",").map((one) => integerArgument(one, NODES_MIN, NODES_MAX));
}

function shareArgument(text: string): number {
  const share = Number(text);
  if (text.trim() !== "" && share >= 0 && share < 1) return share;
  throw new InvalidArgumentError("it is a number from 0 to below 1.");
}

async function simulateShown(nodes: number, options: Options): Promise<Figures> {
  const shown = new Map<string, CountProgress>();
  const tables = options.tables ?? (nodes <= JOINED_NODES_MAX ? "joined" : "drawn");
  const startedMs = performance.now();
  const end = () => {
    for (const progress of shown.values()) progress.stop();
    shown.clear();
  };
  const figures = await simulate({ ...options, nodes, tables }, (what, done, total) => {
    let progress = shown.get(what);
    if (progress === undefined) {
      end();
      progress = startCount(what);
      shown.set(what, progress);
    }
    progress.update(done, total);
  });
  end();
  say(`${nodes} nodes: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  return figures;
}

async function writeDocument(figures: readonly Figures[], options: Options): Promise<void> {
  const { seed, hostile, loss } = options;
  const how = `Seed ${seed}, ${100 * hostile} % hostile, ${100 * loss} % of the calls lost.\n\n`;
  const document = await readFile(DOCUMENT, "utf8");
  const withNodes = replaceBetween(document, "sim-nodes", how + nodeTable(figures));
  await writeFile(DOCUMENT, replaceBetween(withNodes, "sim-edge", edgeTable(figures)));
  await mkdir(new URL(".", PICTURE), { recursive: true });
  await writeFile(PICTURE, drawChart(figures));
}

await main();
