// What is known of a name, put together from what several servers told: each Version once, newest first, what was taken
// back marked, and in a moderated domain only those that the name's owner let in.

import { checkOwner, ownerBy, type Right } from "../authority.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import type { Hash } from "../hash.ts";
import { mayRemove, removes, type VerifiedRemoval } from "../removal.ts";
import { compareNewestFirst, type VerifiedVersion } from "../version.ts";
import { parseSigned, type SignedJson } from "../wire/signed.ts";
import type { Evidence, Judge } from "./judge.ts";

/** A Version with a valid signature, and what this client makes of it. */
export interface KnownVersion {
  version: VerifiedVersion;
  /** By what right its key signed; null where it had none that can be seen. */
  right: Right | null;
  /** Whether something says that the key is the author's; else the domain's key has merely said so. */
  isAuthorVerified: boolean;
  /** Null: to be relied on. Else why it is not. */
  unverified: HoldfastError | null;
  /** The Removal that took it back; null where it stands. */
  removal: VerifiedRemoval | null;
  witnesses: SignedJson[];
  delegation: SignedJson | null;
  /** The servers that told of it. */
  servers: string[];
}

/** A Removal whose key had the right to make it. */
export interface KnownRemoval {
  removal: VerifiedRemoval;
  right: Right;
}

/** Something wrong with one server's answer. */
export interface ServerProblem {
  server: string;
  error: HoldfastError;
}

export interface NameKnowledge {
  /** Newest first, each once; what was taken back is among them. */
  versions: KnownVersion[];
  removals: KnownRemoval[];
  /** Manifest bytes that servers sent along, by their hash. */
  manifests: Map<Hash, Uint8Array<ArrayBuffer>>;
  problems: ServerProblem[];
  /** Servers that others say have a Version which those do not list. */
  elsewhere: string[];
  /** Servers that gave an answer, if only that they know nothing. */
  answered: number;
  /** All of them said that the Version that was asked with is the newest, and nothing else. */
  isKnown: boolean;
}

/** True for a Version to be relied on that was not taken back. */
export function stands({ unverified, removal }: KnownVersion): boolean {
  return unverified === null && removal === null;
}

export function noKnowledge(): NameKnowledge {
  return {
    ...{ versions: [], removals: [], manifests: new Map(), problems: [], elsewhere: [] },
    ...{ answered: 0, isKnown: false },
  };
}

/** What several servers told, as one. */
export async function mergeParts(parts: NameKnowledge[], judge: Judge): Promise<NameKnowledge> {
  const versions = new Map<Hash, KnownVersion>();
  for (const known of parts.flatMap((part) => part.versions)) mergeVersion(versions, known);
  const newestFirst = [...versions.values()].sort((a, b) => compareNewestFirst(headOf(a), headOf(b)));
  const removals = distinct(parts.flatMap((part) => part.removals));
  await vouchForAncestors(newestFirst, judge);
  await judgeOwnership(newestFirst, judge);
  for (const known of newestFirst) known.removal = removalOf(known, removals);
  return {
    versions: newestFirst,
    removals,
    manifests: new Map(parts.flatMap((part) => [...part.manifests])),
    problems: parts.flatMap((part) => part.problems),
    elsewhere: [...new Set(parts.flatMap((part) => part.elsewhere))],
    answered: parts.filter((part) => part.answered > 0).length,
    isKnown: versions.size === 0 && parts.some(({ isKnown }) => isKnown),
  };
}

/**
 * What a Version of the domain's names as the one before it was there when that one was signed. So a key that has named its
 * successor stands for what it signed before, and for nothing that is dated back.
 */
async function vouchForAncestors(newestFirst: readonly KnownVersion[], judge: Judge): Promise<void> {
  const successors = new Map<Hash, KnownVersion>();
  for (const known of newestFirst) {
    const { id, body } = known.version;
    const successor = successors.get(id);
    const isCandidate = successor !== undefined && known.unverified !== null;
    if (isCandidate && (await judge.isPredecessor(known.version))) {
      known.right = { by: "successor", version: successor.version.id };
      known.unverified = null;
    }
    const isOfDomain = known.right?.by === "domain-key" || known.right?.by === "successor";
    if (known.unverified === null && isOfDomain && body.previous !== null)
      successors.set(body.previous, known);
  }
}

