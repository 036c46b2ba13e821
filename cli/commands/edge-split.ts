// holdfast edge split: has shards of an edge's index divided in two while they go on answering, and says how far they are.

import { Command, InvalidArgumentError } from "commander";
import { HoldfastError } from "../../lib/error.ts";
import { SHARD_DEPTH_MAX } from "../../lib/overlay/shards.ts";
import { parseSplitAnswer, SPLIT_ANSWER_MAX, type SplitAnswer } from "../../lib/wire/operator.ts";
import { startCount } from "../count-progress.ts";
import { formatTable } from "../format.ts";
import { sendAsOperator, withOperator } from "../operator-statement.ts";
import { printData, printJson, say } from "../output.ts";
import { type CommonOptions, edgeOf, loadSettings } from "../settings.ts";

const POLL_MS = 1000;

interface SplitOptions extends CommonOptions {
  all?: boolean;
  wait: boolean;
}

const EXAMPLES = `
Examples:
  holdfast edge split 0110
  holdfast edge split --all
`;

export function edgeSplitCommand(): Command {
  return withOperator(new Command("split"))
    .summary("divide shards of the index in two")
    .description(
      "Divide a shard of the edge's index, named by its bits, into two of one bit more, while it goes on answering.",
    )
    .argument("[PREFIX]", "the shard's bits, such as 0110", prefixArgument)
    .option("--all", "every shard")
    .option("--no-wait", "do not wait until they are split")
    .addHelpText("after", EXAMPLES)
    .action((prefix: string | undefined, options: SplitOptions) => split(prefix, options));
}

async function split(
  prefix: string | undefined,
  { all = false, wait, ...options }: SplitOptions,
): Promise<void> {
  if ((prefix === undefined) !== all)
    throw new HoldfastError("invalid-request", "name one shard by its bits, or say --all");
  const change = { action: "split", prefix: prefix ?? null } as const;
  const request = { path: "/operator/split", maxBytes: SPLIT_ANSWER_MAX, parse: parseSplitAnswer };
  const { shards } = await sendAsOperator({ ...request, change }, options);
  if (options.json === true) await printJson(shards);
  else await printData(formatTable([["SHARD", "STATE", "ROWS"], ...shards.map(rowOf)]));
  if (wait) await waitFor(shards, options);
}

function rowOf({ prefix, state, rows }: SplitAnswer["shards"][number]): string[] {
  return [prefix === "" ? "(root)" : prefix, state === "leaf" ? "as deep as can be" : state, String(rows)];
}

/** Until the edge's status names none of them any more. */
async function waitFor(shards: SplitAnswer["shards"], options: CommonOptions): Promise<void> {
  const asked = new Map(shards.flatMap((one) => (one.state === "splitting" ? [[one.prefix, one.rows]] : [])));
  if (asked.size === 0) return;
  const total = [...asked.values()].reduce((sum, rows) => sum + rows, 0);
  const edge = edgeOf(await loadSettings(options));
  const progress = startCount("rows copied");
  try {
    for (;;) {
      const { shards: now } = await edge.status();
      const left = (now?.splitting ?? []).filter(({ prefix }) => asked.has(prefix));
      const missing = left.reduce((sum, { copied, rows }) => sum + Math.max(0, rows - copied), 0);
      progress.update(Math.max(0, total - missing), total);
      if (left.length === 0) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    progress.stop();
  }
  say(`${asked.size === 1 ? "the shard is" : `${asked.size} shards are`} split`);
}

function prefixArgument(text: string): string {
  if (!new RegExp(`^[01]{1,${SHARD_DEPTH_MAX}}$`).test(text))
    throw new InvalidArgumentError(`expected up to ${SHARD_DEPTH_MAX} digits 0 and 1.`);
  return text;
}
