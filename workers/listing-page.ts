// A folder's listing as a page: static, without a script, and with every name escaped by the template, because names
// and authors are strangers' input. Its policy lets it load nothing but its own style.

import { html, raw } from "hono/html";
import type { FolderListing } from "../lib/folder-listing.ts";
import { formatSize } from "../lib/format.ts";
import { decodeHash, hashBytes } from "../lib/hash.ts";
import css from "../web/listing.css";

/** Folders and files on one page, of each. */
export const LISTED_ROWS_MAX = 5000;
const SHORT_ID = 12;

const styleHash = btoa(String.fromCharCode(...decodeHash(hashBytes(new TextEncoder().encode(css)))));
/** As strict as a page with a style can be; files may be downloaded, and links opened in tabs of their own. */
export const LISTING_POLICY = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox`;

type Markup = ReturnType<typeof html>;

export async function renderListing(listing: FolderListing): Promise<string> {
  const path = pathOf(listing);
  const page = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${path}/</title>
<style>${raw(css)}</style>
</head>
<body>
<header>
<p class="quiet">A folder on an edge of Holdfast</p>
<h1>${breadcrumbs(listing)}</h1>
<p>${summary(listing)}</p>
</header>
<main>
${table(listing)}
</main>
<footer>
${provenance(listing)}
<p>This page shows what this edge says, and proves nothing. These commands verify every signature and every byte:</p>
<pre tabindex="0">holdfast ls ${quoteWord(path)}
holdfast get -r ${quoteWord(path)}</pre>
<p><a href="/#/${encodePath(path)}/">Browse this folder on the edge’s own page</a></p>
</footer>
</body>
</html>
`;
  return page.toString();
}

/** The folder's full path; what is listed above it is a link. */
function breadcrumbs(listing: FolderListing): Markup {
  const segments = pathOf(listing).split("/");
  return html`${segments.map((segment, i) => {
    const up = segments.length - 1 - i;
    const isLinked = up > 0 && isListed(listing, segments.slice(0, i + 1).join("/"));
    const name = isLinked ? html`<a href="${"../".repeat(up)}">${isolated(segment)}</a>` : isolated(segment);
    return html`${name}<span>/</span>${raw("<wbr>")}`;
  })}`;
}

function summary({ files, folders, total }: FolderListing): string {
  const size = formatSize(total.size);
  if (folders.length === 0) return `${counted(files.length, "file")}, ${size}`;
  const filesHere = files.length === 0 ? "" : ` and ${counted(files.length, "file")}`;
  return `${counted(folders.length, "folder")}${filesHere} here; ${counted(total.files, "file")} in all, ${size}`;
}

function table(listing: FolderListing): Markup {
  const { files, folders } = listing;
  if (files.length + folders.length === 0) return html`<p>This folder is empty.</p>`;
  const rows = [
    ...(hasListedParent(listing) ? [parentRow()] : []),
    ...folders.slice(0, LISTED_ROWS_MAX).map(folderRow),
    ...files.slice(0, LISTED_ROWS_MAX).map(fileRow),
  ];
  return html`<table>
<caption>What lies in this folder</caption>
<thead><tr><th scope="col">Name</th><th scope="col" class="number">Size</th><th scope="col" class="version">Version, or contents</th></tr></thead>
<tbody>
${rows}</tbody>
</table>
${leftOut(files.length, folders.length)}`;
}

function parentRow(): Markup {
  return html`<tr><th scope="row" class="folder"><a href="../">..</a></th><td class="number"></td><td class="version">the folder above</td></tr>
`;
}

function folderRow({ name, files, size }: FolderListing["folders"][number]): Markup {
  return html`<tr><th scope="row" class="folder"><a href="${encodeURIComponent(name)}/">${isolated(name)}/</a></th><td class="number">${formatSize(size)}</td><td class="version">${counted(files, "file")}</td></tr>
`;
}

function fileRow({ name, size, version }: FolderListing["files"][number]): Markup {
  const short = `${version.slice(0, SHORT_ID)}…`;
  return html`<tr><th scope="row"><a href="${encodeURIComponent(name)}">${isolated(name)}</a></th><td class="number">${formatSize(size)}</td><td class="version"><a href="${encodeURIComponent(name)}?version=${version}" title="${version}"><code>${short}</code></a></td></tr>
`;
}

function leftOut(files: number, folders: number): Markup | string {
  const more = Math.max(0, files - LISTED_ROWS_MAX) + Math.max(0, folders - LISTED_ROWS_MAX);
  return more === 0 ? "" : html`<p>And ${more.toLocaleString("en")} more, which the commands below list.</p>`;
}

function provenance({ index }: FolderListing): Markup {
  const statement = html`<a href="/version/${index.version}" title="${index.version}"><code>${index.version.slice(0, SHORT_ID)}…</code></a>`;
  const expiry = index.expires === null ? "" : html`; it expires on ${timeText(index.expires)}`;
  return html`<p>From Version ${index.sequence.toLocaleString("en")} (${statement}) of the index of ${isolated(`${index.tree}/`)}, signed as ${isolated(index.author)} on ${timeText(index.time)}${expiry}. A name leads to its newest Version, which may be newer than the one listed.</p>`;
}

function timeText(iso: string): Markup {
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}

/** Text that cannot change the order of what stands around it. */
function isolated(text: string): Markup {
  return html`<bdi>${text}</bdi>`;
}

/** Whether a folder above is in the same tree, or the root of one of its own. */
function isListed({ index, trees }: FolderListing, path: string): boolean {
  return trees.includes(path) || path.startsWith(`${index.tree}/`);
}

function hasListedParent(listing: FolderListing): boolean {
  const path = pathOf(listing);
  return isListed(listing, path.slice(0, Math.max(0, path.lastIndexOf("/"))));
}

function pathOf({ domain, folder }: FolderListing): string {
  return folder === null ? domain : `${domain}/${folder}`;
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** One word of a POSIX shell. */
function quoteWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