function distinct(removals: readonly KnownRemoval[]): KnownRemoval[] {
  return [...new Map(removals.map((known) => [known.removal.id, known])).values()];
}

function removalOf(
  { version, right }: KnownVersion,
  removals: readonly KnownRemoval[],
): VerifiedRemoval | null {
  if (right === null) return null;
  const { sequence, author } = version.body;
  const covering = removals.find(
    ({ removal, right: by }) =>
      removes(removal.body, { id: version.id, sequence }) &&
      mayRemove({ right: by.by, author: removal.body.author }, { right: right.by, author }),
  );
  return covering?.removal ?? null;
}

/**
 * In a moderated domain a name is its first author's. Of several who began it, on edges that did not know of each other, the
 * one whom a trusted edge saw first.
 */
async function judgeOwnership(versions: readonly KnownVersion[], judge: Judge): Promise<void> {
  const writers = versions.filter(
    ({ version, right }) => right !== null && ownerBy(right, version.body.author) !== null,
  );
  if (writers.length === 0) return;
  const owner = await ownerOf(versions, judge);
  for (const known of writers) {
    if (known.right === null || known.unverified !== null) continue;
    try {
      if (owner === undefined) throw ownerUnknown();
      checkOwner(owner, known.right, known.version.body.author);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      known.unverified = error;
    }
  }
}

/** Undefined where the name's first Version is not to be seen. */
async function ownerOf(versions: readonly KnownVersion[], judge: Judge): Promise<string | null | undefined> {
  const firsts = versions.filter(
    ({ version, unverified }) => version.body.sequence === 1 && unverified === null,
  );
  const dated = await Promise.all(
    firsts.map(async (known) => ({
      known,
      atMs: (await judge.witnessedAt(known.version, evidenceOf(known))) ?? Number.POSITIVE_INFINITY,
    })),
  );
  const [first] = dated.sort(
    (a, b) =>
      a.atMs - b.atMs ||
      Date.parse(a.known.version.body.time) - Date.parse(b.known.version.body.time) ||
      (a.known.version.id < b.known.version.id ? -1 : 1),
  );
  if (first === undefined) return undefined;
  const { right, version } = first.known;
  return right === null ? undefined : ownerBy(right, version.body.author);
}

function ownerUnknown(): HoldfastError {
  return new HoldfastError(
    "name-owned",
    "no server asked shows whose the name is: its first Version is missing",
  );
}

/** True for a Version to be relied on that none of these takes back. */
export function standsAmong(known: KnownVersion, removals: readonly KnownRemoval[]): boolean {
  return known.unverified === null && removalOf(known, removals) === null;
}

/** Throws `invalid-statement` where the base64 of what came along is not. */
export function evidenceOf({
  witnesses,
  delegation,
}: Pick<KnownVersion, "witnesses" | "delegation">): Evidence {
  return {
    witnesses: witnesses.map(parseSigned),
    delegation: delegation === null ? null : parseSigned(delegation),
  };
}

// An id is the hash of the bytes alone: anybody can sign another's bytes, and must not so push out the valid one.
function mergeVersion(versions: Map<Hash, KnownVersion>, known: KnownVersion): void {
  const first = versions.get(known.version.id);
  if (first === undefined || (first.unverified !== null && known.unverified === null)) {
    versions.set(known.version.id, known);
    return;
  }
  if (first.unverified === null && known.unverified !== null) return;
  first.servers.push(...known.servers);
  if (first.witnesses.length === 0) first.witnesses = known.witnesses;
  first.delegation ??= known.delegation;
}

function headOf(known: KnownVersion): VerifiedVersion["body"] & { id: Hash } {
  return { ...known.version.body, id: known.version.id };
}

/** Whose the name is, as far as it is known here; undefined where it has no Version that says so. */
export function ownerOfKnown({ versions }: NameKnowledge): string | null | undefined {
  const first = versions.findLast(
    ({ version, unverified }) => version.body.sequence === 1 && unverified === null,
  );
  return first === undefined || first.right === null
    ? undefined
    : ownerBy(first.right, first.version.body.author);
}

/** Throws `name-owned` where a Version by `right` would not be the name's owner's; an edge would refuse it, after the upload. */
export function checkOwnName(knowledge: NameKnowledge, right: Right, author: string): void {
  const owner = ownerOfKnown(knowledge);
  if (owner !== undefined) checkOwner(owner, right, author);
}
