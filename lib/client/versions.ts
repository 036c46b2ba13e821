// What servers know of a name: their statements, page by page, each verified over the bytes received and against the
// domain's keys as this client sees them in DNS. A false statement is held against its server and against nobody else.

import pLimit from "p-limit";
import { authorizeKey, type DomainKeyResolver, type DomainKeys } from "../domain-keys.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type Hash, hashBytes } from "../hash.ts";
import { MANIFEST_BYTES_MAX } from "../manifest.ts";
import type { Domain } from "../names.ts";
import { compareNewestFirst, type VerifiedVersion, verifyVersion } from "../version.ts";
import {
  decodeBase64,
  type LookupAnswer,
  NAMES_PER_LOOKUP_MAX,
  type NameAnswer,
  parseSigned,
  type SignedJson,
} from "../wire.ts";
import type { Server } from "./server.ts";

/** Pages read from one server: 10,000 Versions, or so many bad ones until a server is given up. */
export const PAGES_MAX = { all: 100, newest: 4 };
/** Complaints kept about one server: it could be wrong ten thousand times. */
export const PROBLEMS_PER_SERVER_MAX = 10;

/** Requests about many names that one server is asked at a time. */
export const REQUESTS_AT_ONCE = 4;

export interface NameQuery {
  domain: Domain;
  nameHash: Hash;
  /** "newest" stops at a server's first page that holds a valid Version; "all" reads every page. */
  depth: "newest" | "all";
  /** A Version that the asker has: a look-up may say no more than that it is the newest. */
  known?: Hash | undefined;
}

/** A name to look up, with the Version of it that the asker has. */
export type Asked = Pick<NameQuery, "nameHash" | "known">;

/** A Version with a valid signature, and whether its key may sign for the domain. */
export interface KnownVersion {
  version: VerifiedVersion;
  /** Null: signed by a key that DNS shows for the domain. Else why it is not to be relied on. */
  unverified: HoldfastError | null;
  witnesses: SignedJson[];
  /** The servers that told of it. */
  servers: string[];
}

/** Something wrong with one server's answer. */
export interface ServerProblem {
  server: string;
  error: HoldfastError;
}

export interface NameKnowledge {
  /** Newest first, each once. */
  versions: KnownVersion[];
  /** Manifest bytes that servers sent along, by their hash. */
  manifests: Map<Hash, Uint8Array<ArrayBuffer>>;
  problems: ServerProblem[];
  /** Servers that gave an answer, if only that they know nothing. */
  answered: number;
  /** All of them said that the Version that was asked with is the newest, and nothing else. */
  isKnown: boolean;
}

export interface VersionsOptions {
  servers: readonly Server[];
  domainKeys: DomainKeyResolver;
}

/** Why a Version's key may not sign for its domain; null where it may. */
type CheckAuthority = (version: VerifiedVersion) => Promise<HoldfastError | null>;

/** Asks all servers at once and merges what they say. Throws only what is wrong with the domain's keys themselves. */
export async function collectVersions(query: NameQuery, options: VersionsOptions): Promise<NameKnowledge> {
  const authority = await resolveAuthority(query.domain, options.domainKeys);
  return mergeParts(await Promise.all(options.servers.map((server) => askServer(server, query, authority))));
}

/** What servers know of the newest Versions of many names of a domain, in the order of the names. */
export async function collectNewest(
  domain: Domain,
  asked: readonly Asked[],
  options: VersionsOptions,
): Promise<NameKnowledge[]> {
  const authority = await resolveAuthority(domain, options.domainKeys);
  const askAll = async (names: readonly Asked[]): Promise<NameKnowledge[][]> => {
    const queries = names.map((name): NameQuery => ({ domain, depth: "newest", ...name }));
    const parts = await Promise.all(options.servers.map((server) => askForMany(server, queries, authority)));
    return queries.map((_, i) => parts.flatMap((part) => part[i] ?? []));
  };
  const answers = await askAll(asked);
  // Where servers differ, the ones that only said "known" have to show what they mean.
  const unclear = asked.flatMap(({ nameHash }, i) => (differ(answers[i] ?? []) ? [{ i, nameHash }] : []));
  const clear = unclear.length === 0 ? [] : await askAll(unclear.map(({ nameHash }) => ({ nameHash })));
  for (const [k, { i }] of unclear.entries()) answers[i] = clear[k] ?? [];
  return answers.map(mergeParts);
}

function differ(parts: readonly NameKnowledge[]): boolean {
  return parts.some(({ isKnown }) => isKnown) && parts.some(({ versions }) => versions.length > 0);
}

function mergeParts(parts: NameKnowledge[]): NameKnowledge {
  const versions = new Map<Hash, KnownVersion>();
  for (const known of parts.flatMap((part) => part.versions)) mergeVersion(versions, known);
  const newestFirst = [...versions.values()].sort((a, b) => compareNewestFirst(headOf(a), headOf(b)));
  return {
    versions: newestFirst,
    manifests: new Map(parts.flatMap((part) => [...part.manifests])),
    problems: parts.flatMap((part) => part.problems),
    answered: parts.filter((part) => part.answered > 0).length,
    isKnown: versions.size === 0 && parts.some(({ isKnown }) => isKnown),
  };
}

