// holdfast node pause: says beforehand that the node will be away, so that its chunks are not copied meanwhile.

import { Command, Option } from "commander";
import { HoldfastError } from "../../lib/error.ts";
import { formatTime } from "../../lib/format.ts";
import { tellNode } from "../node-control.ts";
import { DEFAULT_NODE_DIR } from "../node-dir.ts";
import { timeArgument } from "../options.ts";
import { printData, printJson } from "../output.ts";

interface PauseOptions {
  dir: string;
  until?: string;
  end?: boolean;
  json?: boolean;
}

export function nodePauseCommand(): Command {
  return new Command("pause")
    .summary("say that the node will be away")
    .description(
      "Tell the edges that the running node will be away for a while, 60 days at most: they do not copy its chunks meanwhile. Afterwards switch it off, and on again when you are back.",
    )
    .option("--until <DATE>", "when it will be back", timeArgument)
    .addOption(new Option("--end", "it is back before the date").conflicts("until"))
    .option("--dir <DIR>", "the node's folder", DEFAULT_NODE_DIR)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((options: PauseOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node pause --until 2027-02-14
  holdfast node pause --end
`;

async function run({ dir, until, end, json }: PauseOptions): Promise<void> {
  if (until === undefined && end !== true)
    throw new HoldfastError(
      "invalid-request",
      "say until when (--until DATE), or that the node is back (--end)",
    );
  const { awayUntil } = await tellNode(dir, "/pause", { until: until ?? null });
  if (json === true) return printJson({ awayUntil });
  await printData(
    awayUntil === null
      ? "the node is back: it takes new chunks again\n"
      : `the node is away until ${formatTime(awayUntil)}: it takes nothing new, and its edges wait for it; you can switch it off\n`,
  );
}
