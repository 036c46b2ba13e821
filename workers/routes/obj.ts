// GET and HEAD /obj/<domain>/<name>: an object's bytes, nothing else. Each chunk is verified before its first byte
// is released; a failure midway breaks the connection, so that a short answer never looks like a whole one.

import { Hono } from "hono";
import type { ObjectHead } from "../../durable-objects/versions-table.ts";
import { HoldfastError } from "../../lib/error.ts";
import { type Hash, parseHash } from "../../lib/hash.ts";
import {
  type ByteRange,
  chunksOf,
  type Manifest,
  type PlacedChunk,
  parseManifest,
} from "../../lib/manifest.ts";
import { type Domain, nameHashOf, type ObjectName, parseDomain, parseName } from "../../lib/names.ts";
import { checkExpiry } from "../../lib/version.ts";
import { type AppContext, type AppEnv, found, IMMUTABLE, indexOf, problemResponse } from "../app.ts";
import { findHolders, readChunk } from "../chunk-reader.ts";
import { evaluateConditions } from "../http-range.ts";
import type { IndexClient } from "../index-client.ts";

/** Chunks looked up together, ahead of the reader. */
export const LOOKUP_WINDOW = 64;
/** Chunks fetched ahead of the one being sent: 8 MiB of an isolate's 128 at most. */
export const FETCH_AHEAD = 4;

const OBJ_PATH = /^\/obj\/([^/]+)\/(.+)$/;

export const obj = new Hono<AppEnv>().get("/*", async (c) => {
  const { domain, name } = parseObjectPath(new URL(c.req.url).pathname);
  const only = c.req.query("version");
  const index = indexOf(c);
  const nameHash = nameHashOf(domain, name);
  const head = await index
    .shardOf(nameHash)
    .head(domain, nameHash, only === undefined ? null : parseHash(only));
  const object = found(head, `there is no object ${domain}/${name} here`);
  if (only === undefined) checkExpiry(object, Date.now());
  return answer(c, index, object, parseManifest(object.manifestBytes), only !== undefined);
});

async function answer(
  c: AppContext,
  index: IndexClient,
  head: ObjectHead,
  manifest: Manifest,
  isPinned: boolean,
): Promise<Response> {
  const headers = objectHeaders(head, manifest, isPinned);
  const validators = { etag: head.manifest, modifiedMs: Date.parse(head.time) };
  const asked = evaluateConditions(c.req.raw.headers, validators, manifest.size);
  if (asked.status === 304) return new Response(null, { status: 304, headers: withoutBody(headers) });
  if (asked.status === 416) return unsatisfiable(manifest.size);
  const range = asked.status === 206 ? asked.range : { first: 0, last: manifest.size - 1 };
  const length = range.last - range.first + 1;
  headers.set("Content-Length", String(length));
  if (asked.status === 206)
    headers.set("Content-Range", `bytes ${range.first}-${range.last}/${manifest.size}`);
  if (c.req.method === "HEAD" || length === 0) return new Response(null, { status: asked.status, headers });
  return new Response(await streamObject(c, index, manifest, range), { status: asked.status, headers });
}

/** A stream of exactly the range's bytes. The first chunk is verified before the stream is handed out. */
async function streamObject(
  c: AppContext,
  index: IndexClient,
  manifest: Manifest,
  range: ByteRange,
): Promise<ReadableStream> {
  const pieces = piecesOf(index, manifest, range);
  const first = await pieces.next();
  const { readable, writable } = new FixedLengthStream(range.last - range.first + 1);
  c.executionCtx.waitUntil(pump(first, pieces, writable));
  return readable;
}

async function pump(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void>,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    for (let piece = first; !piece.done; piece = await rest.next()) await writer.write(piece.value);
    await writer.close();
  } catch (error) {
    console.warn(`an object's stream was broken off: ${error}`);
    await writer.abort(error).catch((reason: unknown) => console.warn(`and its reader had gone: ${reason}`));
  } finally {
    await rest.return();
  }
}

/** The verified pieces of a range, in order, with FETCH_AHEAD chunks on their way. */
async function* piecesOf(
  index: IndexClient,
  manifest: Manifest,
  range: ByteRange,
): AsyncGenerator<Uint8Array, void> {
  const loadPart = async (hash: Hash) => {
    const holders = await findHolders(index, [hash]);
    return readChunk(index, { hash }, holders.get(hash) ?? []);
  };
  const ahead: Promise<Uint8Array>[] = [];
  for await (const window of windowsOf(chunksOf(manifest, loadPart, range), LOOKUP_WINDOW)) {
    const holders = await findHolders(
      index,
      window.map(({ hash }) => hash),
    );
    for (const chunk of window) {
      ahead.push(handled(readPiece(index, chunk, holders.get(chunk.hash) ?? [], range)));
      const due = ahead.length > FETCH_AHEAD ? ahead.shift() : undefined;
      if (due !== undefined) yield await due;
    }
  }
  for (const due of ahead) yield await due;
}

async function readPiece(
  index: IndexClient,
  chunk: PlacedChunk,
  holders: Parameters<typeof readChunk>[2],
  range: ByteRange,
): Promise<Uint8Array> {
  const bytes = await readChunk(index, chunk, holders);
  if (bytes.length !== chunk.size)
    throw new HoldfastError("length-mismatch", `chunk ${chunk.hash} has another size`);
  return bytes.subarray(Math.max(0, range.first - chunk.offset), range.last + 1 - chunk.offset);
}

// A promise that waits in the queue may fail before it is awaited; that failure is met when its turn comes.
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function* windowsOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let window: T[] = [];
  for await (const item of items) {
    window.push(item);
    if (window.length < size) continue;
    yield window;
    window = [];
  }
  if (window.length > 0) yield window;
}

function parseObjectPath(path: string): { domain: Domain; name: ObjectName } {
  const [, domain, rest] = OBJ_PATH.exec(path) ?? [];
  if (domain === undefined || rest === undefined) {
    throw new HoldfastError("invalid-name", "expected /obj/<domain>/<name>");
  }
  const name = decodePath(rest);
  return {
    domain: parseDomain(decodePath(domain)),
    name: parseName(name.endsWith("/") ? `${name}index.html` : name),
  };
}

function decodePath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new HoldfastError("invalid-name", "the name is not percent-encoded UTF-8", { cause });
  }
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
    "Holdfast-Version": head.id,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
  });
}

function unsatisfiable(sizeBytes: number): Response {
  const response = problemResponse(
    new HoldfastError("range-not-satisfiable", `the object has ${sizeBytes} bytes`),
  );
  response.headers.set("Content-Range", `bytes */${sizeBytes}`);
  return response;
}

function withoutBody(headers: Headers): Headers {
  headers.delete("Content-Type");
  return headers;
}

function base64OfHash(hash: Hash): string {
  return btoa(String.fromCharCode(...hexPairs(hash)));
}

function hexPairs(hash: Hash): number[] {
  return (hash.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
}
