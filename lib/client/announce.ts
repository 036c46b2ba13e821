// Making Versions known: the edge accepts them and signs witnesses, then the holders of their Manifests get the bundles
// (Version, Manifest, witnesses), so that the names are found from home nodes when every edge is down.

import { base64 } from "../base64.ts";
import { type ErrorCode, HoldfastError, isHoldfastError } from "../error.ts";
import type { Fetch } from "../fetch.ts";
import type { Hash } from "../hash.ts";
import { errorOf } from "../problem.ts";
import type { SignedStatement } from "../statement.ts";
import type { VerifiedVersion } from "../version.ts";
import { CHUNKS_PER_PLAN_MAX } from "../wire/chunks.ts";
import {
  NAMES_BODY_MAX,
  type NamesRequest,
  type NamesResult,
  type PostedRemovalJson,
  type PublishedJson,
  STATEMENTS_PER_POST_MAX,
} from "../wire/names.ts";
import type { Contact } from "../wire/nodes.ts";
import { formatSigned, type SignedJson } from "../wire/signed.ts";
import { checkAcknowledged } from "./acknowledgement.ts";
import { routesTo } from "./holders.ts";
import { plainText } from "./request.ts";
import { Server } from "./server.ts";

/** POST /names is idempotent: an answer that was lost on the way is asked for again. */
export const ANNOUNCE_ATTEMPTS_MAX = 3;
/** Manifests in one POST, as text: with statements and receipts they stay below what a server takes. */
const MANIFESTS_TEXT_MAX = NAMES_BODY_MAX / 2;
const RACE_CODES: ErrorCode[] = ["unknown-previous", "sequence-gap", "fork"];

export interface Announcement {
  version: VerifiedVersion;
  manifestBytes: Uint8Array<ArrayBuffer>;
  delegation: SignedStatement | null;
  /** The edge is to refuse it where the Version that it follows is not the newest. */
  ifMatch?: boolean;
}

export interface Announced extends Announcement {
  witnesses: SignedJson[];
}

/** Which of a Manifest's holders keep the bundle. */
export interface BundleReport {
  /** Those that were to keep it. */
  holders: number;
  kept: number;
  failures: { url: string; error: HoldfastError }[];
}

/** Has the edge accept Versions; for each in turn its witnesses, or why it was refused. Throws where the edge does not answer. */
export async function announceToEdge(
  edge: Server,
  announcements: readonly Announcement[],
  receipts: SignedJson[],
): Promise<(SignedJson[] | HoldfastError)[]> {
  const outcomes: (SignedJson[] | HoldfastError)[] = [];
  // One after the other: the first carries the receipts that the others rely on.
  for (const statements of postsOf(announcements.map(requestOf))) {
    const results = await post(edge, { statements, receipts: outcomes.length === 0 ? receipts : [] });
    const answered = announcements.slice(outcomes.length, outcomes.length + results.length);
    outcomes.push(
      ...(await Promise.all(answered.map(({ version }, i) => outcomeOf(edge, version, results[i])))),
    );
  }
  return outcomes;
}

/** Who holds a Manifest, where the publisher knows it already. */
export type KnownHolders = (manifest: Hash) => readonly Contact[] | null;

/** Hands each bundle to its Manifest's holders, directly or through relays: the known ones, else those that the edge knows. */
export async function announceToHolders(
  edge: Server,
  fetch: Fetch,
  announced: readonly Announced[],
  known: KnownHolders,
): Promise<BundleReport[]> {
  const reports = announced.map((): BundleReport => ({ holders: 0, kept: 0, failures: [] }));
  const bundles = announced.map((one, i) => ({
    report: reports[i],
    json: publishedJson(one, one.witnesses),
  }));
  await noting(reports, edge.url, async () => {
    const holders = await holdersOf(
      edge,
      announced.map(({ version }) => version.body.manifest),
      known,
    );
    const handed = bundles.flatMap(({ report, json }, i) =>
      (holders[i] ?? []).flatMap((contact) => (report === undefined ? [] : { contact, report, json })),
    );
    for (const { report } of handed) report.holders += 1;
    const byHolder = Map.groupBy(handed, ({ contact }) => contact.id);
    await Promise.all(
      [...byHolder.values()].flatMap((its) =>
        its[0] === undefined ? [] : handTo(waysTo(its[0].contact, edge, fetch), its),
      ),
    );
  });
  return reports;
}

/** Hands a Removal to those who hold the Manifests of what it takes back, so that their answers carry it. */
export async function announceRemovalToHolders(
  edge: Server,
  fetch: Fetch,
  removal: PostedRemovalJson,
  manifests: readonly Hash[],
): Promise<BundleReport> {
  const report: BundleReport = { holders: 0, kept: 0, failures: [] };
  await noting([report], edge.url, async () => {
    const contacts = (await holdersOf(edge, manifests, () => null)).flat();
    const holders = [...new Map(contacts.map((contact) => [contact.id, contact])).values()];
    report.holders = holders.length;
    await Promise.all(
      holders.map(async (contact) => {
        const ways = waysTo(contact, edge, fetch);
        await noting([report], ways[0].url, async () => {
          const [result] = await postBy(ways, { statements: [removal], receipts: [] });
          count(report, ways[0].url, result);
        });
      }),
    );
  });
  return report;
}

