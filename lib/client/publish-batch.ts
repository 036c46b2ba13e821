// Many objects of one domain in one go: names looked up, small chunks sent and Versions announced a hundred at a time.
// While a group is announced, the next is read and uploaded. Each object stands or falls by itself.

import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { type Domain, nameHashOf } from "../names.ts";
import { authorizeFor } from "../publication.ts";
import type { VerifiedVersion } from "../version.ts";
import { type SignedJson, STATEMENTS_PER_POST_MAX } from "../wire.ts";
import { type Announced, type Announcement, announceToEdge, announceToHolders } from "./announce.ts";
import { ingest, type StoreChunks, WINDOW_CHUNKS_MAX } from "./ingest.ts";
import { GRANT_BYTES_UNKNOWN, type PublishOptions, type PublishRequest } from "./publish.ts";
import { UploadSession } from "./upload-session.ts";
import { SMALL_CHUNK_BYTES_MAX, type UploadChunk, Uploader } from "./uploader.ts";
import { isUnchanged, parentOf, signVersion, type VersionDraft } from "./version-draft.ts";
import { collectNewest } from "./versions.ts";

/** Objects looked up, signed and announced together. */
export const GROUP_OBJECTS = STATEMENTS_PER_POST_MAX;
/** Small chunks that wait for one upload. */
const COLLECTED_BYTES_MAX = 8 * 1024 * 1024;

export type BatchRequest = Omit<PublishRequest, "domain" | "author">;

export interface BatchOptions extends PublishOptions {
  domain: Domain;
  author: string;
}

export type BatchOutcome = { request: BatchRequest; nameHash: Hash } & Verdict;

/**
 * Publishes each request; outcomes come in the order of the requests. Throws where the key may not sign for the domain,
 * the edge does not answer, or chunks find no nodes: groups whose outcomes came by then are published.
 */
export async function* publishBatch(
  requests: AsyncIterable<BatchRequest> | Iterable<BatchRequest>,
  options: BatchOptions,
): AsyncGenerator<BatchOutcome> {
  const { domain, author, domainKeys, signer, host } = options;
  await authorizeFor(domainKeys, domain, signer.key, author);
  const session = await UploadSession.open({ domain, author, bytes: GRANT_BYTES_UNKNOWN }, signer, host);
  let announcing: Promise<BatchOutcome[]> = Promise.resolve([]);
  for await (const group of groupsOf(requests, GROUP_OBJECTS)) {
    const uploaded = await uploadGroup(group, session, options);
    const outcomes = await announcing;
    announcing = announceGroup(uploaded, options);
    // Awaited with the next group; a failure in between must not end the process as an unhandled one.
    announcing.catch(() => undefined);
    yield* outcomes;
  }
  yield* await announcing;
}

interface UploadedGroup {
  drafts: { request: BatchRequest; draft: VersionDraft }[];
  uploader: Uploader;
}

async function uploadGroup(
  group: BatchRequest[],
  session: UploadSession,
  options: BatchOptions,
): Promise<UploadedGroup> {
  const { domain, author, host, edge, onEvent } = options;
  const nameHashes = group.map(({ name }) => nameHashOf(domain, name));
  const knowledge = await collectNewest(domain, nameHashes, options);
  throwIfSilent(knowledge[0]);
  const replicas = Math.max(...group.map((request) => request.replicas));
  const uploader = new Uploader({ server: edge, session, replicas, onEvent });
  const collector = new ChunkCollector((chunks) => uploader.store(chunks));
  const drafts: UploadedGroup["drafts"] = [];
  for (const [i, request] of group.entries()) {
    const ingested = await ingest(
      request.blocks,
      {
        contentType: request.contentType,
        metadata: request.metadata ?? {},
        redundancy: { replicas: request.replicas },
      },
      {
        hasher: host.hasher,
        store: (chunks) => collector.store(chunks),
        chunksPerManifest: options.chunksPerManifest,
      },
    );
    const known = knowledge[i];
    const draft: VersionDraft = {
      request: { ...request, domain, author },
      nameHash: nameHashOf(domain, request.name),
      ingested,
      parent: known === undefined ? null : parentOf(known),
      nowMs: host.now(),
    };
    drafts.push({ request, draft });
  }
  await collector.finish();
  return { drafts, uploader };
}

