// holdfast edge check: how much of an edge's index is there. After the index was lost, or at a new edge: how much of it home
// nodes have brought back, what of that was refused and why, and how long it took.

import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import type { Server } from "../../lib/client/server.ts";
import { type Completeness, completenessOf } from "../../lib/rebuild.ts";
import type { EdgeStatus } from "../../lib/wire/status.ts";
import { type CountProgress, startCount } from "../count-progress.ts";
import { EXIT } from "../failure.ts";
import { formatAge, formatCount, formatTable, formatTime, plural } from "../format.ts";
import { withEdge } from "../options.ts";
import { printData, printJson, say } from "../output.ts";
import { type CommonOptions, edgeOf, loadSettings } from "../settings.ts";

const POLL_MS = 1_000;
/** With --wait: given up where nothing has changed for so long. */
export const STILL_MAX_MS = 5 * 60_000;
const SECOND_MS = 1_000;

interface CheckOptions extends CommonOptions {
  wait?: boolean;
}

export function edgeCheckCommand(): Command {
  return withEdge(new Command("check"))
    .summary("is the index whole")
    .description(
      "How much of the edge's index is there. An edge that has lost it, or a new one, has it back from the home nodes that connect to it: each Version and Removal is verified on the way in. Exits with 5 while something is missing.",
    )
    .option("--wait", "wait until nothing is missing, or until nothing has changed for five minutes")
    .addHelpText("after", EXAMPLES)
    .action((options: CheckOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast edge check
  holdfast edge check --edge https://edge.example.org --wait
  holdfast edge check --json | jq .inventories.statements
`;

interface Checked {
  status: EdgeStatus;
  completeness: Completeness;
}

async function run({ wait, ...options }: CheckOptions): Promise<void> {
  const edge = edgeOf(await loadSettings(options));
  const checked = wait === true ? await watch(edge) : await check(edge);
  const { completeness, status } = checked;
  if (!completeness.isComplete) process.exitCode = EXIT.unreachable;
  if (options.json === true) {
    const { isComplete, ...rest } = completeness;
    return printJson({ edge: edge.url, isComplete, index: status.index, ...rest });
  }
  await printData(formatTable(rowsOf(edge.url, checked)));
  for (const what of completeness.missing) say(`missing: ${what}`);
  if (completeness.isComplete) say("nothing is missing");
}

async function check(edge: Server): Promise<Checked> {
  const status = await edge.status();
  return { status, completeness: completenessOf(status) };
}

async function watch(edge: Server): Promise<Checked> {
  const progress = startCount("chunks seen on home nodes");
  let last = "";
  let changedMs = Date.now();
  try {
    for (;;) {
      const checked = await check(edge);
      const { completeness } = checked;
      show(progress, checked);
      const now = JSON.stringify(completeness);
      if (now !== last) changedMs = Date.now();
      last = now;
      if (completeness.isComplete || Date.now() - changedMs > STILL_MAX_MS) return checked;
      await sleep(POLL_MS);
    }
  } finally {
    progress.stop();
  }
}

function show(progress: CountProgress, { status, completeness: { chunks, inventories } }: Checked): void {
  progress.update(chunks.seen, chunks.needed);
  const isBehind = (status.shards?.behind ?? 0) > 0;
  if (inventories.told < inventories.online) progress.problem("home nodes are still telling what they keep");
  else progress.problem(isBehind ? "shards are still counting what home nodes have brought" : null);
}

function rowsOf(url: string, { status, completeness }: Checked): string[][] {
  const { index } = status;
  const { chunks, inventories } = completeness;
  const { statements } = inventories;
  return [
    ["edge", url],
    [
      "home nodes",
      `${formatCount(inventories.told)} of ${formatCount(inventories.online)} online have told all`,
    ],
    ["names", `${formatCount(index.names)} with ${plural(index.versions, "Version")}`],
    ["chunks", chunksText(chunks)],
    [
      "brought back",
      `${formatCount(statements.taken)} of ${plural(statements.listed, "statement")} listed, ${formatCount(inventories.chunks.taken)} of ${formatCount(inventories.chunks.listed)} copies`,
    ],
    ["refused", refusedText(statements.refused)],
    ["took", tookText(completeness)],
  ];
}

function chunksText({ needed, seen, unseen, unheld, short }: Completeness["chunks"]): string {
  const parts = [
    `${formatCount(seen)} of ${formatCount(needed)} seen on home nodes`,
    `${formatCount(unseen)} only claimed`,
    `${formatCount(unheld)} held by nobody`,
    `${formatCount(short)} below target`,
  ];
  return parts.join(", ");
}

function refusedText(refused: Readonly<Record<string, number>>): string {
  const codes = Object.entries(refused).sort(([, a], [, b]) => b - a);
  if (codes.length === 0) return "nothing";
  return codes.map(([code, count]) => `${formatCount(count)} ${code}`).join(", ");
}

function tookText({ tookMs, inventories: { since, until } }: Completeness): string {
  if (since === null) return "no home node has been asked yet";
  if (tookMs === null || until === null)
    return `since ${formatTime(since)}, ${formatAge(Date.now() - Date.parse(since))} so far`;
  return `${(tookMs / SECOND_MS).toFixed(1)} s, until ${formatTime(until)}`;
}