async function handTo(
  ways: Ways,
  bundles: readonly { report: BundleReport; json: PublishedJson }[],
): Promise<void> {
  const [{ url }] = ways;
  let done = 0;
  for (const statements of postsOf(bundles.map(({ json }) => json))) {
    const reports = bundles.slice(done, done + statements.length).map(({ report }) => report);
    done += statements.length;
    await noting(reports, url, async () => {
      const results = await postBy(ways, { statements, receipts: [] });
      for (const [i, report] of reports.entries()) count(report, url, results[i]);
    });
  }
}

function count(report: BundleReport, url: string, result: NamesResult | undefined): void {
  if (result?.status === "refused") report.failures.push({ url, error: errorOf(result.problem) });
  else report.kept += 1;
}

/** The Versions stand whether or not `work` succeeds: its failure is reported, not thrown. */
async function noting(
  reports: readonly BundleReport[],
  url: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    for (const report of reports) report.failures.push({ url, error });
  }
}

/** For each Manifest, its holders. */
async function holdersOf(
  edge: Server,
  manifests: readonly Hash[],
  known: KnownHolders,
): Promise<(readonly Contact[])[]> {
  const holders = new Map(manifests.map((manifest) => [manifest, known(manifest)]));
  const unknown = [...holders].flatMap(([manifest, contacts]) => (contacts === null ? [manifest] : []));
  for (let at = 0; at < unknown.length; at += CHUNKS_PER_PLAN_MAX) {
    const { chunks, nodes } = await edge.locate(unknown.slice(at, at + CHUNKS_PER_PLAN_MAX));
    const byId = new Map(nodes.map((contact) => [contact.id, contact]));
    for (const { hash, holders: ids } of chunks)
      holders.set(
        hash,
        ids.flatMap((id) => byId.get(id) ?? []),
      );
  }
  return manifests.map((manifest) => holders.get(manifest) ?? []);
}

/** Where a node takes what is posted to it, in the order in which to try. */
type Ways = readonly [Server, ...Server[]];

function waysTo(contact: Contact, edge: Server, fetch: Fetch): Ways {
  const [first, ...others] = routesTo(contact, edge).map(({ url }) => new Server(url, fetch));
  if (first === undefined) throw new TypeError("an edge relays for every node that it tells of");
  return [first, ...others];
}

/** By the first way that leads to the node: each once, and the last as often as a lost answer is asked for again. */
async function postBy([way, next, ...others]: Ways, request: NamesRequest): Promise<NamesResult[]> {
  if (next === undefined) return post(way, request);
  try {
    return await post(way, request, ANNOUNCE_ATTEMPTS_MAX);
  } catch (error) {
    if (!isHoldfastError(error, "unreachable", "timeout")) throw error;
    return postBy([next, ...others], request);
  }
}

/** As many statements together as one POST takes. */
function postsOf(statements: readonly PublishedJson[]): PublishedJson[][] {
  const posts: PublishedJson[][] = [];
  let text = Number.POSITIVE_INFINITY;
  for (const statement of statements) {
    const post = posts.at(-1);
    text += statement.manifest.length;
    if (post !== undefined && post.length < STATEMENTS_PER_POST_MAX && text <= MANIFESTS_TEXT_MAX) {
      post.push(statement);
    } else {
      posts.push([statement]);
      text = statement.manifest.length;
    }
  }
  return posts;
}

async function post(server: Server, request: NamesRequest, attempt = 1): Promise<NamesResult[]> {
  try {
    const { results } = await server.postNames(request);
    if (results.length === request.statements.length) return results;
    throw new HoldfastError("bad-answer", `${server.url} did not answer for each statement sent`);
  } catch (error) {
    if (!isHoldfastError(error, "unreachable", "timeout") || attempt === ANNOUNCE_ATTEMPTS_MAX) throw error;
    return post(server, request, attempt + 1);
  }
}

function requestOf(announcement: Announcement): PublishedJson {
  const published = publishedJson(announcement, []);
  return announcement.ifMatch === true ? { ...published, ifMatch: true } : published;
}

function publishedJson(
  { version, manifestBytes, delegation }: Announcement,
  witnesses: SignedJson[],
): PublishedJson {
  return {
    version: formatSigned(version),
    manifest: base64.encode(manifestBytes),
    witnesses,
    ...(delegation === null ? {} : { delegation: formatSigned(delegation) }),
  };
}

async function outcomeOf(
  edge: Server,
  version: VerifiedVersion,
  result: NamesResult | undefined,
): Promise<SignedJson[] | HoldfastError> {
  if (result === undefined) throw new TypeError("a statement without a result");
  if (result.status === "refused") return explainRefusal(errorOf(result.problem));
  try {
    return await checkAcknowledged(edge.url, version, result);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return error;
  }
}

// Publishing again by itself could bury what someone else has just published: a person looks first.
export function explainRefusal(error: HoldfastError): HoldfastError {
  const detail = plainText(error.message);
  if (!RACE_CODES.includes(error.code)) {
    return new HoldfastError(error.code, detail, { cause: error });
  }
  return new HoldfastError(
    error.code,
    `the edge knows another newest Version than the one this follows (${detail}). ` +
      "Someone may have published at the same time: look at the log, then publish again",
    { cause: error },
  );
}
