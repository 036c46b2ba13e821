// Many objects of one domain in one go: names looked up, small chunks sent and Versions announced a hundred at a time.
// Groups follow each other through these steps without waiting for the end of the one before; an object that says
// nothing new is read and looked up, and not sent. Each object stands or falls by itself.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { type Domain, nameHashOf } from "../names.ts";
import { handled } from "../promise.ts";
import { authorizeFor } from "../publication.ts";
import type { VerifiedVersion } from "../version.ts";
import { type SignedJson, STATEMENTS_PER_POST_MAX } from "../wire.ts";
import { type Announced, type Announcement, announceToEdge, announceToHolders } from "./announce.ts";
import { ChunkCollector } from "./chunk-collector.ts";
import { type Ingested, ingest, type StoreChunks } from "./ingest.ts";
import { GRANT_BYTES_UNKNOWN, type PublishOptions, type PublishRequest } from "./publish.ts";
import { UploadSession } from "./upload-session.ts";
import { Uploader } from "./uploader.ts";
import { isUnchanged, parentOf, signVersion, type VersionDraft } from "./version-draft.ts";
import { collectNewest, type NameKnowledge } from "./versions.ts";

/** Objects looked up, signed and announced together. */
export const GROUP_OBJECTS = STATEMENTS_PER_POST_MAX;
/** Groups between the upload of their chunks and their outcome. */
export const GROUPS_AT_ONCE = 3;

export interface BatchRequest extends Omit<PublishRequest, "domain" | "author" | "blocks"> {
  /** The object's bytes from their start; called twice where it may be that they are published already. */
  open(): AsyncIterable<Uint8Array>;
}

export interface BatchOptions extends PublishOptions {
  domain: Domain;
  author: string;
}

export type BatchOutcome = { request: BatchRequest; nameHash: Hash } & Verdict;

/**
 * Publishes each request, of distinct names; outcomes come in the order of the requests. Throws where the key may not
 * sign for the domain, the edge does not answer, or chunks find no nodes: groups whose outcomes came by then are published.
 */
export async function* publishBatch(
  requests: AsyncIterable<BatchRequest> | Iterable<BatchRequest>,
  options: BatchOptions,
): AsyncGenerator<BatchOutcome> {
  const { domain, author, domainKeys, signer, host } = options;
  await authorizeFor(domainKeys, domain, signer.key, author);
  const session = await UploadSession.open({ domain, author, bytes: GRANT_BYTES_UNKNOWN }, signer, host);
  const uploads = new Uploads(session, options);
  const announcer = new Announcer(uploads, options);
  const underWay: Promise<BatchOutcome[]>[] = [];
  for await (const group of lookedUp(groupsOf(requests, GROUP_OBJECTS), options)) {
    if (underWay.length === GROUPS_AT_ONCE) yield* await (underWay.shift() ?? []);
    const drafts = await draftGroup(group, uploads, options);
    // Not awaited: while its last chunks are on their way, the next group is read.
    const stored = handled(uploads.settle());
    underWay.push(handled(announcer.announce(drafts, stored)));
  }
  for (const outcomes of underWay) yield* await outcomes;
}

interface Group {
  requests: BatchRequest[];
  knowledge: Promise<NameKnowledge[]>;
}

/** Each group with what is known of its names; the next one is asked for while this one is worked on. */
async function* lookedUp(
  groups: AsyncIterable<BatchRequest[]>,
  options: BatchOptions,
): AsyncGenerator<Group> {
  let before: Group | null = null;
  for await (const requests of groups) {
    const nameHashes = requests.map(({ name }) => nameHashOf(options.domain, name));
    const knowledge = handled(collectNewest(options.domain, nameHashes, options));
    if (before !== null) yield before;
    before = { requests, knowledge };
  }
  if (before !== null) yield before;
}

/** Where the chunks go: one uploader for each number of replicas that is asked for. */
class Uploads {
  readonly #session: UploadSession;
  readonly #options: BatchOptions;
  readonly #byReplicas = new Map<number, { uploader: Uploader; collector: ChunkCollector }>();

  constructor(session: UploadSession, options: BatchOptions) {
    this.#session = session;
    this.#options = options;
  }

  store(replicas: number): StoreChunks {
    const known = this.#byReplicas.get(replicas) ?? this.#open(replicas);
    return (chunks) => known.collector.store(chunks);
  }

