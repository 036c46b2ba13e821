// All that the edge with peers sends out of workerd: questions to DNS, and requests to peers and their home nodes, which
// answer as the test has told them; unless told, as peers that know nothing.

import { type Request, Response } from "miniflare";
import { answerQuery } from "../../cli/local/dns-answer.ts";
import { parseZoneFile } from "../../cli/local/zone-file.ts";
import { formatDomainZone } from "../../cli/local/zone-records.ts";
import { hashBytes } from "../../lib/hash.ts";
import { parseDomain } from "../../lib/names.ts";
import { formatPublicKeyText } from "../../lib/openssh-key.ts";
import { parseNamesRequest } from "../../lib/wire/names.ts";
import { PEER_HEADER } from "../../lib/wire/peers.ts";
import { parseSigned } from "../../lib/wire/signed.ts";
import {
  type Asked,
  domainSigner,
  HUGE_BYTES,
  PEER_ORIGINS,
  PEERED_DOMAIN,
  peerSigner,
  SCRIPT_ORIGIN,
  type Scripted,
} from "./peer-script.ts";

const HANG_MS = 6_000;
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
  return script === undefined || script.answer.does === "ordinary"
    ? ordinary(origin, pathname, body)
    : play(script.answer, body);
}

/** POST: a script. DELETE: all are forgotten. GET: what was asked since it was last asked for. */
async function takeScript(request: Request): Promise<Response> {
  if (request.method === "POST") {
    scripts.push((await request.json()) as Scripted);
    return new Response(null, { status: 204 });
  }
  if (request.method === "DELETE") {
    scripts.length = 0;
    return new Response(null, { status: 204 });
  }
  const since = asked;
  asked = [];
  return Response.json(since);
}

async function play(
  { status = 200, body, base64, location, does }: Scripted["answer"],
  asked: string,
): Promise<Response> {
  if (typeof does === "object")
    return Response.json({
      results: handedOver(asked).map((id) => ({
        ...{ id, status: "refused", problem: { code: does.refuse, detail: "as the test says" } },
      })),
    });
  if (does === "hang") await new Promise((resolve) => setTimeout(resolve, HANG_MS).unref());
  if (does === "huge") return new Response(new Uint8Array(HUGE_BYTES).fill(32));
  const headers = location === undefined ? {} : { Location: location };
  return new Response(base64 === undefined ? (body ?? null) : Buffer.from(base64, "base64"), {
    status,
    headers,
  });
}

/** The ids of the statements in a POST /peer/names. */
function handedOver(body: string): string[] {
  const { statements } = parseNamesRequest(JSON.parse(body));
  return statements.map((posted) =>
    hashBytes(parseSigned("version" in posted ? posted.version : posted.removal).bytes),
  );
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
  if (pathname === "/peer/names")
    return Response.json({
      results: handedOver(body).map((id) => ({ id, status: "accepted", witnesses: [] })),
    });
  return Response.json({ versions: [], removals: [], hasMore: false });
}
