// All that the edge with peers sends out of workerd: questions to DNS, and requests to peers and their home nodes, which
// answer as the test has told them; unless told, as peers that know nothing.

import { type Request, Response } from "miniflare";
import { answerQuery } from "../../cli/local/dns-answer.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { formatDomainZone } from "../../cli/local/zone-records.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { PEER_HEADER } from "../../lib/wire/peers.ts";
import {
  type Asked,
  domainSigner,
  PEER_ORIGINS,
  PEERED_DOMAIN,
  peerSigner,
  SCRIPT_ORIGIN,
  type Scripted,
} from "./peer-script.ts";

const HANG_MS = 20_000;
const BLOCK = new Uint8Array(64 * 1024).fill(32);
const zone = parseZoneFile(formatDomainZone(parseDomain(PEERED_DOMAIN), (await domainSigner()).key, []));
const scripts: Scripted[] = [];
let asked: Asked[] = [];

export async function answerForPeers(request: Request): Promise<Response> {
  const { origin, pathname, search } = new URL(request.url);
  if (pathname === "/dns-query") {
    const answer = answerQuery(new Uint8Array(await request.arrayBuffer()), zone);
    return new Response(answer, { headers: { "Content-Type": "application/dns-message" } });
  }
  if (origin === SCRIPT_ORIGIN) return takeScript(request);
  const body = await request.text();
  asked.push({ origin, path: pathname + search, isFromPeer: request.headers.has(PEER_HEADER), body });
  const script = scripts.findLast((one) => one.origin === origin && pathname.startsWith(one.path));
  return script === undefined ? ordinary(origin, pathname, body) : play(script.answer);
}

/** POST: a script. GET: what was asked since it was last asked for. */
async function takeScript(request: Request): Promise<Response> {
  if (request.method === "POST") {
    scripts.push((await request.json()) as Scripted);
    return new Response(null, { status: 204 });
  }
  const since = asked;
  asked = [];
  return Response.json(since);
}

async function play({ status = 200, body, base64, location, does }: Scripted["answer"]): Promise<Response> {
  if (does === "hang") await new Promise((resolve) => setTimeout(resolve, HANG_MS));
  if (does === "endless")
    return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(BLOCK) }));
  const headers = location === undefined ? {} : { Location: location };
  return new Response(base64 === undefined ? (body ?? null) : Buffer.from(base64, "base64"), {
    status,
    headers,
  });
}

async function ordinary(origin: string, pathname: string, body: string): Promise<Response> {
  const peer = PEER_ORIGINS.indexOf(origin);
  if (peer < 0) return new Response(null, { status: 404 });
  if (pathname === "/status") {
    const { key } = await peerSigner(peer);
    return Response.json({ kind: "edge", id: hashBytes(key), key: formatPublicKeyText(key) });
  }
  if (pathname === "/chunk/locate") {
    const { chunks } = JSON.parse(body) as { chunks: string[] };
    return Response.json({ chunks: chunks.map((hash) => ({ hash, holders: [] })), nodes: [] });
  }
  return Response.json({ versions: [], removals: [], hasMore: false });
}