  /** Resolves when everything given to `store` until now is stored. */
  async settle(): Promise<void> {
    await Promise.all([...this.#byReplicas.values()].map(({ collector }) => collector.settle()));
  }

  async takeReceipts(): Promise<SignedJson[]> {
    const uploaders = [...this.#byReplicas.values()].map(({ uploader }) => uploader);
    return (await Promise.all(uploaders.map((uploader) => uploader.takeReceipts()))).flat();
  }

  #open(replicas: number): { uploader: Uploader; collector: ChunkCollector } {
    const { edge: server, onEvent } = this.#options;
    const uploader = new Uploader({ server, session: this.#session, replicas, onEvent });
    const opened = { uploader, collector: new ChunkCollector((chunks) => uploader.store(chunks)) };
    this.#byReplicas.set(replicas, opened);
    return opened;
  }
}

interface Drafted {
  request: BatchRequest;
  draft: VersionDraft;
}

/** Reads the objects of a group; the chunks of those that are new are on their way when it returns. */
async function draftGroup(
  { requests, knowledge }: Group,
  uploads: Uploads,
  options: BatchOptions,
): Promise<Drafted[]> {
  const known = await knowledge;
  throwIfSilent(known[0]);
  const drafts: Drafted[] = [];
  for (const [i, request] of requests.entries()) {
    const found = known[i];
    const parent = found === undefined ? null : parentOf(found);
    drafts.push({ request, draft: await draftOf(request, parent, uploads, options) });
  }
  return drafts;
}

async function draftOf(
  request: BatchRequest,
  parent: VersionDraft["parent"],
  uploads: Uploads,
  options: BatchOptions,
): Promise<VersionDraft> {
  const { domain, author, host } = options;
  const nameHash = nameHashOf(domain, request.name);
  const head = { request: { ...request, domain, author }, nameHash, parent, nowMs: host.now() };
  // Where the size is another, so is the Manifest.
  if (parent !== null && (request.sizeBytes ?? parent.version.body.size) === parent.version.body.size) {
    const draft = { ...head, ingested: await read(request, async () => undefined, options) };
    if (isUnchanged(draft)) return draft;
  }
  return { ...head, ingested: await read(request, uploads.store(request.replicas), options) };
}

function read(request: BatchRequest, store: StoreChunks, options: BatchOptions): Promise<Ingested> {
  const { contentType, metadata = {}, replicas } = request;
  return ingest(
    request.open(),
    { contentType, metadata, redundancy: { replicas } },
    { hasher: options.host.hasher, store, chunksPerManifest: options.chunksPerManifest },
  );
}

/** Announces groups one after the other to the edge, and meanwhile the ones before to the holders. */
class Announcer {
  readonly #uploads: Uploads;
  readonly #options: BatchOptions;
  #toEdge: Promise<unknown> = Promise.resolve();

  constructor(uploads: Uploads, options: BatchOptions) {
    this.#uploads = uploads;
    this.#options = options;
  }

  /** Called in the order of the groups; announces once `stored`. */
  async announce(drafts: Drafted[], stored: Promise<void>): Promise<BatchOutcome[]> {
    const { edge, host } = this.#options;
    const changed = drafts.flatMap(({ draft }) => (isUnchanged(draft) ? [] : [draft]));
    const announcements = await Promise.all(changed.map((draft) => this.#sign(draft)));
    const announcing = this.#toEdge.then(async () => {
      await stored;
      return announcements.length === 0 ? [] : this.#tellEdge(announcements);
    });
    this.#toEdge = handled(announcing);
    const results = await announcing;
    await announceToHolders(edge, host.fetch, acceptedOf(announcements, results));
    const verdicts = new Map(changed.map((draft, i) => [draft, verdictOf(announcements[i], results[i])]));
    return drafts.map(({ request, draft }) => {
      const verdict = verdicts.get(draft) ?? unchanged(draft);
      return { request, nameHash: draft.nameHash, ...verdict };
    });
  }

  async #sign(draft: VersionDraft): Promise<Announcement> {
    return {
      version: await signVersion(draft, this.#options.signer),
      manifestBytes: draft.ingested.manifestBytes,
    };
  }

  async #tellEdge(announcements: Announcement[]): Promise<(SignedJson[] | HoldfastError)[]> {
    const receipts = await this.#uploads.takeReceipts();
    return announceToEdge(this.#options.edge, announcements, receipts).catch((error: unknown) => {
      // Where all were refused, the answer is the first refusal.
      if (!isHoldfastError(error) || isHoldfastError(error, "unreachable", "timeout", "bad-answer"))
        throw error;
      return announcements.map(() => error);
    });
  }
}

type Verdict = { status: "published" | "unchanged"; version: VerifiedVersion } | Refusal;
interface Refusal {
  status: "refused";
  error: HoldfastError;
}

function acceptedOf(
  announcements: readonly Announcement[],
  results: readonly (SignedJson[] | HoldfastError)[],
): Announced[] {
  return announcements.flatMap((announcement, i): Announced[] => {
    const result = results[i];
    return result === undefined || result instanceof HoldfastError
      ? []
      : [{ ...announcement, witnesses: result }];
  });
}

function verdictOf(
  announcement: Announcement | undefined,
  result: SignedJson[] | HoldfastError | undefined,
): Verdict {
  if (result instanceof HoldfastError) return { status: "refused", error: result };
  if (announcement === undefined || result === undefined) throw new TypeError("an object without an answer");
  return { status: "published", version: announcement.version };
}

function unchanged({ parent }: VersionDraft): Verdict {
  if (parent === null) throw new TypeError("an object without a Version");
  return { status: "unchanged", version: parent.version };
}

function throwIfSilent(first: NameKnowledge | undefined): void {
  const silence = first?.problems.find(({ error }) =>
    isHoldfastError(error, "unreachable", "timeout", "bad-answer"),
  );
  if (first?.answered === 0 && silence !== undefined) throw silence.error;
}

async function* groupsOf<T>(items: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of items) {
    group.push(item);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}
