// Names on a home node: Versions and Removals that a publisher or an edge hands over, each checked as if nobody had before, and
// the answers to those who look a name up. A node signs no witnesses; it keeps those that come with a Version.

import { base64 } from "../../lib/base64.ts";
import type { DomainKeyResolver } from "../../lib/domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, hashBytes } from "../../lib/hash.ts";
import type { Domain } from "../../lib/names.ts";
import { type Publication, verifyPublication, verifyPublishedRemoval } from "../../lib/publication.ts";
import { parseStatement, type SignedStatement } from "../../lib/statement.ts";
import {
  type NameAnswer,
  type NamesRequest,
  type NamesResult,
  type PostedJson,
  type PostedRemovalJson,
  type PublishedJson,
  VERSIONS_PER_PAGE,
} from "../../lib/wire/names.ts";
import { formatSigned, type ListedJson, parseSigned, WITNESSES_MAX } from "../../lib/wire/signed.ts";
import { verifyWitness, type Witnessed, witnessKind } from "../../lib/witness.ts";
import type { Clock } from "../clock.ts";
import type { DenyList } from "../deny-list.ts";
import type { ChunkStore } from "../store/chunk-store.ts";
import type { KeptRemoval, RemovalStore } from "../store/removal-store.ts";
import type { IndexEntry, KeptVersion, StatementStore } from "../store/statement-store.ts";

/** A page ends early at this many bytes of kept files, so that an answer stays under NAME_ANSWER_MAX. */
export const PAGE_FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface NamesDeps {
  denied: DenyList;
  chunks: ChunkStore;
  statements: StatementStore;
  removals: RemovalStore;
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
  return Promise.all(request.statements.map((posted) => acceptOne(posted, deps)));
}

async function acceptOne(posted: PostedJson, deps: NamesDeps): Promise<NamesResult> {
  try {
    return await ("version" in posted ? acceptVersion(posted, deps) : acceptRemoval(posted, deps));
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { id: idOf(posted), status: "refused", problem: { code: error.code, detail: error.message } };
  }
}

async function acceptVersion(published: PublishedJson, deps: NamesDeps): Promise<NamesResult> {
  const publication = await verifyPublication(published, deps.resolver, deps.clock.now());
  const { version, manifestBytes } = publication;
  deps.denied.check(version.id, version.body.nameHash, version.body.manifest);
  const status = deps.statements.has(version.id) ? "known" : "accepted";
  await deps.chunks.put(version.body.manifest, manifestBytes);
  await keepVersion(publication, await genuineWitnesses(published, version), deps);
  return { id: version.id, status, witnesses: [] };
}

async function acceptRemoval(posted: PostedRemovalJson, deps: NamesDeps): Promise<NamesResult> {
  const { removal, authority, delegation } = await verifyPublishedRemoval(
    posted,
    deps.resolver,
    deps.clock.now(),
  );
  const { id, bytes, signature } = removal;
  const isNew = await deps.removals.keep(id, {
    bytes,
    signature,
    witnesses: await genuineWitnesses(posted, removal),
    delegation,
    byDomain: authority.right.by === "domain-key",
  });
  return { id, status: isNew ? "accepted" : "known", witnesses: [] };
}

function keepVersion(
  { version, delegation }: Publication,
  offered: SignedStatement[],
  deps: NamesDeps,
): Promise<void> {
  return deps.statements.update(version.id, version.body, (kept) => {
    const witnesses = mergeWitnesses(kept?.witnesses ?? [], offered, deps.linkedEdges());
    if (kept !== null && isSameList(witnesses, kept.witnesses)) return null;
    const { bytes, signature } = kept ?? version;
    return { bytes, signature, witnesses, delegation: kept?.delegation ?? delegation };
  });
}

/** The witnesses that are what they say: of this statement, under its key, signed by the edge that they name. */
async function genuineWitnesses({ witnesses }: PostedJson, statement: Witnessed): Promise<SignedStatement[]> {
  const genuine: SignedStatement[] = [];
  for (const json of witnesses) {
    try {
      const { bytes, signature } = await verifyWitness(parseSigned(json), statement);
      genuine.push({ bytes, signature });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
    }
  }
  return genuine;
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
  return edges.slice(0, WITNESSES_MAX).flatMap((edge) => byEdge.get(edge) ?? []);
}

function edgeOf(witness: SignedStatement): Hash {
  return parseStatement(witnessKind, witness.bytes).edge;
}

function isSameList(a: SignedStatement[], b: SignedStatement[]): boolean {
  return a.length === b.length && a.every((witness, i) => witness.signature === b[i]?.signature);
}

function idOf(posted: PostedJson): Hash | null {
  try {
    return hashBytes(parseSigned("version" in posted ? posted.version : posted.removal).bytes);
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
  { statements, removals, chunks, denied }: Pick<NamesDeps, "statements" | "removals" | "chunks" | "denied">,
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
  const first = entries.at(-1);
  // Whose the name is depends on it, in a moderated domain.
  const isFirstBeside = before === null && first?.sequence === 1 && !page.includes(first);
  const takenBack = before === null ? removals.list(nameHash, domain) : [];
  return {
    nameHash,
    domain,
    versions: await Promise.all(page.map(({ id }) => readVersion(id, statements))),
    manifest: manifest === null ? null : base64.encode(manifest),
    ...(takenBack.length === 0 ? {} : { removals: takenBack.map(formatKept) }),
    ...(isFirstBeside ? { first: await readVersion(first.id, statements) } : {}),
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

async function readVersion(id: Hash, statements: StatementStore): Promise<ListedJson> {
  const kept = await statements.get(id);
  if (kept === null) throw new Error("an indexed Version has no file");
  return formatKept(kept);
}

/** A Version or a Removal with what came along. */
export function formatKept({
  bytes,
  signature,
  witnesses,
  delegation,
}: KeptVersion | KeptRemoval): ListedJson {
  return {
    ...formatSigned({ bytes, signature }),
    witnesses: witnesses.map(formatSigned),
    ...(delegation === null ? {} : { delegation: formatSigned(delegation) }),
  };
}
