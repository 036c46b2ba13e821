// Names on a home node: Versions that a publisher or an edge hands over, each checked as if nobody had before, and
// the answers to those who look a name up. A node signs no witnesses; it keeps those that come with a Version.

import { base64 } from "@scure/base";
import type { DomainKeyResolver } from "../../lib/domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import type { Domain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { verifyPublication } from "../../lib/publication.ts";
import { parseStatement, type SignedStatement, verifyStatement } from "../../lib/statement.ts";
import type { VerifiedVersion } from "../../lib/version.ts";
import {
  formatSigned,
  type NameAnswer,
  type NamesRequest,
  type NamesResult,
  type PublishedJson,
  parseSigned,
  VERSIONS_PER_PAGE,
} from "../../lib/wire.ts";
import { witnessKind } from "../../lib/witness.ts";
import type { Clock } from "../clock.ts";
import type { DenyList } from "../deny-list.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import { type IndexEntry, type StatementStore, WITNESSES_PER_VERSION_MAX } from "../store/statement-store.ts";

/** A page ends early at this many bytes of kept files, so that an answer stays under wire.ts's NAME_ANSWER_MAX. */
export const PAGE_FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface NamesDeps {
  denied: DenyList;
  chunks: ChunkStore;
  statements: StatementStore;
  resolver: DomainKeyResolver;
  clock: Clock;
  /** Ids of the edges that this node is registered with: their witnesses are kept first. */
  linkedEdges: () => ReadonlySet<Hash>;
}

/**
 * Keeps each Version that stands every check; a refused one does not touch the others. All at once: what is written in
 * one turn shares one sync, where one after the other a hundred would wait for a hundred.
 */
export function acceptNames(request: NamesRequest, deps: NamesDeps): Promise<NamesResult[]> {
  return Promise.all(request.statements.map((published) => acceptOne(published, deps)));
}

async function acceptOne(published: PublishedJson, deps: NamesDeps): Promise<NamesResult> {
  try {
    const { version, manifestBytes } = await verifyPublication(published, deps.resolver, deps.clock.now());
    deps.denied.check(version.id, version.body.nameHash, version.body.manifest);
    const status = deps.statements.has(version.id) ? "known" : "accepted";
    await deps.chunks.put(version.body.manifest, manifestBytes);
    await keepVersion(version, await genuineWitnesses(published, version), deps);
    return { id: version.id, status, witnesses: [] };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { id: idOf(published), status: "refused", problem: { code: error.code, detail: error.message } };
  }
}

function keepVersion(version: VerifiedVersion, offered: SignedStatement[], deps: NamesDeps): Promise<void> {
  return deps.statements.update(version.id, version.body, (kept) => {
    const witnesses = mergeWitnesses(kept?.witnesses ?? [], offered, deps.linkedEdges());
    if (kept !== null && isSameList(witnesses, kept.witnesses)) return null;
    const { bytes, signature } = kept ?? version;
    return { bytes, signature, witnesses };
  });
}

/** The witnesses that are what they say: of this Version, under its key, signed by the edge that they name. */
async function genuineWitnesses(
  published: PublishedJson,
  version: VerifiedVersion,
): Promise<SignedStatement[]> {
  const genuine: SignedStatement[] = [];
  for (const json of published.witnesses) {
    const signed = await verifyWitness(json, version);
    if (signed !== null) genuine.push(signed);
  }
  return genuine;
}

async function verifyWitness(
  json: PublishedJson["witnesses"][number],
  version: VerifiedVersion,
): Promise<SignedStatement | null> {
  try {
    const { body, key, bytes, signature } = await verifyStatement(witnessKind, parseSigned(json));
    const isOurs =
      body.version === version.id &&
      body.domain === version.body.domain &&
      body.key === formatPublicKeyText(version.key) &&
      body.edge === hashBytes(key);
    return isOurs ? { bytes, signature } : null;
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** One witness of each edge, the first that came; those of linked edges first, so that strangers cannot crowd them out. */
function mergeWitnesses(
  kept: SignedStatement[],
  offered: SignedStatement[],
  linked: ReadonlySet<Hash>,
): SignedStatement[] {
  const byEdge = new Map<Hash, SignedStatement>();
  for (const witness of [...kept, ...offered]) {
    const edge = edgeOf(witness);
    if (!byEdge.has(edge)) byEdge.set(edge, witness);
  }
  const edges = [...byEdge.keys()].sort((a, b) => Number(linked.has(b)) - Number(linked.has(a)));
  return edges.slice(0, WITNESSES_PER_VERSION_MAX).flatMap((edge) => byEdge.get(edge) ?? []);
}

function edgeOf(witness: SignedStatement): Hash {
  return parseStatement(witnessKind, witness.bytes).edge;
}

function isSameList(a: SignedStatement[], b: SignedStatement[]): boolean {
  return a.length === b.length && a.every((witness, i) => witness.signature === b[i]?.signature);
}

function idOf(published: PublishedJson): Hash | null {
  try {
    return hashBytes(parseSigned(published.version).bytes);
  } catch (error) {
    if (isHoldfastError(error)) return null;
    throw error;
  }
}

/** One page of a name's Versions, newest first, after the Version `before`. Throws `not-found`. */
export async function answerName(
  nameHash: Hash,
  domain: Domain,
  before: Hash | null,
  { statements, chunks, denied }: Pick<NamesDeps, "statements" | "chunks" | "denied">,
): Promise<NameAnswer> {
  const entries = statements.list(nameHash, domain);
  const start = before === null ? 0 : entries.findIndex((entry) => entry.id === before) + 1;
  const newest = entries[0];
  if (newest === undefined || (before !== null && start === 0)) {
    throw new HoldfastError("not-found", "this home node knows no such name");
  }
  const page = pageOf(entries.slice(start, start + VERSIONS_PER_PAGE));
  const isGiven = before === null && !denied.has(newest.manifest);
  const manifest = isGiven ? await chunks.get(newest.manifest) : null;
  return {
    nameHash,
    domain,
    versions: await Promise.all(page.map(({ id }) => readVersion(id, statements))),
    manifest: manifest === null ? null : base64.encode(manifest),
    next: start + page.length < entries.length ? (page.at(-1)?.id ?? null) : null,
  };
}

function pageOf(entries: IndexEntry[]): IndexEntry[] {
  let bytes = 0;
  return entries.filter((entry, i) => {
    bytes += entry.fileBytes;
    return i === 0 || bytes <= PAGE_FILE_BYTES_MAX;
  });
}

async function readVersion(id: Hash, statements: StatementStore): Promise<NameAnswer["versions"][number]> {
  const kept = await statements.get(id);
  if (kept === null) throw new Error("an indexed Version has no file");
  return { ...formatSigned(kept), witnesses: kept.witnesses.map(formatSigned) };
}
