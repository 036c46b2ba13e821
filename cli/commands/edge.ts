// holdfast edge: the group of commands for whoever operates an edge.

import { Command } from "commander";
import { edgeCheckCommand } from "./edge-check.ts";
import { edgeAllowCommand, edgeDeniedCommand, edgeDenyCommand } from "./edge-denials.ts";

export function edgeCommand(): Command {
  return new Command("edge")
    .summary("for operators of an edge")
    .description(
      "See whether an edge's index is whole. Block what it gives out, by hash, name or domain: that takes a key of its OPERATOR_KEYS.",
    )
    .addCommand(edgeCheckCommand())
    .addCommand(edgeDenyCommand())
    .addCommand(edgeAllowCommand())
    .addCommand(edgeDeniedCommand());
}
