// What servers know of a name: their statements, page by page, each verified over the bytes received and judged as this
// client sees the domain in DNS. A false statement is held against its server and against nobody else.

import pLimit from "p-limit";
import { decodeBase64 } from "../base64.ts";
import { HoldfastError, isHoldfastError } from "../error.ts";
import { type Hash, hashBytes } from "../hash.ts";
import { MANIFEST_BYTES_MAX } from "../manifest.ts";
import type { Domain } from "../names.ts";
import { verifyRemoval } from "../removal.ts";
import { type VerifiedVersion, verifyVersion } from "../version.ts";
import { type LookupAnswer, NAMES_PER_LOOKUP_MAX, type NameAnswer } from "../wire/names.ts";
import { type ListedJson, parseSigned, type SignedJson } from "../wire/signed.ts";
import type { ChunkSource } from "./chunk-source.ts";
import { originSentTo } from "./holders.ts";
import { Judge, type JudgeOptions } from "./judge.ts";
import {
  evidenceOf,
  type KnownVersion,
  mergeParts,
  type NameKnowledge,
  noKnowledge,
  stands,
  standsAmong,
} from "./name-knowledge.ts";
import type { Server, ServerOptions } from "./server.ts";

/** Pages read from one server: 10,000 Versions, or so many bad ones until a server is given up. */
export const PAGES_MAX = { all: 100, newest: 4 };
/** Complaints kept about one server: it could be wrong ten thousand times. */
export const PROBLEMS_PER_SERVER_MAX = 10;

/** Holders that are asked for what they know of a name. */
export const HOLDERS_ASKED_MAX = 2;
/** Servers that are asked because others say that they have a Version which those do not list. */
export const ELSEWHERE_ASKED_MAX = 2;
/** How they are asked: they answer at once, or not. */
export const HOLDER_OPTIONS: ServerOptions = { limits: { idleMs: 2_000, totalMs: 3_000 }, waitsMax: 0 };

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

export interface VersionsOptions extends JudgeOptions {
  servers: readonly Server[];
  /** Finds more servers that may know a name: home nodes, in the overlay; few at a time, as many as are needed. */
  serversKnowing?: (nameHash: Hash) => AsyncIterable<Server[]>;
}

/**
 * Asks all servers at once and merges what they say. Throws only what is wrong with the domain's keys themselves, where
 * nothing stands without them.
 */
export async function collectVersions(query: NameQuery, options: VersionsOptions): Promise<NameKnowledge> {
  const judge = await Judge.open(query.domain, options);
  const [parts, found] = await Promise.all([
    Promise.all(options.servers.map((server) => askServer(server, query, judge))),
    askFound(query, options, judge),
  ]);
  const knowledge = await mergeParts([...parts, ...found], judge);
  if (judge.domainProblem !== null && !knowledge.versions.some(stands)) throw judge.domainProblem;
  return knowledge;
}

/** What home nodes answer that were found in the overlay; goes on until one of them knows something to be relied on. */
async function askFound(query: NameQuery, options: VersionsOptions, judge: Judge): Promise<NameKnowledge[]> {
  const asked = new Set(options.servers.map(({ url }) => url));
  const heard: NameKnowledge[] = [];
  for await (const found of options.serversKnowing?.(query.nameHash) ?? []) {
    const others = found.filter(({ url }) => !asked.has(url));
    for (const { url } of others) asked.add(url);
    const parts = await Promise.all(others.map((server) => askServer(server, query, judge)));
    // Whoever was merely said to know it has failed nobody.
    heard.push(...parts.filter(({ answered }) => answered > 0));
    if (heard.some(knowsIt)) break;
  }
  return heard;
}

function knowsIt({ isKnown, versions, removals }: NameKnowledge): boolean {
  return isKnown || versions.some(stands) || removals.length > 0;
}

/**
 * What others know beyond `knowledge`: holders of the newest Version that stands here, because home nodes keep the Versions of
 * what they hold, and no server can speak for them; and servers that are said to have a Version which those asked do not list.
 * Whoever does not answer at once is no news.
 */
