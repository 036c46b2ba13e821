// Options that several commands share, and the parsers of their values: what is wrong on the command line is said
// before anything is read or sent.

import { type Command, InvalidArgumentError } from "commander";
import { parseServerUrl } from "../lib/client/server.ts";
import type { IfMatch } from "../lib/client/version-draft.ts";
import { type Hash, parseHash } from "../lib/hash.ts";
import { REPLICAS_MAX, type Striping } from "../lib/manifest.ts";
import { type Domain, type ObjectName, parseDomain, parseFullName } from "../lib/names.ts";
import { parseStriping } from "../lib/redundancy/scheme.ts";
import { parseSize } from "./format.ts";

export interface FullName {
  domain: Domain;
  name: ObjectName;
}

export const OBJECT_ARGUMENT = "<DOMAIN/NAME>";

/** --edge, --from and --json. */
export function withServers(command: Command): Command {
  return withEdge(command).option(
    "--from <URL>",
    "ask this server too, edge or home node, and the nodes that it leads to; repeatable",
    repeated(parseServerUrl),
  );
}

/** For commands that take a name's newest Version. */
export function withAllowOlder(command: Command): Command {
  return command.option("--allow-older", "take an older Version than was seen here before");
}

/** --edge and --json. */
export function withEdge(command: Command): Command {
  return command
    .option(
      "--edge <URL>",
      "the edge to ask (default: HOLDFAST_EDGE, then the configuration)",
      parseServerUrl,
    )
    .option("--json", "print JSON");
}

export function withKey(command: Command): Command {
  return command
    .option(
      "--key <FILE>",
      "OpenSSH key, or .pub of a key in the agent (default: HOLDFAST_KEY, then the configuration)",
    )
    .option("--author <EMAIL>", "who signs (default: the configuration, then git's user.email)")
    .option(
      "--delegation <FILE>",
      "by which the key may write in a domain of others (default: HOLDFAST_DELEGATION)",
    );
}

export function repeated<T>(parse: (text: string) => T): (text: string, before: T[] | undefined) => T[] {
  return (text, before = []) => [...before, parse(text)];
}

// The parsers of lib, as they are: what they refuse leaves with their own code.
export const fullNameArgument: (text: string) => FullName = parseFullName;
export const domainArgument: (text: string) => Domain = parseDomain;
export const hashArgument: (text: string) => Hash = parseHash;

export function ifMatchArgument(text: string): IfMatch {
  return text === "none" ? text : parseHash(text);
}

export function replicasArgument(text: string): number {
  return integerArgument(text, 1, REPLICAS_MAX);
}

export const stripingArgument: (text: string) => Striping = parseStriping;

export function integerArgument(text: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw new InvalidArgumentError(`expected a number from ${min} to ${max}.`);
  return value;
}

export function sizeArgument(text: string): number {
  const bytes = parseSize(text);
  if (bytes === null) throw new InvalidArgumentError("expected a size such as 50GB, 500 MiB or 800k.");
  return bytes;
}

/** A date, with or without a time, as statements write it. */
export function timeArgument(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError("expected a date such as 2027-01-31.");
  return time.toISOString();
}
