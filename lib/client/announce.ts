// Making a Version known: the edge accepts it and signs a witness, then the Manifest's holders get the bundle
// (Version, Manifest, witnesses), so that the name is found from home nodes when every edge is down.

import { base64 } from "@scure/base";
import { type ErrorCode, HoldfastError, isHoldfastError } from "../error.ts";
import type { Fetch } from "../fetch.ts";
import { errorOf } from "../problem.ts";
import type { VerifiedVersion } from "../version.ts";
import {
  formatSigned,
  type NamesRequest,
  type NamesResult,
  type PublishedJson,
  type SignedJson,
} from "../wire.ts";
import { directUrl } from "./holders.ts";
import { plainText } from "./request.ts";
import { Server } from "./server.ts";

/** POST /names is idempotent: an answer that was lost on the way is asked for again. */
export const ANNOUNCE_ATTEMPTS_MAX = 3;
const RACE_CODES: ErrorCode[] = ["unknown-previous", "sequence-gap", "fork"];

export interface Announcement {
  version: VerifiedVersion;
  manifestBytes: Uint8Array<ArrayBuffer>;
  receipts: SignedJson[];
}

/** Which of the Manifest's holders keep the bundle. */
export interface BundleReport {
  /** Holders that can be reached directly. */
  reachable: number;
  kept: number;
  failures: { url: string; error: HoldfastError }[];
}

/** Has the edge accept the Version; returns its witnesses. Throws the code with which it refuses. */
export async function announceToEdge(edge: Server, announcement: Announcement): Promise<SignedJson[]> {
  const request = { statements: [publishedJson(announcement, [])], receipts: announcement.receipts };
  try {
    const result = await postOne(edge, request);
    if (result.status !== "refused") return result.witnesses;
    throw errorOf(result.problem);
  } catch (error) {
    throw isHoldfastError(error) ? explainRefusal(error) : error;
  }
}

/** Hands the bundle to those of the Manifest's holders that the edge knows and that can be reached directly. */
export async function announceToHolders(
  edge: Server,
  fetch: Fetch,
  announcement: Announcement,
  witnesses: SignedJson[],
): Promise<BundleReport> {
  const report: BundleReport = { reachable: 0, kept: 0, failures: [] };
  const request = { statements: [publishedJson(announcement, witnesses)], receipts: [] };
  const hand = async (url: string): Promise<void> => {
    const server = new Server(url, fetch);
    await noting(report, server.url, async () => {
      const result = await postOne(server, request);
      if (result.status === "refused") throw errorOf(result.problem);
      report.kept += 1;
    });
  };
  await noting(report, edge.url, async () => {
    const urls = await directUrls(edge, announcement.version);
    report.reachable = urls.length;
    await Promise.all(urls.map(hand));
  });
  return report;
}

/** The Version stands whether or not `work` succeeds: its failure is reported, not thrown. */
async function noting(report: BundleReport, url: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    report.failures.push({ url, error });
  }
}

async function directUrls(edge: Server, version: VerifiedVersion): Promise<string[]> {
  const { chunks, nodes } = await edge.locate([version.body.manifest]);
  const holders = new Set(chunks.flatMap((chunk) => chunk.holders));
  // A relay carries reads and chunks only: a holder without a URL of its own cannot be handed the bundle.
  return nodes.filter(({ id }) => holders.has(id)).flatMap((contact) => directUrl(contact, edge) ?? []);
}

async function postOne(server: Server, request: NamesRequest, attempt = 1): Promise<NamesResult> {
  try {
    const { results } = await server.postNames(request);
    const [result] = results;
    if (result === undefined || results.length > 1) {
      throw new HoldfastError("bad-answer", `${server.url} did not answer for the one statement sent`);
    }
    return result;
  } catch (error) {
    if (!isHoldfastError(error, "unreachable", "timeout") || attempt === ANNOUNCE_ATTEMPTS_MAX) throw error;
    return postOne(server, request, attempt + 1);
  }
}

function publishedJson({ version, manifestBytes }: Announcement, witnesses: SignedJson[]): PublishedJson {
  return { version: formatSigned(version), manifest: base64.encode(manifestBytes), witnesses };
}

// Publishing again by itself could bury what someone else has just published: a person looks first.
function explainRefusal(error: HoldfastError): HoldfastError {
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
