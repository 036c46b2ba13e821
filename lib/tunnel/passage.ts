// What may pass through a tunnel, and nothing else: reads of chunks, names, statements and neighbours, uploads of chunks,
// and bundles; and, from the edge itself, what a relay never passes on. The edge asks before it sends, the node before it
// answers; the path that goes on is built anew.

import { HoldfastError } from "../error.ts";
import { type Hash, parseHash } from "../hash.ts";
import { parseDomain } from "../names.ts";
import { GRANT_HEADER, UPLOAD_HEADER } from "../wire/signed.ts";
import type { RequestHead } from "./frames.ts";

export type Method = RequestHead["method"];
export type Resource = "chunk" | "chunks" | "name" | "names" | "version" | "signature" | "closest";

/** A request that may pass. */
export interface Passage {
  method: Method;
  resource: Resource;
  /** What is asked for, without `.sig`; null for a batch of chunks, and for bundles. */
  hash: Hash | null;
  /** Path and query, in their one spelling. */
  path: string;
}

/**
 * Request headers that go on to a home node; others stay here. Not `Accept`: of a relayed node a reader wants what it keeps,
 * and not, in place of a chunk's bytes, whom else to ask.
 */
export const REQUEST_HEADERS = ["content-length", "content-type", GRANT_HEADER, UPLOAD_HEADER].map((name) =>
  name.toLowerCase(),
);

/** Where an edge orders a node to copy a chunk from others. */
export const PULL_PATH = "/pull";
/** Where it asks a node which chunks it holds: in digests, and of one partition; the same of the statements that it keeps, */
export const INVENTORY_PATH = "/inventory";
export const NAMES_INVENTORY_PATH = "/inventory/names";
const INVENTORY_PARTITION = /^\/inventory(\/names)?\/\d{1,4}$/;
/** and for one statement with all that came along. */
export const STATEMENT_PATH = "/inventory/statement";
const INVENTORY_STATEMENT = /^\/inventory\/statement\/([^/]+)$/;
const PATH = /^\/(chunk|name|version|closest)\/([^/?]+)$/;
/** Several chunks in one upload. */
const BATCH_PATH = "/chunk";
/** Versions and Removals, with their witnesses. */
export const NAMES_PATH = "/names";
const SIGNATURE_SUFFIX = ".sig";
const QUERY_MAX = 1024;

/** Throws `not-found` or `method-not-allowed` for what may not pass, and what the hash's or domain's parser throws. */
export function parsePassage(method: string, pathname: string, search: string): Passage {
  if (pathname === BATCH_PATH) return postedPassage(method, "PUT", "chunks", pathname);
  if (pathname === NAMES_PATH) return postedPassage(method, "POST", "names", pathname);
  const [, resource, last] = PATH.exec(pathname) ?? [];
  if (resource === undefined || last === undefined) {
    throw new HoldfastError(
      "not-found",
      "a relay passes on /chunk, /name, /names, /version and /closest, nothing else",
    );
  }
  const isSignature = resource === "version" && last.endsWith(SIGNATURE_SUFFIX);
  const hash = parseHash(isSignature ? last.slice(0, -SIGNATURE_SUFFIX.length) : last);
  return {
    method: parseMethod(method, resource),
    resource: isSignature ? "signature" : parseResource(resource),
    hash,
    path: `/${resource}/${hash}${isSignature ? SIGNATURE_SUFFIX : ""}${resource === "name" ? nameQuery(search) : ""}`,
  };
}

/** What an edge sends through a tunnel: its own order, or what it passes on. Throws what parsePassage throws. */
export function parseTunnelled(
  method: string,
  pathname: string,
  search: string,
): Pick<RequestHead, "method" | "path"> {
  const inventory = inventoryPath(pathname, search);
  if (inventory === null && pathname !== PULL_PATH) return parsePassage(method, pathname, search);
  const allowed = inventory === null ? "POST" : "GET";
  if (method !== allowed) throw new HoldfastError("method-not-allowed", `allowed here: ${allowed}`);
  return { method: allowed, path: inventory ?? PULL_PATH };
}

/** The one spelling of a path of an inventory; null where it is none. */
function inventoryPath(pathname: string, search: string): string | null {
  if (pathname === INVENTORY_PATH || pathname === NAMES_INVENTORY_PATH)
    return `${pathname}${hashQuery(search, "known")}`;
  if (INVENTORY_PARTITION.test(pathname)) return `${pathname}${hashQuery(search, "after")}`;
  const [, id] = INVENTORY_STATEMENT.exec(pathname) ?? [];
  return id === undefined ? null : `${STATEMENT_PATH}/${parseHash(id)}`;
}

/** The one parameter of an inventory's paths, parsed and written again. */
function hashQuery(search: string, name: string): string {
  const [found, value = ""] = search.slice(1, QUERY_MAX).split("=");
  return found === name ? `?${name}=${parseHash(value)}` : "";
}

/** What is handed over at a path that names no hash. */
function postedPassage(method: string, allowed: "PUT" | "POST", resource: Resource, path: string): Passage {
  if (method === allowed) return { method: allowed, resource, hash: null, path };
  throw new HoldfastError("method-not-allowed", `allowed here: ${allowed}`);
}

function parseMethod(method: string, resource: string): Method {
  if (method === "GET" || method === "HEAD") return method;
  if (method === "PUT" && resource === "chunk") return method;
  const allowed = resource === "chunk" ? "GET, HEAD, PUT" : "GET, HEAD";
  throw new HoldfastError("method-not-allowed", `allowed here: ${allowed}`);
}

function parseResource(text: string): Resource {
  if (text === "chunk" || text === "name" || text === "version") return text;
  return "closest";
}

/** `?domain=` and `before=`, parsed and written again. */
function nameQuery(search: string): string {
  const query = new Map<string, string>();
  for (const pair of search.slice(1, QUERY_MAX).split("&")) {
    const [name = "", value = ""] = pair.split("=");
    query.set(name, value);
  }
  const before = query.get("before");
  const domain = parseDomain(query.get("domain") ?? "");
  return `?domain=${domain}${before === undefined ? "" : `&before=${parseHash(before)}`}`;
}
