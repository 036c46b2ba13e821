// holdfast node: the group of commands about a home node.

import { Command } from "commander";
import { nodeLeaveCommand } from "./node-leave.ts";
import { nodePauseCommand } from "./node-pause.ts";
import { nodeRunCommand } from "./node-run.ts";
import { nodeStatusCommand } from "./node-status.ts";

export function nodeCommand(): Command {
  return new Command("node")
    .summary("a home node of one's own")
    .description("Run a home node, ask one how it is, or take it away without loss.")
    .addCommand(nodeRunCommand())
    .addCommand(nodeStatusCommand())
    .addCommand(nodePauseCommand())
    .addCommand(nodeLeaveCommand());
}
