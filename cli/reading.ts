// What commands that read an object have in common: the servers, the chunk source, the verified Version, and the words
// about servers and holders that were found wrong on the way.

import type { ChunkSource, HolderFailure } from "../lib/client/chunk-source.ts";
import { Complaints } from "../lib/client/complaints.ts";
import type { ServerProblem } from "../lib/client/name-knowledge.ts";
import { plainText } from "../lib/client/request.ts";
import { type ResolvedObject, resolveObject } from "../lib/client/resolve.ts";
import type { Hash } from "../lib/hash.ts";
import { nameHashOf } from "../lib/names.ts";
import { nodeHost } from "./node-host.ts";
import type { FullName } from "./options.ts";
import { say, warn } from "./output.ts";
import {
  type CommonOptions,
  chunkSourceOf,
  domainKeysOf,
  findingNames,
  loadSettings,
  nodeAt,
  overlayOf,
  type Settings,
  seenVersionsOf,
  serversOf,
  trustedEdgesOf,
} from "./settings.ts";

/** Problems told one by one; the rest is counted. */
const PROBLEMS_TOLD_MAX = 5;

export interface OpenedObject extends ResolvedObject {
  source: ChunkSource;
  /** Tells the servers of holders that did not have what they are listed for. */
  complain: () => Promise<void>;
}

/** What commands that read ask, and by what they judge the answers. */
export function readingOf(settings: Settings, onHolderFailed: (failure: HolderFailure) => void) {
  const servers = serversOf(settings);
  const overlay = overlayOf(settings, servers);
  const complaints = new Complaints();
  const onFailed = (failure: HolderFailure): void => {
    complaints.note(failure);
    onHolderFailed(failure);
  };
  const source = chunkSourceOf(servers, onFailed, overlay);
  return {
    servers,
    source,
    ...findingNames(overlay),
    complain: () => complaints.send(servers),
    domainKeys: domainKeysOf(settings),
    trustedEdges: trustedEdgesOf(settings),
    hasher: nodeHost.hasher,
    now: nodeHost.now,
  };
}

/** Resolves and verifies; warns about servers whose answers were of no use. */
export async function openObject(
  target: FullName,
  versionId: Hash | undefined,
  options: CommonOptions,
  onHolderFailed: (failure: HolderFailure) => void,
): Promise<OpenedObject> {
  const settings = await loadSettings(options);
  const reading = readingOf(settings, onHolderFailed);
  const resolved = await resolveObject(
    {
      domain: target.domain,
      nameHash: nameHashOf(target.domain, target.name),
      ...(versionId === undefined ? {} : { versionId }),
    },
    { ...reading, seen: seenVersionsOf(settings, options), holderAt: nodeAt(reading.servers) },
  );
  warnOfServers(resolved.problems);
  return { ...resolved, source: reading.source, complain: reading.complain };
}

/** What reading a tree takes. */
export async function treeReading(options: CommonOptions) {
  const settings = await loadSettings(options);
  return { ...readingOf(settings, holderNotes(say)), seen: seenVersionsOf(settings, options) };
}

export type TreeReading = Awaited<ReturnType<typeof treeReading>>;

export function warnOfServers(problems: readonly ServerProblem[]): void {
  for (const { server, error } of problems.slice(0, PROBLEMS_TOLD_MAX)) {
    warn(`${server}: ${plainText(error.message)} (${error.code})`);
  }
  const left = problems.length - PROBLEMS_TOLD_MAX;
  if (left > 0) warn(`and ${left} more of the kind`);
}

/** One line for each way to a holder, at its first failure: a bad one fails for many chunks. */
export function holderNotes(note: (text: string) => void): (failure: HolderFailure) => void {
  const told = new Set<string>();
  return ({ url, error }) => {
    const [way = url] = url.split("/chunk/");
    if (told.has(way)) return;
    told.add(way);
    note(`holdfast: trying others: ${plainText(error.message)} (${error.code})`);
  };
}
