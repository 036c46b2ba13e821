// The objects of a batch on their way to being Versions: what is known of their names, and what their bytes say. An
// object that says nothing new is read and looked up, and nothing of it is sent.

import type { Hash } from "../hash.ts";
import { type Domain, nameHashOf, type ObjectName } from "../names.ts";
import { handled } from "../promise.ts";
import type { TreeEntry } from "../tree-index.ts";
import { type Ingested, ingest, type StoreChunks } from "./ingest.ts";
import type { NameKnowledge } from "./name-knowledge.ts";
import type { PublishOptions, PublishRequest } from "./publish.ts";
import { isUnchanged, parentOf, type VersionDraft } from "./version-draft.ts";
import { collectNewest } from "./versions.ts";

export interface BatchRequest extends Omit<PublishRequest, "domain" | "author" | "blocks"> {
  /** The object's bytes from their start; called again where it may be that they are published already. */
  open(): AsyncIterable<Uint8Array>;
}

/** What a verified index of the domain says of a name: a hint that saves reading, verifying and sending. */
export type KnownEntry = Pick<TreeEntry, "size" | "version" | "manifest">;

export interface DraftOptions
  extends Pick<PublishOptions, "host" | "servers" | "domainKeys" | "trustedEdges" | "chunksPerManifest"> {
  domain: Domain;
  author: string;
  entries?: ReadonlyMap<ObjectName, KnownEntry>;
}

/** An object as it is after this: by an older Version that says the same, or by one still to be signed. */
export type Drafted = { request: BatchRequest; nameHash: Hash } & (
  | { state: "unchanged"; entry: KnownEntry }
  | { state: "changed"; draft: VersionDraft }
);

/** A group of requests, each with what was found out about it before any chunk is stored. */
export interface Group {
  looked: Promise<LookedUp[]>;
}

interface LookedUp {
  request: BatchRequest;
  nameHash: Hash;
  knowledge: NameKnowledge;
  /** Where an index has an entry of its size: what the bytes say. */
  read: Ingested | null;
  entry: KnownEntry | null;
}

/** Groups that are read and looked up while one is worked on: an answer takes longer than to read a group. */
export const GROUPS_AHEAD = 3;

/** Each group with what is known of its names; the next ones are asked for while it is worked on. */
export async function* lookedUp(
  groups: AsyncIterable<BatchRequest[]>,
  options: DraftOptions,
): AsyncGenerator<Group> {
  const ahead: Group[] = [];
  for await (const requests of groups) {
    ahead.push({ looked: handled(lookUpGroup(requests, options)) });
    if (ahead.length > GROUPS_AHEAD) yield* ahead.splice(0, 1);
  }
  yield* ahead;
}

async function lookUpGroup(requests: BatchRequest[], options: DraftOptions): Promise<LookedUp[]> {
  const read: Omit<LookedUp, "knowledge">[] = [];
  for (const request of requests) read.push(await readIndexed(request, options));
  const asked = read.map(({ nameHash, read: bytes, entry }) => ({
    nameHash,
    known: bytes !== null && bytes.manifest === entry?.manifest ? entry.version : undefined,
  }));
  const knowledge = await collectNewest(options.domain, asked, options);
  return read.flatMap((one, i) => {
    const known = knowledge[i];
    return known === undefined ? [] : [{ ...one, knowledge: known }];
  });
}

async function readIndexed(
  request: BatchRequest,
  options: DraftOptions,
): Promise<Omit<LookedUp, "knowledge">> {
  const nameHash = nameHashOf(options.domain, request.name);
  const entry = options.entries?.get(request.name) ?? null;
  const isCandidate =
    entry !== null &&
    entry.size === request.sizeBytes &&
    request.expires === undefined &&
    request.ifMatch === undefined;
  return { request, nameHash, entry, read: isCandidate ? await readThrough(request, options) : null };
}

/** Drafts the objects of a group; the chunks of those that are new have been given to `storeFor` when it returns. */
export async function draftGroup(
  group: readonly LookedUp[],
  storeFor: (request: BatchRequest) => StoreChunks,
  options: DraftOptions,
): Promise<Drafted[]> {
  const drafted: Drafted[] = [];
  for (const looked of group) drafted.push(await draft(looked, storeFor(looked.request), options));
  return drafted;
}

async function draft(looked: LookedUp, store: StoreChunks, options: DraftOptions): Promise<Drafted> {
  const { request, nameHash, knowledge, entry } = looked;
  if (knowledge.isKnown && entry !== null) return { request, nameHash, state: "unchanged", entry };
  const { domain, author, host } = options;
  const parent = parentOf(knowledge);
  const head = { request: { ...request, domain, author }, nameHash, parent, nowMs: host.now() };
  // Where the size is another, so is the Manifest.
  const mayBeSame =
    parent !== null && (request.sizeBytes ?? parent.version.body.size) === parent.version.body.size;
  if (mayBeSame) {
    const read = { ...head, ingested: looked.read ?? (await readThrough(request, options)) };
    if (isUnchanged(read)) {
      const { id, body } = parent.version;
      const { size, manifest } = body;
      return { request, nameHash, state: "unchanged", entry: { version: id, size, manifest } };
    }
  }
  return {
    request,
    nameHash,
    state: "changed",
    draft: { ...head, ingested: await read(request, store, options) },
  };
}

/** What the bytes say, with none of them stored. */
function readThrough(request: BatchRequest, options: DraftOptions): Promise<Ingested> {
  return read(request, async () => undefined, options);
}

function read(request: BatchRequest, store: StoreChunks, options: DraftOptions): Promise<Ingested> {
  const { contentType, metadata = {}, redundancy } = request;
  return ingest(
    request.open(),
    { contentType, metadata, redundancy },
    { hasher: options.host.hasher, store, chunksPerManifest: options.chunksPerManifest },
  );
}
