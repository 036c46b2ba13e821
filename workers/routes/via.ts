// /via/<nodeId>/…: a home node's own answers, through its tunnel. Headers are built anew, and what the edge can check
// it checks: a chunk or a statement leaves here only when its hash has matched.

import { Hono } from "hono";
import { declaredLength, readBytes, readJsonBody } from "../../durable-objects/body.ts";
import { digest } from "../../durable-objects/digest.ts";
import type { IndexClient } from "../../durable-objects/index-client.ts";
import { BATCH_BODY_MAX } from "../../lib/chunk-batch.ts";
import { HoldfastError, isHoldfastError } from "../../lib/error.ts";
import { type Hash, type NodeId, parseNodeId } from "../../lib/hash.ts";
import { CHUNK_BYTES_MAX } from "../../lib/manifest.ts";
import { domainHashOf, parseDomain } from "../../lib/names.ts";
import { errorOf, PROBLEM_TYPE } from "../../lib/problem.ts";
import { STATEMENT_BYTES_MAX } from "../../lib/statement.ts";
import { type Passage, parsePassage, REQUEST_HEADERS, type Resource } from "../../lib/tunnel/passage.ts";
import { NAME_ANSWER_MAX } from "../../lib/wire/names.ts";
import { parseProblem, SMALL_ANSWER_MAX } from "../../lib/wire/problem.ts";
import { parseSignedJson } from "../../lib/wire/signed.ts";
import {
  type AppContext,
  type AppEnv,
  found,
  IMMUTABLE,
  indexOf,
  problemResponse,
  untrustedHeaders,
} from "../app.ts";
import { denylist } from "../denylist.ts";
import { noteLoss, noteRelayed } from "../read-notes.ts";

const VIA_PATH = /^\/via\/([^/]+)(\/.*)$/;
/** A node that says so does not give this chunk. */
const NOT_THERE = [404, 410, 451];
const LENGTH = /^\d{1,15}$/;

/** How each answer is sent on. What the node says of types and caching is not asked. */
const ANSWERS: Record<Resource, { type: string; caching: string; maxBytes: number }> = {
  chunk: { type: "application/octet-stream", caching: IMMUTABLE, maxBytes: CHUNK_BYTES_MAX },
  chunks: { type: "application/json", caching: "no-store", maxBytes: SMALL_ANSWER_MAX },
  version: { type: "application/json", caching: IMMUTABLE, maxBytes: STATEMENT_BYTES_MAX },
  signature: { type: "text/plain; charset=utf-8", caching: "no-cache", maxBytes: SMALL_ANSWER_MAX },
  name: { type: "application/json", caching: "no-cache", maxBytes: NAME_ANSWER_MAX },
  closest: { type: "application/json", caching: "no-store", maxBytes: SMALL_ANSWER_MAX },
};

export const via = new Hono<AppEnv>().all("/*", async (c) => {
  const url = new URL(c.req.url);
  const [, nodeText, pathname = ""] = VIA_PATH.exec(url.pathname) ?? [];
  if (nodeText === undefined) throw new HoldfastError("not-found", "expected /via/<nodeId>/…");
  const node = parseNodeId(nodeText);
  const passage = parsePassage(c.req.method, pathname, url.search);
  checkLength(c.req.raw, passage);
  checkAllowed(passage);
  const index = indexOf(c);
  // Asked first: a link that no node has registered at is an object that nobody should bring about.
  found((await index.members([node])).get(node) ?? null, `no home node ${node} is registered here`);
  return blamingNode(async () => {
    const answer = await index.link(node).fetch(requestFor(c, passage));
    if (!isData(answer, passage)) {
      if (isChunkRead(passage) && NOT_THERE.includes(answer.status))
        noteLoss(index, { chunk: passage.hash, node, code: "missing" });
      return problemOfNode(answer, passage);
    }
    return isChunkRead(passage)
      ? passChunkOn(answer, passage.hash, { index, node })
      : passOn(answer, passage);
  });
});

