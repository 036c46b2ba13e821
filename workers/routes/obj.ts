// GET and HEAD /obj/<domain>/<name>: an object's bytes, nothing else, as clients of the world ask for them: conditions,
// ranges, and a problem in place of more bytes than one request can stream. A referral only where Accept names it. With a
// slash at the end it is a folder: its index.html, else a listing.

import { Hono } from "hono";
import type { IndexClient } from "../../durable-objects/index-client.ts";
import type { RemovalNotice } from "../../durable-objects/removals-table.ts";
import type { ObjectHead } from "../../durable-objects/versions-table.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import { type ByteRange, type Manifest, parseManifest } from "../../lib/manifest.ts";
import { type Domain, domainHashOf, nameHashOf, type ObjectName } from "../../lib/names.ts";
import { isAttachment, OBJECT_POLICY } from "../../lib/user-content.ts";
import { checkExpiry } from "../../lib/version.ts";
import { REFERRAL_TYPE } from "../../lib/wire/chunks.ts";
import { type AppContext, type AppEnv, IMMUTABLE, indexOf, problemResponse } from "../app.ts";
import { denylist } from "../denylist.ts";
import { answerFolder, wantsListing } from "../folder-answer.ts";
import { evaluateConditions, totalBytes } from "../http-range.ts";
import {
  bodyLength,
  contentRange,
  multipartBody,
  type ObjectBody,
  plainBody,
  randomBoundary,
} from "../object-body.ts";
import { type FolderPath, formatFolder, indexPageOf, parseObjectPath } from "../object-path.ts";
import { makeReferral, wantsReferral } from "../object-referral.ts";
import { streamBody } from "../object-stream.ts";
import { pullUnknown, refreshLater } from "../pull-name.ts";
import { spendAddress } from "../rate-limits.ts";
import { isFolder } from "../tree-finder.ts";

/** What an answer carries: the whole, or ranges of it. */
interface Selection {
  status: 200 | 206;
  ranges: ByteRange[];
}

export const obj = new Hono<AppEnv>().get("/*", async (c) => {
  const target = parseObjectPath(new URL(c.req.url).pathname);
  const index = indexOf(c);
  denylist().check(domainHashOf(target.domain));
  if (target.kind === "folder") return getFolder(c, index, target);
  const { domain, name } = target;
  const head = await findHead(c, index, domain, name);
  return head === null ? missing(c, index, domain, name) : getObject(c, index, domain, name, head);
});

async function getFolder(c: AppContext, index: IndexClient, folder: FolderPath): Promise<Response> {
  const accept = c.req.header("Accept");
  if (wantsListing(accept)) return answerFolder(c, index, folder);
  const name = indexPageOf(folder);
  const head = await findHead(c, index, folder.domain, name);
  if (head !== null) return getObject(c, index, folder.domain, name, head);
  if (isOfObject(c)) throw notFound(folder.domain, name);
  return answerFolder(c, index, folder);
}

/** Only objects have referrals and Versions. */
function isOfObject(c: AppContext): boolean {
  return wantsReferral(c.req.header("Accept")) || c.req.query("version") !== undefined;
}

/** The Version to serve, or null. Throws `statement-expired` for a newest one that has run out, `removed`. */
async function findHead(
  c: AppContext,
  index: IndexClient,
  domain: Domain,
  name: ObjectName,
): Promise<ObjectHead | null> {
  const only = c.req.query("version");
  const nameHash = nameHashOf(domain, name);
  denylist().check(nameHash);
  const read = () =>
    index.shardOf(nameHash).head(domain, nameHash, only === undefined ? null : parseHash(only));
  let head = await read();
  if (head !== null) refreshLater(c, { domain, nameHash });
  else if (await pullUnknown(c, { domain, nameHash })) head = await read();
  if (head === null) return null;
  if ("removed" in head) throw removed(head.removed);
  if (only === undefined) checkExpiry(head, Date.now());
  return head;
}

async function getObject(
  c: AppContext,
  index: IndexClient,
  domain: Domain,
  name: ObjectName,
  head: ObjectHead,
): Promise<Response> {
  const manifest = parseManifest(head.manifestBytes);
  denylist().check(head.id);
  denylist().checkManifest(head.manifest, manifest);
  if (wantsReferral(c.req.header("Accept"))) {
    const referral = await makeReferral(index, domain, name, head, manifest);
    return c.body(JSON.stringify(referral), 200, REFERRAL_HEADERS);
  }
  return answer(c, index, head, manifest, c.req.query("version") !== undefined);
}

/**
 * 404, which says so where the name is that of a folder. Only a browser that goes there is sent on: to a program a
 * redirect is a success, and the page behind it a file like the one that it asked for.
 */
async function missing(
  c: AppContext,
  index: IndexClient,
  domain: Domain,
  name: ObjectName,
): Promise<Response> {
  const folder = { domain, path: name };
  if (isOfObject(c)) throw notFound(domain, name);
  // The folders above it are looked up as well.
  await spendAddress(c, "lookups");
  if (!(await isFolder(index, folder))) throw notFound(domain, name);
  if (c.req.header("Sec-Fetch-Mode") === "navigate") {
    return c.body(null, 307, { Location: `${new URL(c.req.url).pathname}/`, "Cache-Control": "no-store" });
  }
  throw new HoldfastError(
    "not-found",
    `${domain}/${name} is a folder, not an object: ask for ${formatFolder(folder)} with the slash at its end`,
  );
}

function removed({ author, time, reason }: RemovalNotice): HoldfastError {
  const why = reason === "" ? "" : `: ${reason}`;
  return new HoldfastError("removed", `the object was taken back by ${author} at ${time}${why}`);
}

