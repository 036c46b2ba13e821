// A folder becomes objects of a publisher's domain, each file under its path: what a program that reads a whole tree of
// files needs. In this process, since one of the command's own for each file takes most of a second.

import { readdir, stat } from "node:fs/promises";
import { join, matchesGlob, relative, sep } from "node:path";
import { lookup } from "mrmime";
import { fileBlocks } from "../../cli/file-blocks.ts";
import { nodeHost } from "../../cli/node-host.ts";
import { domainKeysOf, edgeOf, type Settings, serversOf } from "../../cli/settings.ts";
import { type BatchRequest, publishBatch } from "../../lib/client/publish-batch.ts";
import { DEFAULT_CONTENT_TYPE, DEFAULT_REPLICAS } from "../../lib/manifest.ts";
import { parseName } from "../../lib/names.ts";
import type { Publisher } from "./publisher.ts";

export interface TreeOptions {
  /** Globs of paths inside the folder. What they match says what the rest is, and comes when the rest is there. */
  last?: string[];
}

/** Names that became a new Version, in the order of publishing. Throws where one was refused. */
export async function publishTree(
  publisher: Publisher,
  dir: string,
  prefix: string,
  { last = [] }: TreeOptions = {},
): Promise<string[]> {
  const paths = await filesOf(dir);
  const isLast = (path: string) => last.some((glob) => matchesGlob(path, glob));
  const published: string[] = [];
  for (const group of [paths.filter((path) => !isLast(path)), paths.filter(isLast)]) {
    const requests = await Promise.all(group.map((path) => requestOf(dir, prefix, path)));
    published.push(...(await publishAll(publisher, requests)));
  }
  return published;
}

/** Paths of the files below a folder, with slashes, sorted. */
async function filesOf(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((file) => relative(dir, join(file.parentPath, file.name)).replaceAll(sep, "/")).sort();
}

async function requestOf(dir: string, prefix: string, path: string): Promise<BatchRequest> {
  const file = join(dir, path);
  return {
    name: parseName(`${prefix}/${path}`),
    blocks: fileBlocks(file),
    sizeBytes: (await stat(file)).size,
    replicas: DEFAULT_REPLICAS,
    contentType: lookup(path) ?? DEFAULT_CONTENT_TYPE,
  };
}

async function publishAll(publisher: Publisher, requests: BatchRequest[]): Promise<string[]> {
  const { network, domain, author } = publisher;
  const settings: Settings = {
    ...{ edgeUrls: [network.edgeUrl], fromUrls: [], dohUrls: [network.dohUrl] },
    ...{ key: publisher.keyFile, author },
  };
  const options = {
    ...{ domain, author, host: nodeHost, signer: await publisher.signer() },
    ...{ edge: edgeOf(settings), servers: serversOf(settings), domainKeys: domainKeysOf(settings) },
  };
  const published: string[] = [];
  for await (const outcome of publishBatch(requests, options)) {
    if (outcome.status === "refused") throw outcome.error;
    if (outcome.status === "published") published.push(outcome.request.name);
  }
  return published;
}