function requestFor(c: AppContext, { method, path }: Passage): Request {
  const headers = new Headers();
  for (const name of REQUEST_HEADERS) {
    const value = c.req.raw.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const body = method === "PUT" ? c.req.raw.body : null;
  return new Request(`${new URL(c.req.url).origin}${path}`, {
    method,
    headers,
    body,
    // A node sends nobody elsewhere.
    redirect: "manual",
    signal: c.req.raw.signal,
  });
}

/** A relay gives out nothing that the edge would not give itself. */
function checkAllowed({ hash, path }: Passage): void {
  if (denylist().isEmpty) return;
  if (hash !== null) denylist().check(hash);
  const domain = new URL(path, "http://node.invalid").searchParams.get("domain");
  if (domain !== null) denylist().check(domainHashOf(parseDomain(domain)));
}

/** Nothing larger than a chunk, or a batch of small ones, goes up through a tunnel. */
function checkLength(request: Request, { resource }: Passage): void {
  const declared = request.headers.get("Content-Length") ?? "0";
  if (!LENGTH.test(declared)) throw new HoldfastError("invalid-request", "Content-Length is not a number");
  const maxBytes = resource === "chunks" ? BATCH_BODY_MAX : CHUNK_BYTES_MAX;
  if (Number(declared) > maxBytes) {
    throw new HoldfastError("chunk-too-large", `at most ${maxBytes} bytes are passed on here`);
  }
}

/** Whatever fails while a node answers is its failure, not the reader's: `bad-answer` for what it said, else `unreachable`. */
async function blamingNode(work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (cause) {
    if (isHoldfastError(cause, "bad-answer")) throw cause;
    if (isHoldfastError(cause)) {
      throw new HoldfastError("bad-answer", `the home node's answer cannot be used: ${cause.message}`, {
        cause,
      });
    }
    console.warn(`a tunnel broke off: ${cause}`);
    throw new HoldfastError("unreachable", "the home node's connection was lost midway", { cause });
  }
}

function isData({ status }: Response, { method }: Passage): boolean {
  return status === 200 || (method === "PUT" && status === 201);
}

async function passOn(answer: Response, passage: Passage): Promise<Response> {
  if (passage.method === "PUT") return receiptOf(answer);
  if (passage.method === "HEAD") return headOf(answer, passage);
  const { type, caching, maxBytes } = ANSWERS[passage.resource];
  const bytes = await readBytes(answer, maxBytes);
  if (isNamedByHash(passage.resource)) await checkHash(bytes, passage.hash);
  return new Response(bytes, { headers: untrustedHeaders(type, caching) });
}

function isChunkRead(passage: Passage): passage is Passage & { hash: Hash } {
  return passage.method === "GET" && passage.resource === "chunk" && passage.hash !== null;
}

/** What it shows of the node is noted: who is listed for the chunk answers for it, whoever asked. */
async function passChunkOn(
  answer: Response,
  hash: Hash,
  { index, node }: { index: IndexClient; node: NodeId },
): Promise<Response> {
  const { type, caching, maxBytes } = ANSWERS.chunk;
  const bytes = await readBytes(answer, maxBytes);
  if ((await digest(bytes)) !== hash) noteLoss(index, { chunk: hash, node, code: "corrupt" });
  await checkHash(bytes, hash);
  noteRelayed(index, node, bytes.length);
  return new Response(bytes, { headers: untrustedHeaders(type, caching) });
}

/** A chunk's receipt, in the form that it must have. */
async function receiptOf(answer: Response): Promise<Response> {
  const receipt = parseSignedJson(await readJsonBody(answer, SMALL_ANSWER_MAX));
  return Response.json(receipt, {
    status: answer.status,
    headers: untrustedHeaders("application/json", "no-store"),
  });
}

async function headOf(answer: Response, { resource }: Passage): Promise<Response> {
  await answer.body?.cancel();
  const { type, caching, maxBytes } = ANSWERS[resource];
  const headers = untrustedHeaders(type, caching);
  const length = declaredLength(answer);
  if (length !== null && length <= maxBytes) headers.set("Content-Length", String(length));
  return new Response(null, { headers });
}

function isNamedByHash(resource: Resource): boolean {
  return resource === "version";
}

async function checkHash(bytes: Uint8Array<ArrayBuffer>, hash: Hash | null): Promise<void> {
  if ((await digest(bytes)) === hash) return;
  throw new HoldfastError("bad-answer", "the home node sent bytes that do not have the hash asked for");
}

/** What the node refused, in our own words' form: its code and detail, where it gave them. */
async function problemOfNode(answer: Response, { method }: Passage): Promise<Response> {
  const type = answer.headers.get("Content-Type") ?? "";
  if (answer.status < 400 || !type.startsWith(PROBLEM_TYPE)) {
    await answer.body?.cancel();
    throw new HoldfastError("bad-answer", `the home node answered ${answer.status} without saying why`);
  }
  // Only the status tells what is wrong with a HEAD.
  if (method === "HEAD") {
    return new Response(null, { status: answer.status, headers: untrustedHeaders(PROBLEM_TYPE, "no-store") });
  }
  return problemResponse(errorOf(parseProblem(await readJsonBody(answer, SMALL_ANSWER_MAX))));
}
