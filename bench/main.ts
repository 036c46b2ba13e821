// `npm run bench`: measures Holdfast beside what the same machine does without it. Figures on stdout, words on stderr.

import { Command, InvalidArgumentError } from "commander";
import { integerArgument, repeated, sizeArgument } from "../cli/options.ts";
import { printData } from "../cli/output.ts";
import { isSelected, type Outcome, type Row } from "./figure.ts";
import { formatOutcome, jsonReport, markdownReport, textReport } from "./report.ts";
import { Rig } from "./rig.ts";
import { batchRows } from "./rows/batch.ts";
import { memoryRows } from "./rows/memory.ts";
import { nameRows } from "./rows/names.ts";
import { orientationRows } from "./rows/orientation.ts";
import { publishRows } from "./rows/publish.ts";
import { readRows } from "./rows/read.ts";
import { redundancyRows } from "./rows/redundancy.ts";
import { shapedRows } from "./rows/shaped.ts";
import { treeRows } from "./rows/tree.ts";

const RUNS = 5;
const RUNS_MAX = 1000;
const INTERRUPTED = 130;
const ROWS: readonly Row[] = [
  ...orientationRows,
  ...publishRows,
  ...readRows,
  ...shapedRows,
  ...redundancyRows,
  ...batchRows,
  ...treeRows,
  ...nameRows,
  ...memoryRows,
];

interface Options {
  only?: string[];
  runs: number;
  size?: number;
  json?: boolean;
  markdown?: boolean;
}

const HELP = `
Rows:
${ROWS.map(({ id }) => `  ${id}`).join("\n")}

Temporary files go where TMPDIR says; the largest row needs some 6 GiB there. Nothing is left behind.

Examples:
  npm run bench -- --only publish --runs 3
  npm run bench -- --only 'get/direct-*' --size 64MiB
  npm run -s bench -- --json > results.json
`;

let rig: Rig | null = null;
let interrupted = false;

async function main(): Promise<void> {
  const options = parseOptions();
  const globs = options.only ?? ["*"];
  const rows = ROWS.filter(({ id }) => globs.some((glob) => isSelected(id, glob)));
  const outcomes: Outcome[] = [];
  for (const row of rows) {
    const outcome = await measureRow(row, options);
    if (interrupted) return;
    process.stderr.write(formatOutcome(outcome));
    outcomes.push(outcome);
  }
  await printData(format(outcomes, options));
  if (outcomes.some(({ state }) => state === "failed")) process.exitCode = 1;
}

function parseOptions(): Options {
  return new Command("bench")
    .description("Measure Holdfast beside what the same machine does without it.")
    .option("--only <GLOB>", "these rows only; repeatable", repeated(globArgument))
    .option(
      "--runs <N>",
      "runs of each, of which the median counts",
      (text) => integerArgument(text, 1, RUNS_MAX),
      RUNS,
    )
    .option(
      "--size <SIZE>",
      "bytes of each large object, such as 64MiB (default: each row's own)",
      sizeArgument,
    )
    .option("--json", "print JSON, with every sample")
    .option("--markdown", "print the table as Markdown")
    .addHelpText("after", HELP)
    .parse()
    .opts<Options>();
}

function globArgument(glob: string): string {
  if (ROWS.some(({ id }) => isSelected(id, glob))) return glob;
  throw new InvalidArgumentError("it selects no row; --help lists them.");
}

/** Never throws: a row that fails says why, and the next one follows. */
async function measureRow(row: Row, { runs, size }: Options): Promise<Outcome> {
  const { id } = row;
  const obstacle = await row.obstacle();
  if (obstacle !== null) return { id, state: "skipped", reason: obstacle };
  rig = await Rig.create(id, { runs, sizeBytes: size ?? null });
  try {
    return { id, state: "measured", figures: await row.measure(rig) };
  } catch (error) {
    return { id, state: "failed", reason: error instanceof Error ? error.message : String(error) };
  } finally {
    await rig.end();
  }
}

function format(outcomes: readonly Outcome[], { json, markdown }: Options): string {
  if (json === true) return jsonReport(outcomes);
  return markdown === true ? markdownReport(outcomes) : textReport(outcomes);
}

/** Once gently; a second signal does not wait. */
async function interrupt(): Promise<void> {
  if (interrupted) process.exit(INTERRUPTED);
  interrupted = true;
  process.stderr.write("ending\n");
  await rig?.end();
  process.exit(INTERRUPTED);
}

process.on("exit", () => rig?.kill());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void interrupt());
await main();