export async function askHolders(
  query: NameQuery,
  knowledge: NameKnowledge,
  options: VersionsOptions & { source: ChunkSource; holderAt: (url: string) => Server },
): Promise<NameKnowledge> {
  const newest = knowledge.versions.find(stands);
  const held = newest === undefined ? [] : await options.source.directUrls(newest.version.body.manifest);
  const asked = new Set(options.servers.map(({ url }) => url));
  const [told = [], nodes = []] = [knowledge.elsewhere, held].map((urls) =>
    urls.filter((url) => !asked.has(url)),
  );
  const others = new Set([...told.slice(0, ELSEWHERE_ASKED_MAX), ...nodes.slice(0, HOLDERS_ASKED_MAX)]);
  if (others.size === 0) return knowledge;
  const judge = await Judge.open(query.domain, options);
  const answers = await Promise.all([...others].map((url) => askServer(options.holderAt(url), query, judge)));
  const heard = answers.filter(({ answered }) => answered > 0);
  return heard.length === 0 ? knowledge : mergeParts([knowledge, ...heard], judge);
}

/** What servers know of the newest Versions of many names of a domain, in the order of the names. */
export async function collectNewest(
  domain: Domain,
  asked: readonly Asked[],
  options: VersionsOptions,
): Promise<NameKnowledge[]> {
  const judge = await Judge.open(domain, options);
  if (judge.domainProblem !== null) throw judge.domainProblem;
  const askAll = async (names: readonly Asked[]): Promise<NameKnowledge[][]> => {
    const queries = names.map((name): NameQuery => ({ domain, depth: "newest", ...name }));
    const parts = await Promise.all(options.servers.map((server) => askForMany(server, queries, judge)));
    return queries.map((_, i) => parts.flatMap((part) => part[i] ?? []));
  };
  const answers = await askAll(asked);
  // Where servers differ, the ones that only said "known" have to show what they mean.
  const unclear = asked.flatMap(({ nameHash }, i) => (differ(answers[i] ?? []) ? [{ i, nameHash }] : []));
  const clear = unclear.length === 0 ? [] : await askAll(unclear.map(({ nameHash }) => ({ nameHash })));
  for (const [k, { i }] of unclear.entries()) answers[i] = clear[k] ?? [];
  await Promise.all(
    asked.map(async ({ nameHash }, i) => {
      const parts = answers[i] ?? [];
      if (parts.some(({ isKnown, versions }) => isKnown || versions.length > 0)) return;
      answers[i] = [...parts, ...(await askFound({ domain, depth: "newest", nameHash }, options, judge))];
    }),
  );
  return Promise.all(answers.map((parts) => mergeParts(parts, judge)));
}

function differ(parts: readonly NameKnowledge[]): boolean {
  return parts.some(({ isKnown }) => isKnown) && parts.some(({ versions }) => versions.length > 0);
}

/** Asks one server about many names: by look-ups where it has them, as edges do, else name by name. */
async function askForMany(server: Server, queries: NameQuery[], judge: Judge): Promise<NameKnowledge[]> {
  const limit = pLimit(REQUESTS_AT_ONCE);
  const askOne = (query: NameQuery) => limit(() => askServer(server, query, judge));
  const batches = Array.from({ length: Math.ceil(queries.length / NAMES_PER_LOOKUP_MAX) }, (_, i) =>
    queries.slice(i * NAMES_PER_LOOKUP_MAX, (i + 1) * NAMES_PER_LOOKUP_MAX),
  );
  const answers = await Promise.all(
    batches.map(async (batch) => {
      const looked = await limit(() => lookUp(server, batch, judge));
      return Promise.all(batch.map((query, i) => looked?.[i] ?? askOne(query)));
    }),
  );
  return answers.flat();
}

