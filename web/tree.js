// A folder of a domain's published tree: what lies in it, and from which Version of the tree's index that is known.

import { commandSection, folderCommands } from "./commands.js";
import { ask } from "./edge.js";
import { button, classed, el, factList, link, shortId, table, tableRow, timeElement } from "./elements.js";
import { counted, formatBytes, formatCount, formatSize, visible } from "./format.js";
import { encodePath, hrefOf } from "./names.js";

/** @import { FolderListing } from "../lib/folder-listing.ts" */
/** @import { Address } from "./names.js" */

const LISTING_TYPE = "application/vnd.holdfast.listing+json";
const COLUMNS = ["Name", "Size", "Version, or contents", "Object"];
/** Rows that are made at once. */
const ROWS_AT_ONCE = 500;

/** @param {Address} folder @param {AbortSignal} signal @returns {Promise<Node[]>} */
export async function lookUpFolder(folder, signal) {
  const path = `/obj/${encodePath(`${folder.full}/`)}`;
  /** @type {FolderListing} */
  const listing = await ask(path, { headers: { Accept: LISTING_TYPE }, signal });
  return [
    el("h3", breadcrumbs(folder, listing)),
    el("p", summary(listing)),
    ...entries(folder, listing),
    el("h3", "Where this comes from"),
    provenance(folder, listing),
    ...commandSection(folderCommands(folder)),
  ];
}

/** The path; each folder above that is listed is a link. @param {Address} folder @param {FolderListing} listing */
function breadcrumbs({ full }, { index, trees }) {
  const segments = full.split("/");
  const parts = segments.map((segment, i) => {
    const text = el("bdi", segment);
    const above = segments.slice(0, i + 1).join("/");
    const isListed = above !== full && (trees.includes(above) || above.startsWith(`${index.tree}/`));
    return el("span", isListed ? link(hrefOf(`${above}/`), text) : text, " / ");
  });
  const nav = classed("breadcrumbs", el("nav", ...parts));
  nav.ariaLabel = "Path of the folder";
  return nav;
}

/** @param {FolderListing} listing */
function summary({ files, folders, total }) {
  if (folders.length === 0) return `${counted(files.length, "file")}, ${formatSize(total.size)}`;
  const here = files.length === 0 ? "" : ` and ${counted(files.length, "file")}`;
  return `${counted(folders.length, "folder")}${here} here; ${counted(total.files, "file")} in all, ${formatBytes(total.size)}`;
}

/** @param {Address} folder @param {FolderListing} listing @returns {HTMLElement[]} */
function entries(folder, listing) {
  const rows = [
    ...listing.folders.map((entry) => () => folderRow(folder, entry)),
    ...listing.files.map((entry) => () => fileRow(folder, entry)),
  ];
  if (rows.length === 0) return [classed("quiet", el("p", "This folder is empty."))];
  const list = classed("listing tree", table(`What lies in ${folder.full}`, COLUMNS, []));
  const more = button("", showMore);
  function showMore() {
    const made = rows.splice(0, ROWS_AT_ONCE).map((make) => make());
    list.tBodies[0]?.append(...made);
    more.hidden = rows.length === 0;
    more.textContent = `Show more: ${formatCount(rows.length)} left`;
  }
  showMore();
  return [list, more];
}

/** @param {Address} folder @param {FolderListing["folders"][number]} entry */
function folderRow({ full }, { name, files, size }) {
  const path = `${full}/${name}/`;
  return tableRow(COLUMNS, [
    classed("folder", link(hrefOf(path), el("bdi", name), "/")),
    formatBytes(size),
    counted(files, "file"),
    openLink(path),
  ]);
}

/** @param {Address} folder @param {FolderListing["files"][number]} entry */
function fileRow({ full }, { name, size, version }) {
  const path = `${full}/${name}`;
  return tableRow(COLUMNS, [
    link(hrefOf(path), el("bdi", name)),
    formatBytes(size),
    link(`/version/${version}`, shortId(version)),
    openLink(path),
  ]);
}

/** @param {string} path */
function openLink(path) {
  const open = link(`/obj/${encodePath(path)}`, "open");
  open.setAttribute("aria-label", `Open ${path}`);
  return open;
}

/** @param {Address} folder @param {FolderListing} listing */
function provenance({ domain }, { index }) {
  const { tree, name, sequence, version, author, time, expires } = index;
  const indexLink = link(hrefOf(`${domain}/${name}`), `Version ${formatCount(sequence)} of its index`);
  return factList([
    ["Tree", el("bdi", `${tree}/`)],
    ["Index", el("span", indexLink, ", ", link(`/version/${version}`, "statement ", shortId(version)))],
    ["Signed", el("span", timeElement(time), " by ", el("bdi", visible(author)))],
    ["Expires", expires === null ? "never" : timeElement(expires)],
  ]);
}
