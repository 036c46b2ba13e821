// The command lines that documents and packages show, and whether the holdfast command would take them: its own
// parsers judge them, and nothing is run.

import type { Command } from "commander";

/** A comment; an operator; a redirection; a word, of which quotes hold parts together. */
const TOKEN = /\s*(?:#.*|(\|\||&&|[|;])|\d?[<>]+\s*\S+|((?:'[^']*'|"[^"]*"|[^\s'"|;&<>])+))/y;
const CONSOLE_BLOCK = /^```console\n(.*?)^```$/gms;
const PROMPT = "$ ";
/** What may stand before the command itself. */
const PREFIXES = [["sudo"], ["npx"], ["podman", "exec", "holdfast-node"]];

/** The arguments of each `holdfast` after a prompt in the console blocks of a Markdown text. */
export function shownCommands(markdown: string): string[][] {
  return [...markdown.matchAll(CONSOLE_BLOCK)]
    .flatMap(([, block = ""]) => block.replaceAll("\\\n", " ").split("\n"))
    .filter((line) => line.startsWith(PROMPT))
    .flatMap((line) => holdfastArguments(line.slice(PROMPT.length)));
}

/** The arguments of each `holdfast` in a line of shell. */
export function holdfastArguments(line: string): string[][] {
  return commandsOf(line).flatMap((words) => {
    const [program, ...args] = withoutPrefix(words);
    return program === "holdfast" ? [args] : [];
  });
}

/** Why the command would not take these arguments; null where it would. */
export async function refusalOf(createProgram: () => Command, args: string[]): Promise<string | null> {
  const program = createProgram();
  disarm(program);
  try {
    await program.parseAsync(args, { from: "user" });
    return null;
  } catch (error) {
    return `holdfast ${args.join(" ")}: ${error instanceof Error ? error.message : error}`;
  }
}

function commandsOf(line: string): string[][] {
  const commands: string[][] = [[]];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(line); match !== null && match[0] !== ""; match = TOKEN.exec(line)) {
    const [, operator, word] = match;
    if (operator !== undefined) commands.push([]);
    else if (word !== undefined) commands.at(-1)?.push(word.replaceAll(/['"]/g, ""));
  }
  return commands;
}

function withoutPrefix(words: string[]): string[] {
  const prefix = PREFIXES.find((candidate) => candidate.every((word, i) => word === words[i]));
  return prefix === undefined ? words : withoutPrefix(words.slice(prefix.length));
}

/** Commands do nothing but check what they are given. */
function disarm(command: Command): void {
  if (command.commands.length === 0) command.action(() => undefined);
  for (const child of command.commands) disarm(child);
}
