// A folder becomes a tree of a publisher's domain, by the command: what a program that reads a whole tree of files needs.

import type { Publisher } from "./publisher.ts";

export interface TreeOptions {
  /** Globs of paths inside the folder, as --last takes them. */
  last?: string[];
}

/** Names that became a new Version, in the order of publishing. Throws where something was refused. */
export async function publishTree(
  publisher: Publisher,
  dir: string,
  prefix: string,
  { last = [] }: TreeOptions = {},
): Promise<string[]> {
  const globs = last.flatMap((glob) => ["--last", glob]);
  const { code, stdout, stderr } = await publisher.publish(dir, prefix, "--json", ...globs);
  if (code !== 0) throw new Error(`publishing ${dir} ended with ${code}: ${stderr}`);
  return parseNames(stdout);
}

function parseNames(text: string): string[] {
  const { versions } = JSON.parse(text) as { versions: { name: string }[] };
  return versions.map(({ name }) => name);
}