/** Null, as a whole or for a name, where the name must be asked for by itself: its newest Version is not all to be known. */
async function lookUp(
  server: Server,
  queries: NameQuery[],
  judge: Judge,
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
      queries.map((query, i) => knowledgeFrom(server, query, names[i] ?? null, judge)),
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
  judge: Judge,
): Promise<NameKnowledge | null> {
  if (found === null) return null;
  const knowledge: NameKnowledge = { ...noKnowledge(), answered: 1 };
  if (found.isKnown === true) return { ...knowledge, isKnown: query.known !== undefined };
  if (found.hasRemovals === true) return null;
  if (found.version === null) return knowledge;
  const known = await verifyListed(found.version, query, judge, { server, blame: () => undefined });
  // A bad newest one may hide a good one behind it, and has to be told of: the whole list says both.
  if (known === null || known.unverified !== null) return null;
  keepManifest(found.manifest, knowledge.manifests);
  knowledge.versions.push(known);
  if (found.first !== undefined)
    await keepListed(found.first, query, judge, knowledge, { server, blame: () => undefined });
  return knowledge;
}

async function askServer(server: Server, query: NameQuery, judge: Judge): Promise<NameKnowledge> {
  const found = noKnowledge();
  const blame = (error: HoldfastError): void => {
    if (found.problems.length < PROBLEMS_PER_SERVER_MAX) found.problems.push({ server: server.url, error });
  };
  try {
    for await (const page of pagesOf(server, query)) {
      found.answered = 1;
      keepManifest(page.manifest, found.manifests);
      found.elsewhere.push(...urlsElsewhere(server, page));
      for (const listed of page.removals ?? []) await keepRemoval(listed, query, judge, found, blame);
      for (const listed of [...page.versions, ...(page.first === undefined ? [] : [page.first])])
        await keepListed(listed, query, judge, found, { server, blame });
      if (query.depth === "newest" && found.versions.some((known) => standsAmong(known, found.removals)))
        break;
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    if (error.code === "not-found") found.answered = 1;
    else blame(error);
  }
  return found;
}

/** Where the server may send us for what it does not list itself. */
function urlsElsewhere({ url }: Server, { elsewhere = [] }: NameAnswer): string[] {
  return elsewhere.flatMap(({ servers }) => servers).flatMap((told) => originSentTo(told, url) ?? []);
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

interface Telling {
  server: Server;
  blame: (error: HoldfastError) => void;
}

async function verifyListed(
  listed: ListedJson,
  query: NameQuery,
  judge: Judge,
  { server, blame }: Telling,
): Promise<KnownVersion | null> {
  try {
    const { witnesses, delegation = null, ...signed } = listed;
    const version = await verifyFor(query, signed);
    const verdict = await judge.judgeVersion(version, evidenceOf({ witnesses, delegation }));
    if (verdict.unverified !== null) blame(verdict.unverified);
    return { version, ...verdict, removal: null, witnesses, delegation, servers: [server.url] };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    blame(error);
    return null;
  }
}

async function keepListed(
  listed: ListedJson,
  query: NameQuery,
  judge: Judge,
  found: NameKnowledge,
  telling: Telling,
): Promise<void> {
  const known = await verifyListed(listed, query, judge, telling);
  if (known !== null) found.versions.push(known);
}

async function keepRemoval(
  listed: ListedJson,
  query: NameQuery,
  judge: Judge,
  found: NameKnowledge,
  blame: (error: HoldfastError) => void,
): Promise<void> {
  try {
    const removal = await verifyRemoval(parseSigned(listed));
    checkSubject(query, removal.body);
    const { witnesses, delegation = null } = listed;
    const { right, unverified } = await judge.judgeRemoval(removal, evidenceOf({ witnesses, delegation }));
    if (right === null) blame(unverified);
    else found.removals.push({ removal, right });
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    blame(error);
  }
}

/** A Version about what was asked: a valid statement about something else is as wrong as a forged one. */
async function verifyFor(query: NameQuery, signed: SignedJson): Promise<VerifiedVersion> {
  const version = await verifyVersion(parseSigned(signed));
  checkSubject(query, version.body);
  return version;
}

function checkSubject(query: NameQuery, { domain, nameHash }: { domain: Domain; nameHash: Hash }): void {
  if (domain === query.domain && nameHash === query.nameHash) return;
  throw new HoldfastError("name-hash-mismatch", "the server answered with a statement about another name");
}

function keepManifest(text: string | null, manifests: Map<Hash, Uint8Array<ArrayBuffer>>): void {
  if (text === null) return;
  const bytes = decodeBase64(text);
  if (bytes.length <= MANIFEST_BYTES_MAX) manifests.set(hashBytes(bytes), bytes);
}
