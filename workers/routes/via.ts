// /via/<nodeId>/…: a home node's own answers, through its tunnel, checked and built anew (relayed-answer.ts). What they show
// of the node is noted: who is listed for a chunk answers for it, whoever asked.

import { Hono } from "hono";
import { readBytes } from "../../durable-objects/body.ts";
import { digest } from "../../durable-objects/digest.ts";
import type { IndexClient } from "../../durable-objects/index-client.ts";
import { HoldfastError } from "../../lib/error.ts";
import type { Hash, NodeId } from "../../lib/hash.ts";
import { domainHashOf, parseDomain } from "../../lib/names.ts";
import { type Passage, REQUEST_HEADERS } from "../../lib/tunnel/passage.ts";
import { type ChunkSight, checkedAnswer, type RelayedAnswer } from "../../lib/tunnel/relayed-answer.ts";
import { blamingNode, checkDeclaredLength, parseVia } from "../../lib/tunnel/via.ts";
import { type AppContext, type AppEnv, found, indexOf, problemResponse, untrustedHeaders } from "../app.ts";
import { denylist } from "../denylist.ts";
import { noteLoss, noteRelayed } from "../read-notes.ts";

const UPLOADS = ["PUT", "POST"];

export const via = new Hono<AppEnv>().all("/*", async (c) => {
  const { node, passage } = parseVia(c.req.method, new URL(c.req.url));
  checkDeclaredLength(c.req.header("Content-Length") ?? null, passage);
  checkAllowed(passage);
  const index = indexOf(c);
  // Asked first: a link that no node has registered at is an object that nobody should bring about.
  found((await index.members([node])).get(node) ?? null, `no home node ${node} is registered here`);
  const onBroken = (cause: unknown) => console.warn(`a tunnel broke off: ${cause}`);
  const answer = await blamingNode(async () => {
    const onChunk = (chunk: Hash, sight: ChunkSight) => noteSight(index, node, chunk, sight);
    const host = { readBytes, digest, onChunk };
    return checkedAnswer(await index.link(node).fetch(requestFor(c, passage)), passage, host);
  }, onBroken);
  return answer instanceof HoldfastError ? problemResponse(answer) : responseOf(answer);
});

function requestFor(c: AppContext, { method, path }: Passage): Request {
  const headers = new Headers();
  for (const name of REQUEST_HEADERS) {
    const value = c.req.raw.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const body = UPLOADS.includes(method) ? c.req.raw.body : null;
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

function noteSight(index: IndexClient, node: NodeId, chunk: Hash, sight: ChunkSight): void {
  if (sight.code === "given") noteRelayed(index, node, sight.sizeBytes);
  else noteLoss(index, { chunk, node, code: sight.code });
}

function responseOf({ status, type, caching, sizeBytes, body }: RelayedAnswer): Response {
  const headers = untrustedHeaders(type, caching);
  if (sizeBytes !== null) headers.set("Content-Length", String(sizeBytes));
  return new Response(body, { status, headers });
}
