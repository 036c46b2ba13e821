// GET and HEAD of a folder under /obj that has no page of its own: a listing made from the index of a published tree,
// as a page for people or as JSON. Both carry validators, so that a listing that did not change is not sent again.

import { HoldfastError } from "../lib/error.ts";
import { LISTING_TYPE } from "../lib/folder-listing.ts";
import { type Hash, hashBytes } from "../lib/hash.ts";
import { checkExpiry } from "../lib/version.ts";
import { type AppContext, found, untrustedHeaders } from "./app.ts";
import { evaluateConditions } from "./http-range.ts";
import type { IndexClient } from "./index-client.ts";
import { LISTING_POLICY, renderListing } from "./listing-page.ts";
import { type FolderPath, formatFolder } from "./object-path.ts";
import { namesType } from "./object-referral.ts";
import { type Candidate, findTrees, listFrom } from "./tree-finder.ts";

/** Part of every listing's ETag: to be raised with each change of what listings look like. */
const LAYOUT = 1;
const JSON_TYPE = "application/json";
const HTML_TYPE = "text/html; charset=utf-8";

/** A listing's own type names it even where the folder has a page of its own. */
export function wantsListing(accept: string | undefined): boolean {
  return namesType(accept, LISTING_TYPE);
}

export async function answerFolder(c: AppContext, index: IndexClient, folder: FolderPath): Promise<Response> {
  const type = listingType(c.req.header("Accept"));
  const trees = await findTrees(index, folder);
  const [innermost] = trees;
  if (innermost !== undefined && isKnown(c, innermost, type)) return notModified(innermost, type);
  const { tree, listing } = found(
    await listFrom(index, trees),
    `no tree published here has ${formatFolder(folder)}`,
  );
  const status = statusUnder(c, tree, type);
  if (status === 412)
    throw new HoldfastError("precondition-failed", "the listing is not the one that the request means");
  if (status === 304) return notModified(tree, type);
  const body = type === HTML_TYPE ? await renderListing(listing) : JSON.stringify(listing);
  return new Response(body, { headers: listingHeaders(tree, type) });
}

function listingType(accept: string | undefined): string {
  if (wantsListing(accept)) return LISTING_TYPE;
  return namesType(accept, JSON_TYPE) ? JSON_TYPE : HTML_TYPE;
}

/**
 * Whoever names the tag of the innermost tree's listing was given that listing: the index need not be read to say that it
 * is still the same.
 */
function isKnown(c: AppContext, tree: Candidate, type: string): boolean {
  const tags = c.req.header("If-None-Match") ?? "*";
  checkExpiry(tree.body, Date.now());
  return tags !== "*" && statusUnder(c, tree, type) === 304;
}

/** Of the request's conditions. A listing has no ranges, so it is asked about as if by HEAD. */
function statusUnder(c: AppContext, tree: Candidate, type: string): number {
  const validators = { etag: tagOf(tree, type), modifiedMs: Date.parse(tree.body.time) };
  return evaluateConditions({ method: "HEAD", headers: c.req.raw.headers }, validators, 0).status;
}

/** A listing follows from the index's Version, the folder, and how it is shown. */
function tagOf({ id, folder }: Candidate, type: string): Hash {
  return hashBytes(new TextEncoder().encode([LAYOUT, type, id, folder].join("\n")));
}

function notModified(tree: Candidate, type: string): Response {
  const headers = listingHeaders(tree, type);
  headers.delete("Content-Type");
  return new Response(null, { status: 304, headers });
}

function listingHeaders(tree: Candidate, type: string): Headers {
  const headers = untrustedHeaders(type, "no-cache");
  if (type === HTML_TYPE) headers.set("Content-Security-Policy", LISTING_POLICY);
  headers.set("ETag", `"${tagOf(tree, type)}"`);
  headers.set("Last-Modified", new Date(tree.body.time).toUTCString());
  headers.set("Vary", "Accept");
  headers.set("Holdfast-Version", tree.id);
  return headers;
}
