// holdfast node leave: has a node's chunks copied to others, shows how far that is, and says when it may be switched off.
// The node does the work and remembers it: the command may be broken off and given again.

import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import { plainText } from "../../lib/client/request.ts";
import { HoldfastError } from "../../lib/error.ts";
import { plural } from "../../lib/format.ts";
import type { LocalNodeStatus } from "../../lib/node-status.ts";
import { type CountProgress, startCount } from "../count-progress.ts";
import { statusOfNode, tellNode } from "../node-control.ts";
import { DEFAULT_NODE_DIR } from "../node-dir.ts";
import { printData, printJson, say } from "../output.ts";

const POLL_MS = 1_000;

interface LeaveOptions {
  dir: string;
  cancel?: boolean;
  json?: boolean;
}

type Leaving = NonNullable<LocalNodeStatus["leaving"]>;

export function nodeLeaveCommand(): Command {
  return new Command("leave")
    .summary("end a node without losing anything")
    .description(
      "Have all that the running node keeps copied to others, and wait until it is. Ctrl-C leaves the node at it: give the command again to go on watching.",
    )
    .addOption(new Option("--cancel", "stay after all"))
    .option("--dir <DIR>", "the node's folder", DEFAULT_NODE_DIR)
    .option("--json", "print JSON")
    .addHelpText("after", EXAMPLES)
    .action((options: LeaveOptions) => run(options));
}

const EXAMPLES = `
Examples:
  holdfast node leave
  holdfast node leave --cancel
`;

async function run({ dir, cancel, json }: LeaveOptions): Promise<void> {
  if (cancel === true) return stay(dir, json === true);
  await tellNode(dir, "/leave", { leaving: true });
  sayOnInterrupt();
  const leaving = await watch(dir);
  if (json === true) return printJson(leaving);
  await printData(
    `${plural(leaving.chunks, "chunk")} of this node ${leaving.chunks === 1 ? "is" : "are"} kept by others: you can switch it off\n`,
  );
}

async function stay(dir: string, isJson: boolean): Promise<void> {
  const { leaving } = await tellNode(dir, "/leave", { leaving: false });
  if (isJson) return printJson({ leaving });
  await printData("the node stays: it takes new chunks again\n");
}

/** Waits until all is kept by others. Throws `gone` where somebody has had the node stay meanwhile. */
async function watch(dir: string): Promise<Leaving> {
  const progress = startCount("chunks kept by others");
  try {
    for (;;) {
      const { leaving } = await statusOfNode(dir);
      if (leaving === null)
        throw new HoldfastError("gone", "the node was told to stay (node leave --cancel)");
      show(progress, leaving);
      if (leaving.isSafe) return leaving;
      await sleep(POLL_MS);
    }
  } finally {
    progress.stop();
  }
}

function show(progress: CountProgress, { chunks, asked, short, problem }: Leaving): void {
  progress.update(Math.max(0, Math.min(asked, chunks) - short), chunks);
  progress.problem(problem === null ? null : plainText(problem));
}

function sayOnInterrupt(): void {
  process.once("SIGINT", () => {
    say(
      "holdfast: the node goes on leaving; give the command again to watch, or with --cancel to have it stay",
    );
    process.exit(1);
  });
}
