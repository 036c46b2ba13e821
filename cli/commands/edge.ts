// holdfast edge: the group of commands for whoever operates an edge.

import { Command } from "commander";
import { edgeCheckCommand } from "./edge-check.ts";
import { edgeAllowCommand, edgeDeniedCommand, edgeDenyCommand } from "./edge-denials.ts";
import { edgeSplitCommand } from "./edge-split.ts";

export function edgeCommand(): Command {
  return new Command("edge")
    .summary("for operators of an edge")
    .description(
      "See whether an edge's index is whole. Block what it gives out, and divide its shards: these take a key of its OPERATOR_KEYS.",
    )
    .addCommand(edgeCheckCommand())
    .addCommand(edgeDenyCommand())
    .addCommand(edgeAllowCommand())
    .addCommand(edgeDeniedCommand())
    .addCommand(edgeSplitCommand());
}