function notFound(domain: Domain, name: ObjectName): HoldfastError {
  return new HoldfastError("not-found", `there is no object ${domain}/${name} here`);
}

const REFERRAL_HEADERS = {
  "Content-Type": REFERRAL_TYPE,
  "Cache-Control": "no-store",
  Vary: "Accept",
  "X-Content-Type-Options": "nosniff",
};

/** The object, or what the request's conditions and ranges leave of it. */
async function answer(
  c: AppContext,
  index: IndexClient,
  head: ObjectHead,
  manifest: Manifest,
  isPinned: boolean,
): Promise<Response> {
  const { size } = manifest;
  const validators = { etag: head.manifest, modifiedMs: Date.parse(head.time) };
  const asked = evaluateConditions(c.req.raw, validators, size);
  if (asked.status === 412)
    throw new HoldfastError("precondition-failed", "the object is not the one that the request means");
  if (asked.status === 416) return unsatisfiable(size);
  const headers = objectHeaders(head, manifest, isPinned);
  if (asked.status === 304) return new Response(null, { status: 304, headers: withoutBody(headers) });
  const ranges = asked.status === 206 ? asked.ranges : [{ first: 0, last: size - 1 }];
  const selection = { status: asked.status, ranges };
  return c.req.method === "HEAD"
    ? new Response(null, describe(selection, manifest, headers))
    : sendSelection(c, index, selection, manifest, headers);
}

async function sendSelection(
  c: AppContext,
  index: IndexClient,
  asked: Selection,
  manifest: Manifest,
  headers: Headers,
): Promise<Response> {
  const { streamBytesMax } = index.settings;
  const selection = limited(asked, streamBytesMax, isMediaElement(c));
  if (selection === null) return useClient(streamBytesMax, manifest.size);
  const { body, ...init } = describe(selection, manifest, headers);
  const isEmpty = bodyLength(body) === 0;
  return new Response(isEmpty ? null : await streamBody(c.executionCtx, index, manifest, body), init);
}

/** The body that carries a selection, and the headers that say so. */
function describe(
  { status, ranges }: Selection,
  manifest: Manifest,
  headers: Headers,
): { status: number; headers: Headers; body: ObjectBody } {
  const [range = { first: 0, last: -1 }, ...others] = ranges;
  let body = plainBody(range);
  if (others.length > 0) {
    const boundary = randomBoundary();
    body = multipartBody(ranges, manifest.size, manifest.contentType, boundary);
    headers.set("Content-Type", `multipart/byteranges; boundary=${boundary}`);
  } else if (status === 206) headers.set("Content-Range", contentRange(range, manifest.size));
  headers.set("Content-Length", String(bodyLength(body)));
  return { status, headers, body };
}

/**
 * What one request may stream of what it asks for, or null where that is nothing. A media element asks for the rest
 * when it comes to it, so it gets the beginning of its range (RFC 9110 15.3.7); curl and wget would take that
 * for all there is.
 */
function limited(asked: Selection, maxBytes: number, isMedia: boolean): Selection | null {
  if (totalBytes(asked.ranges) <= maxBytes) return asked;
  const [range, ...others] = asked.ranges;
  if (!isMedia || asked.status !== 206 || range === undefined || others.length > 0) return null;
  return { status: 206, ranges: [{ first: range.first, last: range.first + maxBytes - 1 }] };
}

/** Browsers say what a request is for (Fetch Metadata). */
function isMediaElement(c: AppContext): boolean {
  return ["video", "audio"].includes(c.req.header("Sec-Fetch-Dest") ?? "");
}

/** 406, with the limit: whoever cannot use the client can ask for ranges within it. */
function useClient(limit: number, size: number): Response {
  const detail = `one request streams ${limit} bytes at most: use \`holdfast get DOMAIN/NAME\`, or ask for ranges within that`;
  const response = problemResponse(new HoldfastError("use-client", detail), { size, limit });
  response.headers.set("Accept-Ranges", "bytes");
  return response;
}

function objectHeaders(head: ObjectHead, manifest: Manifest, isPinned: boolean): Headers {
  return new Headers({
    "Content-Type": manifest.contentType,
    ETag: `"${head.manifest}"`,
    "Last-Modified": new Date(head.time).toUTCString(),
    "Repr-Digest": `sha-256=:${base64OfHash(manifest.digest)}:`,
    "Accept-Ranges": "bytes",
    // no-transform: compressing on the way would lose Content-Length and ranges.
    "Cache-Control": isPinned ? `${IMMUTABLE}, no-transform` : "no-cache, no-transform",
    Vary: "Accept",
    "Holdfast-Version": head.id,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": OBJECT_POLICY,
    // Said aloud for pages elsewhere that demand it (COEP): they may embed what they may read.
    "Cross-Origin-Resource-Policy": "cross-origin",
    ...(isAttachment(manifest.contentType) ? { "Content-Disposition": "attachment" } : {}),
  });
}

function unsatisfiable(sizeBytes: number): Response {
  const response = problemResponse(
    new HoldfastError(
      "range-not-satisfiable",
      `the object has ${sizeBytes} bytes, none of them in this range`,
    ),
  );
  response.headers.set("Content-Range", `bytes */${sizeBytes}`);
  return response;
}

/** For 304: nothing about a body that is not there (RFC 9110 15.4.5). */
function withoutBody(headers: Headers): Headers {
  for (const name of ["Content-Type", "Content-Disposition", "Accept-Ranges", "Repr-Digest"])
    headers.delete(name);
  return headers;
}

function base64OfHash(hash: Hash): string {
  return btoa(String.fromCharCode(...hexPairs(hash)));
}

function hexPairs(hash: Hash): number[] {
  return (hash.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}