async function announceGroup(
  { drafts, uploader }: UploadedGroup,
  options: BatchOptions,
): Promise<BatchOutcome[]> {
  const { edge, host, signer } = options;
  const changed = drafts.filter(({ draft }) => !isUnchanged(draft));
  const announcements = await Promise.all(
    changed.map(async ({ draft }): Promise<Announcement> => {
      const version = await signVersion(draft, signer);
      return { version, manifestBytes: draft.ingested.manifestBytes };
    }),
  );
  const receipts = announcements.length === 0 ? [] : await uploader.takeReceipts();
  if (announcements.length === 0) await uploader.flushReceipts();
  const results = await announceToEdge(edge, announcements, receipts).catch((error: unknown) => {
    // Where all were refused, the answer is the first refusal.
    if (!isHoldfastError(error) || isHoldfastError(error, "unreachable", "timeout", "bad-answer"))
      throw error;
    return announcements.map(() => error);
  });
  const announced = announcements.flatMap((announcement, i): Announced[] => {
    const result = results[i];
    return result === undefined || result instanceof HoldfastError
      ? []
      : [{ ...announcement, witnesses: result }];
  });
  await announceToHolders(edge, host.fetch, announced);
  const outcomes = new Map(
    changed.map(({ draft }, i) => [draft, publishedOrRefused(announcements[i], results[i])]),
  );
  return drafts.map(({ request, draft }) => {
    const outcome = outcomes.get(draft) ?? unchanged(draft);
    return { request, nameHash: draft.nameHash, ...outcome };
  });
}

type Verdict = { status: "published" | "unchanged"; version: VerifiedVersion } | Refusal;
interface Refusal {
  status: "refused";
  error: HoldfastError;
}

function publishedOrRefused(
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

function throwIfSilent(first: Awaited<ReturnType<typeof collectNewest>>[number] | undefined): void {
  const silence = first?.problems.find(({ error }) =>
    isHoldfastError(error, "unreachable", "timeout", "bad-answer"),
  );
  if (first?.answered === 0 && silence !== undefined) throw silence.error;
}

/** Gathers the small chunks of many objects into uploads; large ones pass at once. */
class ChunkCollector {
  readonly #upload: StoreChunks;
  #waiting = new Map<Hash, UploadChunk>();
  #bytes = 0;
  #uploading: Promise<void> = Promise.resolve();

  constructor(upload: StoreChunks) {
    this.#upload = upload;
  }

  /** Copies what waits: its memory is used again when this returns. */
  async store(chunks: readonly UploadChunk[]): Promise<void> {
    const large = chunks.filter(({ size }) => size > SMALL_CHUNK_BYTES_MAX);
    if (large.length > 0) await this.#upload(large);
    for (const chunk of chunks.filter(({ size }) => size <= SMALL_CHUNK_BYTES_MAX)) {
      if (this.#waiting.size === WINDOW_CHUNKS_MAX || this.#bytes > COLLECTED_BYTES_MAX) await this.#flush();
      if (this.#waiting.has(chunk.hash)) continue;
      this.#waiting.set(chunk.hash, { ...chunk, bytes: chunk.bytes.slice() });
      this.#bytes += chunk.size;
    }
  }

  async finish(): Promise<void> {
    await this.#flush();
    await this.#uploading;
  }

  /** Begins the upload of what waits, after the one before has ended. */
  async #flush(): Promise<void> {
    await this.#uploading;
    const chunks = [...this.#waiting.values()];
    this.#waiting = new Map();
    this.#bytes = 0;
    this.#uploading = chunks.length === 0 ? Promise.resolve() : this.#upload(chunks);
    this.#uploading.catch(() => undefined);
  }
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
