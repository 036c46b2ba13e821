// A folder becomes a tree of a publisher's domain, by the command: what a program that reads a whole tree of files needs.

import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
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

/** A folder with these files, by their paths. */
export async function writeFolder(
  publisher: Publisher,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<string> {
  const dir = await mkdtemp(join(publisher.folder, "folder-"));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  return dir;
}

function parseNames(text: string): string[] {
  const { versions } = JSON.parse(text) as { versions: { name: string }[] };
  return versions.map(({ name }) => name);
}