/** Asks one server about many names: by look-ups where it has them, as edges do, else name by name. */
async function askForMany(
  server: Server,
  queries: NameQuery[],
  authority: CheckAuthority,
): Promise<NameKnowledge[]> {
  const limit = pLimit(REQUESTS_AT_ONCE);
  const askOne = (query: NameQuery) => limit(() => askServer(server, query, authority));
  const batches = Array.from({ length: Math.ceil(queries.length / NAMES_PER_LOOKUP_MAX) }, (_, i) =>
    queries.slice(i * NAMES_PER_LOOKUP_MAX, (i + 1) * NAMES_PER_LOOKUP_MAX),
  );
  const answers = await Promise.all(
    batches.map(async (batch) => {
      const looked = await limit(() => lookUp(server, batch, authority));
      return Promise.all(batch.map((query, i) => looked?.[i] ?? askOne(query)));
    }),
  );
  return answers.flat();
}

/** Null, as a whole or for a name, where the name must be asked for by itself: its newest Version is not all to be known. */
async function lookUp(
  server: Server,
  queries: NameQuery[],
  authority: CheckAuthority,
): Promise<(NameKnowledge | null)[] | null> {
  try {
    const { names } = await server.lookup(
      queries.map(({ nameHash, domain, known }) => ({
        nameHash,
        domain,
        ...(known === undefined ? {} : { known }),
      })),
    );
    return await Promise.all(
      queries.map((query, i) => knowledgeFrom(server, query, names[i] ?? null, authority)),
    );
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return null;
  }
}

async function knowledgeFrom(
  server: Server,
  query: NameQuery,
  found: LookupAnswer["names"][number] | null,
  authority: CheckAuthority,
): Promise<NameKnowledge | null> {
  if (found === null) return null;
  const knowledge: NameKnowledge = { ...noKnowledge(), answered: 1 };
  if (found.isKnown === true) return { ...knowledge, isKnown: query.known !== undefined };
  if (found.version === null) return knowledge;
  const known = await verifyListed(found.version, query, authority, () => undefined);
  // A bad newest one may hide a good one behind it, and has to be told of: the whole list says both.
  if (known === null || known.unverified !== null) return null;
  keepManifest(found.manifest, knowledge.manifests);
  knowledge.versions.push({ ...known, witnesses: [], servers: [server.url] });
  return knowledge;
}

async function askServer(
  server: Server,
  query: NameQuery,
  authority: CheckAuthority,
): Promise<NameKnowledge> {
  const found = noKnowledge();
  const blame = (error: HoldfastError): void => {
    if (found.problems.length < PROBLEMS_PER_SERVER_MAX) found.problems.push({ server: server.url, error });
  };
  try {
    for await (const page of pagesOf(server, query)) {
      found.answered = 1;
      keepManifest(page.manifest, found.manifests);
      for (const { witnesses, ...signed } of page.versions) {
        const known = await verifyListed(signed, query, authority, blame);
        if (known !== null) found.versions.push({ ...known, witnesses, servers: [server.url] });
      }
      if (query.depth === "newest" && found.versions.some((known) => known.unverified === null)) break;
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    if (error.code === "not-found") found.answered = 1;
    else blame(error);
  }
  return found;
}

function noKnowledge(): NameKnowledge {
  return { versions: [], manifests: new Map(), problems: [], answered: 0, isKnown: false };
}

async function* pagesOf(server: Server, query: NameQuery): AsyncGenerator<NameAnswer> {
  const seen = new Set<Hash>();
  let before: Hash | null = null;
  for (let count = 0; count < PAGES_MAX[query.depth]; count++) {
    const page: NameAnswer = await server.name(query.nameHash, query.domain, before);
    yield page;
    if (page.next === null) return;
    if (seen.has(page.next))
      throw new HoldfastError("bad-answer", `${server.url} repeats a page of its list`);
    seen.add(page.next);
    before = page.next;
  }
}

async function verifyListed(
  signed: SignedJson,
  query: NameQuery,
  authority: CheckAuthority,
  blame: (error: HoldfastError) => void,
): Promise<Pick<KnownVersion, "version" | "unverified"> | null> {
  try {
    const version = await verifyFor(query, signed);
    const unverified = await authority(version);
    if (unverified !== null) blame(unverified);
    return { version, unverified };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    blame(error);
    return null;
  }
}

/** A Version about what was asked: a valid statement about something else is as wrong as a forged one. */
async function verifyFor(query: NameQuery, signed: SignedJson): Promise<VerifiedVersion> {
  const version = await verifyVersion(parseSigned(signed));
  const { domain, nameHash } = version.body;
  if (domain !== query.domain || nameHash !== query.nameHash) {
    throw new HoldfastError("name-hash-mismatch", "the server answered with a Version of another name");
  }
  return version;
}

/** Asks DNS a second time, at most, where a key is missing: its record may be new. */
async function resolveAuthority(domain: Domain, resolver: DomainKeyResolver): Promise<CheckAuthority> {
  const cached = await resolver.resolve(domain);
  let fresh: Promise<DomainKeys> | null = null;
  return async (version) => {
    if (authorityProblem(cached, version) === null) return null;
    fresh ??= resolver.resolve(domain, { fresh: true });
    return authorityProblem(await fresh, version);
  };
}

function authorityProblem(domainKeys: DomainKeys, version: VerifiedVersion): HoldfastError | null {
  try {
    authorizeKey(domainKeys, version.key, version.body.author);
    return null;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return error;
  }
}

function keepManifest(text: string | null, manifests: Map<Hash, Uint8Array<ArrayBuffer>>): void {
  if (text === null) return;
  const bytes = decodeBase64(text);
  if (bytes.length <= MANIFEST_BYTES_MAX) manifests.set(hashBytes(bytes), bytes);
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
}

function headOf(known: KnownVersion): VerifiedVersion["body"] & { id: Hash } {
  return { ...known.version.body, id: known.version.id };
}
