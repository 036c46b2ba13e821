// GET and HEAD of a folder under /obj that has no page of its own: a listing made from the index of a published tree,
// as a page for people or as JSON. Both carry validators, so that a listing that did not change is not sent again.

import type { IndexClient } from "../durable-objects/index-client.ts";
import { HoldfastError } from "../lib/error.ts";
import { LISTING_TYPE } from "../lib/folder-listing.ts";
import { type Hash, hashBytes } from "../lib/hash.ts";
import { formatTreeRoot } from "../lib/tree-index.ts";
import { checkExpiry } from "../lib/version.ts";
import { type AppContext, found, untrustedHeaders } from "./app.ts";
import { denylist } from "./denylist.ts";
import { evaluateConditions } from "./http-range.ts";
import { LISTING_POLICY, renderListing } from "./listing-page.ts";
import { type FolderPath, formatFolder } from "./object-path.ts";
import { namesType } from "./object-referral.ts";
import { type Candidate, checkAllowed, findTrees, listFrom } from "./tree-finder.ts";

/** Part of every listing's ETag: to be raised with each change of what listings look like. */
const LAYOUT = 1;
const JSON_TYPE = "application/json";
const HTML_TYPE = "text/html; charset=utf-8";

/** What is sent: the listing by one of the trees that might have the folder, in one form. */
interface Representation {
  tree: Candidate;
  trees: Candidate[];
  type: string;
}

/** A listing's own type names it even where the folder has a page of its own. */
export function wantsListing(accept: string | undefined): boolean {
  return namesType(accept, LISTING_TYPE);
}

export async function answerFolder(c: AppContext, index: IndexClient, folder: FolderPath): Promise<Response> {
  const type = listingType(c.req.header("Accept"));
  const trees = await findTrees(index, folder);
  const [innermost] = trees;
  if (innermost !== undefined && isKnown(c, { tree: innermost, trees, type }))
    return notModified({ tree: innermost, trees, type });
  const { tree, listing } = found(
    await listFrom(index, trees),
    `no tree published here has ${formatFolder(folder)}`,
  );
  const sent = { tree, trees, type };
  const status = statusUnder(c, sent);
  if (status === 412)
    throw new HoldfastError("precondition-failed", "the listing is not the one that the request means");
  if (status === 304) return notModified(sent);
  const body = type === HTML_TYPE ? await renderListing(listing) : JSON.stringify(listing);
  return new Response(body, { headers: headersOf(sent) });
}

function listingType(accept: string | undefined): string {
  if (wantsListing(accept)) return LISTING_TYPE;
  return namesType(accept, JSON_TYPE) ? JSON_TYPE : HTML_TYPE;
}

/**
 * Whoever names the tag of the innermost tree's listing was given that listing: the index need not be read to say that it
 * is still the same.
 */
function isKnown(c: AppContext, sent: Representation): boolean {
  checkAllowed(sent.tree);
  checkExpiry(sent.tree.body, Date.now());
  return (c.req.header("If-None-Match") ?? "*") !== "*" && statusUnder(c, sent) === 304;
}

/** Of the request's conditions. A listing has no ranges, so it is asked about as if by HEAD. */
function statusUnder(c: AppContext, sent: Representation): number {
  const validators = { etag: tagOf(sent), modifiedMs: modifiedMsOf(sent) };
  return evaluateConditions({ method: "HEAD", headers: c.req.raw.headers }, validators, 0).status;
}

/** All that a listing follows from: the index's Version, the folder, the trees that it links to, its form, and what is blocked. */
function tagOf({ tree, trees, type }: Representation): Hash {
  const roots = trees.map(({ root }) => formatTreeRoot(root));
  const parts = [String(LAYOUT), type, tree.id, tree.folder, denylist().tag, ...roots];
  return hashBytes(new TextEncoder().encode(parts.join("\n")));
}

function modifiedMsOf({ trees }: Representation): number {
  return Math.max(...trees.map(({ body }) => Date.parse(body.time)));
}

function notModified(sent: Representation): Response {
  const headers = headersOf(sent);
  headers.delete("Content-Type");
  return new Response(null, { status: 304, headers });
}

function headersOf(sent: Representation): Headers {
  const headers = untrustedHeaders(sent.type, "no-cache");
  if (sent.type === HTML_TYPE) headers.set("Content-Security-Policy", LISTING_POLICY);
  headers.set("ETag", `"${tagOf(sent)}"`);
  headers.set("Last-Modified", new Date(modifiedMsOf(sent)).toUTCString());
  headers.set("Vary", "Accept");
  headers.set("Holdfast-Version", sent.tree.id);
  return headers;
}
