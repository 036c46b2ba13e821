// Many objects of one domain in one go: names looked up, small chunks sent and Versions announced a hundred at a time.
// Groups follow each other through these steps without waiting for the end of the one before. Each object stands or falls
// by itself.

import pLimit from "p-limit";
import { authorizeFor } from "../authority.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { copiesOf } from "../manifest.ts";
import { handled } from "../promise.ts";
import type { VerifiedVersion } from "../version.ts";
import { STATEMENTS_PER_POST_MAX } from "../wire/names.ts";
import type { Contact } from "../wire/nodes.ts";
import type { SignedJson } from "../wire/signed.ts";
import { type Announced, type Announcement, announceToEdge, announceToHolders } from "./announce.ts";
import {
  type BatchRequest,
  type Drafted,
  type DraftOptions,
  draftGroup,
  type Group,
  type KnownEntry,
  lookedUp,
} from "./batch-draft.ts";
import { ChunkCollector } from "./chunk-collector.ts";
import type { StoreChunks } from "./ingest.ts";
import { GRANT_BYTES_UNKNOWN, type PublishOptions } from "./publish.ts";
import { UploadSession } from "./upload-session.ts";
import { Uploader } from "./uploader.ts";
import { checkIfMatch, signVersion, type VersionDraft } from "./version-draft.ts";

export type { BatchRequest, KnownEntry } from "./batch-draft.ts";

/** Objects looked up, signed and announced together. */
export const GROUP_OBJECTS = STATEMENTS_PER_POST_MAX;
/** Groups between the upload of their chunks and their outcome. */
export const GROUPS_AT_ONCE = 4;
/** Groups that the edge is asked to accept at a time: while one waits for the index, another is verified. */
export const POSTS_AT_ONCE = 2;

export type BatchOptions = PublishOptions & DraftOptions;

export type BatchOutcome = { request: BatchRequest; nameHash: Hash } & Verdict;

type Verdict =
  | { status: "published"; version: VerifiedVersion; entry: KnownEntry }
  | { status: "unchanged"; entry: KnownEntry }
  | { status: "refused"; error: HoldfastError };

/** What a batch would do. */
export interface Comparison {
  request: BatchRequest;
  status: "new" | "changed" | "unchanged";
}

type Requests = AsyncIterable<BatchRequest> | Iterable<BatchRequest>;

/**
 * Publishes each request, of distinct names; outcomes come in the order of the requests. Throws where the key may not
 * sign for the domain, the edge does not answer, or chunks find no nodes: groups whose outcomes came by then are published.
 */
export async function* publishBatch(requests: Requests, options: BatchOptions): AsyncGenerator<BatchOutcome> {
  const { domain, author, domainKeys, signer, host, delegation = null } = options;
  const claim = { domain, author, key: signer.key, name: undefined, timeMs: host.now() };
  await authorizeFor(domainKeys, claim, delegation);
  const grant = { domain, author, bytes: GRANT_BYTES_UNKNOWN, delegation };
  const session = await UploadSession.open(grant, signer, host);
  const uploads = new Uploads(session, options);
  const announcer = new Announcer(uploads, options);
  const underWay: Promise<BatchOutcome[]>[] = [];
  for await (const group of lookedUp(groupsOf(requests, GROUP_OBJECTS), options)) {
    if (underWay.length === GROUPS_AT_ONCE) yield* await (underWay.shift() ?? []);
    const drafts = await draftAnswered(
      group,
      ({ redundancy }) => uploads.store(copiesOf(redundancy)),
      options,
    );
    // Not awaited: while its last chunks are on their way, the next group is read.
    const stored = handled(uploads.settle());
    underWay.push(handled(announcer.announce(drafts, stored)));
  }
  for (const outcomes of underWay) yield* await outcomes;
}

/** What `publishBatch` would do; nothing is signed or sent. */
export async function* compareBatch(requests: Requests, options: DraftOptions): AsyncGenerator<Comparison> {
  for await (const group of lookedUp(groupsOf(requests, GROUP_OBJECTS), options)) {
    for (const drafted of await draftAnswered(group, () => async () => undefined, options)) {
      const { request, state } = drafted;
      yield { request, status: state === "changed" && drafted.draft.parent === null ? "new" : state };
    }
  }
}

async function draftAnswered(
  group: Group,
  storeFor: (request: BatchRequest) => StoreChunks,
  options: DraftOptions,
): Promise<Drafted[]> {
  const looked = await group.looked;
  const [first] = looked;
  const silence = first?.knowledge.problems.find(({ error }) =>
    isHoldfastError(error, "unreachable", "timeout", "bad-answer"),
  );
  if (first?.knowledge.answered === 0 && silence !== undefined) throw silence.error;
  return draftGroup(looked, storeFor, options);
}

/** Where the chunks go: one uploader for each number of copies that is asked for. */
class Uploads {
  readonly #session: UploadSession;
  readonly #options: BatchOptions;
  readonly #byCopies = new Map<number, { uploader: Uploader; collector: ChunkCollector }>();

