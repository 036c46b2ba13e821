// A home node's answer as a relay hands it on: built anew. Nothing that the node says of types and caching is asked, what
// can be checked is checked, and a chunk or a statement leaves only when its hash has matched.

import { parseJson } from "../canonical-json.ts";
import { HoldfastError } from "../error.ts";
import type { FetchResponse } from "../fetch.ts";
import type { Hash } from "../hash.ts";
import { CHUNK_BYTES_MAX } from "../manifest.ts";
import { errorOf, PROBLEM_TYPE } from "../problem.ts";
import { STATEMENT_BYTES_MAX } from "../statement.ts";
import { NAME_ANSWER_MAX, parseNamesAnswer } from "../wire/names.ts";
import { parseProblem, SMALL_ANSWER_MAX } from "../wire/problem.ts";
import { parseSignedJson } from "../wire/signed.ts";
import type { Passage, Resource } from "./passage.ts";

const IMMUTABLE = "public, max-age=31536000, immutable";
/** A node that says so does not give this chunk. */
const NOT_THERE = [404, 410, 451];
const LENGTH = /^\d{1,15}$/;

/** How each answer is sent on. */
const ANSWERS: Record<Resource, { type: string; caching: string; maxBytes: number }> = {
  chunk: { type: "application/octet-stream", caching: IMMUTABLE, maxBytes: CHUNK_BYTES_MAX },
  chunks: { type: "application/json", caching: "no-store", maxBytes: SMALL_ANSWER_MAX },
  version: { type: "application/json", caching: IMMUTABLE, maxBytes: STATEMENT_BYTES_MAX },
  signature: { type: "text/plain; charset=utf-8", caching: "no-cache", maxBytes: SMALL_ANSWER_MAX },
  name: { type: "application/json", caching: "no-cache", maxBytes: NAME_ANSWER_MAX },
  names: { type: "application/json", caching: "no-store", maxBytes: SMALL_ANSWER_MAX },
  closest: { type: "application/json", caching: "no-store", maxBytes: SMALL_ANSWER_MAX },
};

export interface RelayedAnswer {
  status: number;
  type: string;
  caching: string;
  /** Of what a HEAD asks about, where the node said it. */
  sizeBytes: number | null;
  body: Uint8Array<ArrayBuffer> | string | null;
}

/** What an answer to a read of a chunk shows of the node that gave it. */
export type ChunkSight = { code: "missing" | "corrupt" } | { code: "given"; sizeBytes: number };

/** What differs from one host of the protocol to another. */
export interface RelayHost<A extends FetchResponse> {
  /** The body, of at most `maxBytes`. */
  readBytes: (answer: A, maxBytes: number) => Promise<Uint8Array<ArrayBuffer>>;
  digest: (bytes: Uint8Array<ArrayBuffer>) => Promise<Hash>;
  onChunk: (chunk: Hash, sight: ChunkSight) => void;
}

/** The most bytes that are read of an answer to `passage`, a problem among them. */
export function answerBytesMax({ method, resource }: Pick<Passage, "method" | "resource">): number {
  return method === "GET" ? Math.max(ANSWERS[resource].maxBytes, SMALL_ANSWER_MAX) : SMALL_ANSWER_MAX;
}

/**
 * The node's answer to `passage`; or what the node refused it with, by its code and detail, as an error to be told.
 * Throws `bad-answer`, and what the host's readBytes throws.
 */
export async function checkedAnswer<A extends FetchResponse>(
  answer: A,
  passage: Passage,
  host: RelayHost<A>,
): Promise<RelayedAnswer | HoldfastError> {
  if (isData(answer, passage)) return dataOf(answer, passage, host);
  if (isChunkRead(passage) && NOT_THERE.includes(answer.status))
    host.onChunk(passage.hash, { code: "missing" });
  return problemOfNode(answer, passage, host);
}

function isData({ status }: FetchResponse, { method }: Passage): boolean {
  return status === 200 || (method === "PUT" && status === 201);
}

function isChunkRead(passage: Passage): passage is Passage & { hash: Hash } {
  return passage.method === "GET" && passage.resource === "chunk" && passage.hash !== null;
}

async function dataOf<A extends FetchResponse>(
  answer: A,
  passage: Passage,
  host: RelayHost<A>,
): Promise<RelayedAnswer> {
  const { method, resource, hash } = passage;
  if (method === "HEAD") return headOf(answer, resource);
  if (method !== "GET") return jsonOf(answer, passage, host);
  const { type, caching, maxBytes } = ANSWERS[resource];
  const body = await host.readBytes(answer, maxBytes);
  const isGenuine = !isNamedByHash(resource) || (await host.digest(body)) === hash;
  if (isChunkRead(passage))
    host.onChunk(passage.hash, isGenuine ? { code: "given", sizeBytes: body.length } : { code: "corrupt" });
  if (!isGenuine)
    throw new HoldfastError("bad-answer", "the home node sent bytes that do not have the hash asked for");
  return { status: 200, type, caching, sizeBytes: null, body };
}

function isNamedByHash(resource: Resource): boolean {
  return resource === "chunk" || resource === "version";
}

/** A chunk's receipt, or what became of bundles, in the form that it must have. */
async function jsonOf<A extends FetchResponse>(
  answer: A,
  { resource }: Passage,
  host: RelayHost<A>,
): Promise<RelayedAnswer> {
  const parse = resource === "names" ? parseNamesAnswer : parseSignedJson;
  const body = JSON.stringify(parse(await readJson(answer, host)));
  const { type, caching } = ANSWERS.names;
  return { status: answer.status, type, caching, sizeBytes: null, body };
}

async function headOf(answer: FetchResponse, resource: Resource): Promise<RelayedAnswer> {
  await answer.body?.getReader().cancel();
  const { type, caching, maxBytes } = ANSWERS[resource];
  const length = answer.headers.get("content-length") ?? "";
  const sizeBytes = LENGTH.test(length) && Number(length) <= maxBytes ? Number(length) : null;
  return { status: 200, type, caching, sizeBytes, body: null };
}

async function problemOfNode<A extends FetchResponse>(
  answer: A,
  { method }: Passage,
  host: RelayHost<A>,
): Promise<RelayedAnswer | HoldfastError> {
  const { status, headers, body } = answer;
  if (status < 400 || !(headers.get("content-type") ?? "").startsWith(PROBLEM_TYPE)) {
    await body?.getReader().cancel();
    throw new HoldfastError("bad-answer", `the home node answered ${status} without saying why`);
  }
  // Only the status tells what is wrong with a HEAD.
  if (method === "HEAD")
    return { status, type: PROBLEM_TYPE, caching: "no-store", sizeBytes: null, body: null };
  return errorOf(parseProblem(await readJson(answer, host)));
}

async function readJson<A extends FetchResponse>(answer: A, host: RelayHost<A>): Promise<unknown> {
  return parseJson(await host.readBytes(answer, SMALL_ANSWER_MAX), SMALL_ANSWER_MAX);
}
