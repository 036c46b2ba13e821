#!/usr/bin/env node
// The holdfast command: puts the commands together, and turns whatever ends one into words and an exit code.

import { Command, CommanderError } from "commander";
import { usePrimitives } from "../lib/primitives.ts";
import { tuneCollector } from "./collector.ts";
import { blameCommand } from "./commands/blame.ts";
import { domainCommand } from "./commands/domain.ts";
import { edgeCommand } from "./commands/edge.ts";
import { getCommand } from "./commands/get.ts";
import { logCommand } from "./commands/log.ts";
import { lsCommand } from "./commands/ls.ts";
import { nodeCommand } from "./commands/node.ts";
import { publishCommand } from "./commands/publish.ts";
import { removeCommand } from "./commands/remove.ts";
import { statusCommand } from "./commands/status.ts";
import { verifyCommand } from "./commands/verify.ts";
import { EXIT, failureOf, formatFailure } from "./failure.ts";
import { nodePrimitives } from "./node-primitives.ts";
import { endQuietlyOnClosedOutput } from "./output.ts";

export const VERSION = "0.1.0";

const FOOTER = `
Environment:
  HOLDFAST_EDGE        the edge's URL
  HOLDFAST_KEY         path of the signing key, or the key's text
  HOLDFAST_DELEGATION  path of a delegation, for a key that writes in a domain of
                       others
  HOLDFAST_DOH         DNS-over-HTTPS resolvers, comma separated
  HOLDFAST_CONFIG      configuration file (default: the nearest
                       .holdfast/config.json, then ~/.config/holdfast/config.json)

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 verification failed, 5 unreachable.
`;

export function createProgram(): Command {
  const program = new Command("holdfast")
    .description("Signed, versioned objects at plain HTTPS URLs, kept by volunteers' home nodes.")
    .version(VERSION)
    .enablePositionalOptions()
    .addHelpText("after", FOOTER)
    .addCommand(publishCommand())
    .addCommand(getCommand())
    .addCommand(lsCommand())
    .addCommand(verifyCommand())
    .addCommand(logCommand())
    .addCommand(blameCommand())
    .addCommand(removeCommand())
    .addCommand(statusCommand())
    .addCommand(domainCommand())
    .addCommand(nodeCommand())
    .addCommand(edgeCommand());
  throwOnExit(program);
  return program;
}

/** Commander's own exits become errors, so that there is one place that ends the process. */
function throwOnExit(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  for (const child of command.commands) throwOnExit(child);
}

async function main(argv: string[]): Promise<void> {
  usePrimitives(nodePrimitives);
  tuneCollector();
  endQuietlyOnClosedOutput();
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === EXIT.ok) return;
    const failure = failureOf(error);
    process.stderr.write(formatFailure(failure, argv.includes("--json")));
    process.exitCode = failure.exitCode;
  }
}

await main(process.argv);