  constructor(session: UploadSession, options: BatchOptions) {
    this.#session = session;
    this.#options = options;
  }

  store(copies: number): StoreChunks {
    const known = this.#byCopies.get(copies) ?? this.#open(copies);
    return (chunks) => known.collector.store(chunks);
  }

  /** Resolves when everything given to `store` until now is stored. */
  async settle(): Promise<void> {
    await Promise.all([...this.#byCopies.values()].map(({ collector }) => collector.settle()));
  }

  /** Who holds a chunk, where one of the uploaders remembers it. */
  holdersOf(hash: Hash): readonly Contact[] | null {
    for (const { uploader } of this.#byCopies.values()) {
      const holders = uploader.holdersOf(hash);
      if (holders !== null) return holders;
    }
    return null;
  }

  /** Sends what the edge may not have yet of receipts with `post`. */
  async withReceipts<T>(post: (receipts: SignedJson[]) => Promise<T>): Promise<T> {
    const uploaders = [...this.#byCopies.values()].map(({ uploader }) => uploader);
    const receipts = (await Promise.all(uploaders.map((uploader) => uploader.pendingReceipts()))).flat();
    const result = await post(receipts);
    await Promise.all(uploaders.map((uploader) => uploader.noteHandedOver(receipts)));
    return result;
  }

  #open(copies: number): { uploader: Uploader; collector: ChunkCollector } {
    const { edge: server, onEvent } = this.#options;
    const uploader = new Uploader({ server, session: this.#session, copies, handsOverEarly: false, onEvent });
    const opened = { uploader, collector: new ChunkCollector((chunks) => uploader.store(chunks)) };
    this.#byCopies.set(copies, opened);
    return opened;
  }
}

/** Announces groups to the edge, and meanwhile the ones before to the holders. */
class Announcer {
  readonly #uploads: Uploads;
  readonly #options: BatchOptions;
  readonly #toEdge = pLimit(POSTS_AT_ONCE);

  constructor(uploads: Uploads, options: BatchOptions) {
    this.#uploads = uploads;
    this.#options = options;
  }

  /** Announces what has changed, once `stored`. */
  async announce(drafted: readonly Drafted[], stored: Promise<void>): Promise<BatchOutcome[]> {
    const { edge, host } = this.#options;
    const prepared = await Promise.all(drafted.map((one) => this.#prepare(one)));
    const announcements = prepared.flatMap((one) =>
      one instanceof HoldfastError || one === null ? [] : [one],
    );
    await stored;
    const results = announcements.length === 0 ? [] : await this.#toEdge(() => this.#tellEdge(announcements));
    await announceToHolders(edge, host.fetch, acceptedOf(announcements, results), (manifest) =>
      this.#uploads.holdersOf(manifest),
    );
    const resultOf = new Map(announcements.map((announcement, i) => [announcement, results[i]]));
    return drafted.map((one, i): BatchOutcome => {
      const { request, nameHash } = one;
      return { request, nameHash, ...verdictOf(one, prepared[i], resultOf) };
    });
  }

  /** Null where there is nothing to announce, an error where the request's own condition is not met. */
  async #prepare(drafted: Drafted): Promise<Announcement | HoldfastError | null> {
    if (drafted.state === "unchanged") return null;
    const { draft, request } = drafted;
    const problem = checkIfMatch(draft.parent, request.ifMatch);
    if (problem !== null) return problem;
    return this.#sign(draft, request.ifMatch !== undefined);
  }

  async #sign(draft: VersionDraft, ifMatch: boolean): Promise<Announcement> {
    const version = await signVersion(draft, this.#options.signer);
    const { delegation = null } = this.#options;
    return { version, manifestBytes: draft.ingested.manifestBytes, delegation, ifMatch };
  }

  #tellEdge(announcements: Announcement[]): Promise<(SignedJson[] | HoldfastError)[]> {
    return this.#uploads.withReceipts((receipts) =>
      announceToEdge(this.#options.edge, announcements, receipts).catch((error: unknown) => {
        // Where all were refused, the answer is the first refusal.
        if (!isHoldfastError(error) || isHoldfastError(error, "unreachable", "timeout", "bad-answer"))
          throw error;
        return announcements.map(() => error);
      }),
    );
  }
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
  drafted: Drafted,
  prepared: Announcement | HoldfastError | null | undefined,
  results: ReadonlyMap<Announcement, SignedJson[] | HoldfastError | undefined>,
): Verdict {
  if (drafted.state === "unchanged") return { status: "unchanged", entry: drafted.entry };
  if (prepared instanceof HoldfastError) return { status: "refused", error: prepared };
  const result = prepared == null ? undefined : results.get(prepared);
  if (prepared == null || result === undefined) throw new TypeError("an object without an answer");
  if (result instanceof HoldfastError) return { status: "refused", error: result };
  const { id, body } = prepared.version;
  const entry = { version: id, size: body.size, manifest: body.manifest };
  return { status: "published", version: prepared.version, entry };
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
