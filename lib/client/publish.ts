// Publishing: a stream of bytes becomes chunks on home nodes, a Manifest, and a signed Version that follows the
// newest one known. Nothing is acknowledged before the edge has accepted it.

import { authorizeFor } from "../authority.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { copiesOf, type Redundancy } from "../manifest.ts";
import { type Domain, nameHashOf, type ObjectName } from "../names.ts";
import type { StatementSigner } from "../sshsig.ts";
import type { SignedStatement } from "../statement.ts";
import type { VerifiedVersion } from "../version.ts";
import type { SignedJson } from "../wire/signed.ts";
import {
  type Announcement,
  announceToEdge,
  announceToHolders,
  type BundleReport,
  explainRefusal,
} from "./announce.ts";
import type { ClientHost } from "./host.ts";
import { type Ingested, ingest } from "./ingest.ts";
import { checkOwnName, type KnownVersion, type NameKnowledge } from "./name-knowledge.ts";
import type { ReceiptKeeper } from "./receipt-keeper.ts";
import { checkNotOlder, noteSeen, type SeenVersions } from "./seen.ts";
import type { Server } from "./server.ts";
import { UploadSession } from "./upload-session.ts";
import { type UploadEvent, Uploader } from "./uploader.ts";
import { checkIfMatch, type IfMatch, isUnchanged, parentOf, signVersion } from "./version-draft.ts";
import { collectVersions, type VersionsOptions } from "./versions.ts";

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
  redundancy: Redundancy;
  contentType: string;
  metadata?: Record<string, string>;
  /** ISO 8601 with milliseconds, UTC. */
  expires?: string;
  /** Refused with `precondition-failed` where another Version than this is the newest, now or when the edge accepts. */
  ifMatch?: IfMatch;
}

export type PublishEvent = UploadEvent | { type: "read"; bytes: number };

export interface PublishOptions extends VersionsOptions {
  host: ClientHost;
  /** Where chunks are planned and the Version is accepted. */
  edge: Server;
  signer: StatementSigner;
  /** By which the signer's key signs, where that is neither the domain's nor the author's own. */
  delegation?: SignedStatement | null;
  onEvent?: (event: PublishEvent) => void;
  /** Lets a publish that was broken off go on later without sending again what nodes keep. */
  keeper?: ReceiptKeeper;
  /** A Version that follows an older one than was seen would be a fork: it is refused with `rolled-back`. */
  seen?: SeenVersions;
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
  const { host, edge, domainKeys, signer, delegation = null } = options;
  const nameHash = nameHashOf(domain, name);
  const claim = { domain, author, key: signer.key, name, timeMs: host.now() };
  const { right } = await authorizeFor(domainKeys, claim, delegation);
  const knowledge = await collectVersions({ domain, nameHash, depth: "newest" }, options);
  throwIfSilent(edge, knowledge);
  const parent = parentOf(knowledge);
  await checkNotOlder({ domain, nameHash }, parent?.version ?? null, knowledge, options.seen);
  checkOwnName(knowledge, right, author);
  const conflict = checkIfMatch(parent, request.ifMatch);
  if (conflict !== null) throw conflict;
  const grant = { domain, author, bytes: grantBytes(request), delegation };
  const session = await UploadSession.open(grant, signer, host);
  const uploader = new Uploader({
    server: edge,
    session,
    copies: copiesOf(request.redundancy),
    keeper: options.keeper,
    handsOverEarly: true,
    onEvent: options.onEvent,
  });
  await uploader.handOverEarlier();
  const ingested = await ingestWith(uploader, request, options);
  const warnings = warningsOf(knowledge, parent);
  const draft = { request, nameHash, ingested, parent, nowMs: host.now() };
  if (parent !== null && isUnchanged(draft)) {
    await uploader.flushReceipts();
    return { status: "unchanged", version: parent.version, nameHash, witnesses: 0, bundle: null, warnings };
  }
  const version = await signVersion(draft, signer);
  const ifMatch = request.ifMatch !== undefined;
  const announcement = { version, manifestBytes: ingested.manifestBytes, delegation, ifMatch };
  const receipts = await uploader.pendingReceipts();
  const witnesses = await announceOne(edge, announcement, receipts);
  await uploader.noteHandedOver(receipts);
  await noteSeen(version, options.seen);
  const [bundle = null] = await announceToHolders(
    edge,
    host.fetch,
    [{ ...announcement, witnesses }],
    (manifest) => uploader.holdersOf(manifest),
  );
  if (bundle !== null) warnings.push(...bundleWarnings(bundle, copiesOf(request.redundancy)));
  return { status: "published", version, nameHash, witnesses: witnesses.length, bundle, warnings };
}

async function announceOne(
  edge: Server,
  announcement: Announcement,
  receipts: SignedJson[],
): Promise<SignedJson[]> {
  const [outcome] = await announceToEdge(edge, [announcement], receipts).catch((error: unknown) => {
    throw isHoldfastError(error) ? explainRefusal(error) : error;
  });
  if (outcome instanceof HoldfastError) throw outcome;
  return outcome ?? [];
}

function ingestWith(uploader: Uploader, request: PublishRequest, options: PublishOptions): Promise<Ingested> {
  const { contentType, metadata = {}, redundancy } = request;
  return ingest(
    request.blocks,
    { contentType, metadata, redundancy },
    {
      hasher: options.host.hasher,
      store: (chunks) => uploader.store(chunks),
      chunksPerManifest: options.chunksPerManifest,
      onRead: (bytes) => options.onEvent?.({ type: "read", bytes }),
    },
  );
}

function throwIfSilent(edge: Server, { problems }: NameKnowledge): void {
  const silence = problems.find(
    ({ server, error }) =>
      server === edge.url && isHoldfastError(error, "unreachable", "timeout", "bad-answer"),
  );
  if (silence !== undefined) throw silence.error;
}

/** A parity chunk is as large as one chunk of its stripe: parity never comes to more than so many copies. */
function grantBytes({ sizeBytes, redundancy }: PublishRequest): number {
  if (sizeBytes === null) return GRANT_BYTES_UNKNOWN;
  const copies = copiesOf(redundancy);
  return Math.ceil(sizeBytes * copies * (1 + GRANT_ALLOWANCE_SHARE)) + GRANT_ALLOWANCE_BYTES * copies;
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

function bundleWarnings({ holders, kept, failures }: BundleReport, copies: number): string[] {
  const located = failures.length === 0 || holders > 0;
  if (located && kept >= Math.min(copies, holders)) return [];
  const reasons = failures.map(({ url, error }) => `${url}: ${error.message}`).join("; ");
  return [`${kept} of ${holders} holders of the Manifest keep the Version beside it (${reasons})`];
}
