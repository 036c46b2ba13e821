// Publishing: a stream of bytes becomes chunks on home nodes, a Manifest, and a signed Version that follows the
// newest one known. Nothing is acknowledged before the edge has accepted it.

import type { DomainKeyResolver } from "../domain-keys.ts";
import { isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { type Domain, nameHashOf, type ObjectName } from "../names.ts";
import { authorizeFor } from "../publication.ts";
import type { StatementSigner } from "../sshsig.ts";
import { signStatement } from "../statement.ts";
import { type VerifiedVersion, versionKind } from "../version.ts";
import { announceToEdge, announceToHolders, type BundleReport } from "./announce.ts";
import type { ClientHost } from "./host.ts";
import { type Ingested, ingest } from "./ingest.ts";
import type { Server } from "./server.ts";
import { UploadSession } from "./upload-session.ts";
import { type UploadEvent, Uploader } from "./uploader.ts";
import { collectVersions, type KnownVersion, type NameKnowledge } from "./versions.ts";

/** What a grant allows when the size is not known beforehand (a pipe). */
export const GRANT_BYTES_UNKNOWN = 1024 ** 4;
/** Manifests, and copies sent again because a node failed. */
export const GRANT_ALLOWANCE_BYTES = 64 * 1024 * 1024;
const GRANT_ALLOWANCE_SHARE = 0.25;

export interface PublishRequest {
  domain: Domain;
  name: ObjectName;
  author: string;
  blocks: AsyncIterable<Uint8Array>;
  /** Null where it is not known beforehand. */
  sizeBytes: number | null;
  replicas: number;
  contentType: string;
  metadata?: Record<string, string>;
  /** ISO 8601 with milliseconds, UTC. */
  expires?: string;
}

export type PublishEvent = UploadEvent | { type: "read"; bytes: number };

export interface PublishOptions {
  host: ClientHost;
  /** Where chunks are planned and the Version is accepted. */
  edge: Server;
  /** Who is asked for the newest Version; the edge among them. */
  servers: readonly Server[];
  domainKeys: DomainKeyResolver;
  signer: StatementSigner;
  onEvent?: (event: PublishEvent) => void;
  chunksPerManifest?: number;
}

export interface PublishResult {
  status: "published" | "unchanged";
  /** The new Version, or the one that already says the same. */
  version: VerifiedVersion;
  nameHash: Hash;
  witnesses: number;
  /** Null where nothing was published. */
  bundle: BundleReport | null;
  warnings: string[];
}

/** Throws before the first byte is read where the key may not sign for the domain or the edge does not answer. */
export async function publish(request: PublishRequest, options: PublishOptions): Promise<PublishResult> {
  const { domain, name, author } = request;
  const { host, edge, domainKeys, signer } = options;
  const nameHash = nameHashOf(domain, name);
  await authorizeFor(domainKeys, domain, signer.key, author);
  const knowledge = await collectVersions({ domain, nameHash, depth: "newest" }, options);
  throwIfSilent(edge, knowledge);
  const parent = parentOf(knowledge);
  const session = await UploadSession.open({ domain, author, bytes: grantBytes(request) }, signer, host);
  const uploader = new Uploader({
    server: edge,
    session,
    replicas: request.replicas,
    onEvent: options.onEvent,
  });
  const ingested = await ingestWith(uploader, request, options);
  const warnings = warningsOf(knowledge, parent);
  if (parent !== null && isUnchanged(parent, ingested, request, host.now())) {
    await uploader.flushReceipts();
    return { status: "unchanged", version: parent.version, nameHash, witnesses: 0, bundle: null, warnings };
  }
  const version = await signVersion({ request, nameHash, ingested, parent, nowMs: host.now() }, signer);
  const receipts = await uploader.takeReceipts();
  const announcement = { version, manifestBytes: ingested.manifestBytes, receipts };
  const witnesses = await announceToEdge(edge, announcement);
  const bundle = await announceToHolders(edge, host.fetch, announcement, witnesses);
  warnings.push(...bundleWarnings(bundle, request.replicas));
  return { status: "published", version, nameHash, witnesses: witnesses.length, bundle, warnings };
}

function ingestWith(uploader: Uploader, request: PublishRequest, options: PublishOptions): Promise<Ingested> {
  const { contentType, metadata = {}, replicas } = request;
  return ingest(
    request.blocks,
    { contentType, metadata, redundancy: { replicas } },
    {
      hasher: options.host.hasher,
      store: (chunks) => uploader.store(chunks),
      chunksPerManifest: options.chunksPerManifest,
      onRead: (bytes) => options.onEvent?.({ type: "read", bytes }),
    },
  );
}

interface VersionDraft {
  request: PublishRequest;
  nameHash: Hash;
  ingested: Ingested;
  parent: KnownVersion | null;
  nowMs: number;
}

function signVersion(draft: VersionDraft, signer: StatementSigner): Promise<VerifiedVersion> {
  const { request, nameHash, ingested, parent, nowMs } = draft;
  const parentMs = parent === null ? 0 : Date.parse(parent.version.body.time);
  return signStatement(
    versionKind,
    {
      type: "holdfast-version-1",
      domain: request.domain,
      nameHash,
      name: request.name,
      sequence: (parent?.version.body.sequence ?? 0) + 1,
      previous: parent?.version.id ?? null,
      time: new Date(Math.max(nowMs, parentMs)).toISOString(),
      manifest: ingested.manifest,
      size: ingested.sizeBytes,
      author: request.author,
      ...(request.expires === undefined ? {} : { expires: request.expires }),
    },
    signer,
  );
}

/** The Version to follow: the newest valid one; after a change of keys, when none is valid any more, the newest. */
function parentOf({ versions }: NameKnowledge): KnownVersion | null {
  return versions.find(({ unverified }) => unverified === null) ?? versions[0] ?? null;
}

function throwIfSilent(edge: Server, { problems }: NameKnowledge): void {
  const silence = problems.find(
    ({ server, error }) =>
      server === edge.url && isHoldfastError(error, "unreachable", "timeout", "bad-answer"),
  );
  if (silence !== undefined) throw silence.error;
}

function isUnchanged(
  { version, unverified }: KnownVersion,
  ingested: Ingested,
  request: PublishRequest,
  nowMs: number,
): boolean {
  const { expires, manifest } = version.body;
  const isCurrent = expires === undefined || Date.parse(expires) > nowMs;
  return unverified === null && isCurrent && request.expires === undefined && manifest === ingested.manifest;
}

function grantBytes({ sizeBytes, replicas }: PublishRequest): number {
  if (sizeBytes === null) return GRANT_BYTES_UNKNOWN;
  return Math.ceil(sizeBytes * replicas * (1 + GRANT_ALLOWANCE_SHARE)) + GRANT_ALLOWANCE_BYTES * replicas;
}

function warningsOf({ problems }: NameKnowledge, parent: KnownVersion | null): string[] {
  const warnings = problems.map(({ server, error }) => `${server}: ${error.message} (${error.code})`);
  if (parent?.unverified != null) {
    warnings.push(
      `the Version before this one (sequence ${parent.version.body.sequence}) is signed by a key that DNS no longer shows`,
    );
  }
  return warnings;
}

function bundleWarnings({ reachable, kept, failures }: BundleReport, replicas: number): string[] {
  const located = failures.length === 0 || reachable > 0;
  if (located && kept >= Math.min(replicas, reachable)) return [];
  const reasons = failures.map(({ url, error }) => `${url}: ${error.message}`).join("; ");
  return [
    `${kept} of ${reachable} holders that can be reached keep the Version beside its Manifest (${reasons})`,
  ];
}
