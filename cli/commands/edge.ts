// holdfast edge: the group of commands for whoever operates an edge.

import { Command } from "commander";
import { edgeAllowCommand, edgeDeniedCommand, edgeDenyCommand } from "./edge-denials.ts";
import { edgeSplitCommand } from "./edge-split.ts";

export function edgeCommand(): Command {
  return new Command("edge")
    .summary("for operators of an edge")
    .description(
      "Block what an edge gives out, and divide the shards of its index. Takes a key of its OPERATOR_KEYS.",
    )
    .addCommand(edgeDenyCommand())
    .addCommand(edgeAllowCommand())
    .addCommand(edgeDeniedCommand())
    .addCommand(edgeSplitCommand());
}
