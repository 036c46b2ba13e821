// holdfast node: the group of commands about a home node.

import { Command } from "commander";
import { nodeRunCommand } from "./node-run.ts";
import { nodeStatusCommand } from "./node-status.ts";

export function nodeCommand(): Command {
  return new Command("node")
    .summary("a home node of one's own")
    .description("Run a home node, or ask one how it is.")
    .addCommand(nodeRunCommand())
    .addCommand(nodeStatusCommand());
}
