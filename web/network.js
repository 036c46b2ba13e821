// The network in numbers, its recent objects and its home nodes.

import { at, classed, el, link, linkOut, setText, shortId, syncRows, timeElement } from "./elements.js";
import {
  clockFormat,
  counted,
  dateFormat,
  formatBytes,
  formatCount,
  formatPercent,
  visible,
} from "./format.js";
import { encodePath, hrefOf } from "./names.js";

/** @import { EdgeStatus, RecentObject } from "../lib/wire/status.ts" */
/** @typedef {EdgeStatus["members"][number]} Member */

const INDEX_NAME = /(^|\/)\.holdfast-index$/;

const DOMAINS_NOTE =
  "Pledged to it is what nodes offer that list the domain; the rest of it is kept by those who pledge to all.";

const PEERS_NOTE =
  "Other edges, with which this one exchanges Versions, and which it asks for what it does not know.";

/** @param {EdgeStatus} status */
export function showNetwork(status) {
  showEdge(status);
  showNumbers(status);
  showLists(status);
}

/** @param {EdgeStatus} status */
function showNumbers({ nodes, index, repairs }) {
  const numbers = {
    online: `${formatCount(nodes.online)} of ${formatCount(nodes.known)}`,
    pledged: formatBytes(nodes.pledgedBytes),
    free: formatBytes(nodes.freeBytes),
    names: formatCount(index.names),
    versions: formatCount(index.versions),
    chunks: formatCount(index.chunks),
    replicas: formatCount(index.replicas),
    bytes: formatBytes(index.chunkBytes),
    short: shortOf(repairs),
    repaired: repairs === undefined ? "–" : formatCount(repairs.copiesToday),
  };
  for (const [id, text] of Object.entries(numbers)) setText(at(`n-${id}`), text);
}

/** @param {EdgeStatus["repairs"]} repairs */
function shortOf(repairs) {
  if (repairs === undefined) return "–";
  const { short, unreadable } = repairs;
  return unreadable === 0
    ? formatCount(short)
    : `${formatCount(short)}, ${formatCount(unreadable)} of them unreadable now`;
}

/** @param {EdgeStatus} status */
function showEdge({ id, software, shardDepth, shards }) {
  setText(at("edge-id"), id);
  setText(at("edge-software"), `${software}, ${counted(shards?.count ?? 2 ** shardDepth, "shard")}`);
}

/** @param {string | null} reportedAt */
export function freshness(reportedAt) {
  const report = reportedAt === null ? "none yet" : dateFormat.format(new Date(reportedAt));
  return `Asked at ${clockFormat.format(new Date())}; last report of a shard: ${report}.`;
}

/** @param {RecentObject} object */
function recentRow(object) {
  const isIndex = INDEX_NAME.test(object.name);
  // The index of a tree stands for the folder that it lists.
  const full = `${object.domain}/${isIndex ? object.name.replace(INDEX_NAME, "$1") : object.name}`;
  const open = link(`/obj/${encodePath(full)}`, "open");
  open.setAttribute("aria-label", `Open ${full}`);
  const what = isIndex ? `Tree, Version ${formatCount(object.sequence)} · ` : describe(object);
  return el(
    "li",
    link(hrefOf(full), el("bdi", full)),
    el("span", what, open),
    el("bdi", visible(object.author)),
    timeElement(object.time),
  );
}

/** @param {RecentObject} object */
const describe = ({ sequence, size }) => `Version ${formatCount(sequence)}, ${formatBytes(size)} · `;

/** @param {Member} member */
function memberRow(member) {
  const id = shortId(member.id);
  const word = member.online ? "online" : "offline";
  const state = classed(word, el("span", `${word} since `, timeElement(member.since)));
  return el(
    "li",
    member.name === null
      ? id
      : el("span", el("bdi", visible(member.name)), " ", classed("quiet", el("span", id))),
    state,
    el("span", `${formatBytes(member.pledgedBytes)} pledged, ${formatBytes(member.freeBytes)} free`),
    el("span", member.url === null ? "through the relay" : linkOut(member.url)),
    el("span", recordOf(member)),
  );
}

/**
 * How it stands with this edge and what it carries: nothing of what the edge does not say.
 * @param {Member} member
 */
function recordOf({ standing, uptime, chunks, servedBytes = 0 }) {
  const words = [
    ...(standing === undefined ? [] : [`standing ${standing.toFixed(2)}`]),
    ...(uptime === undefined || uptime === null ? [] : [`up ${formatPercent(uptime, 1)}`]),
    ...(chunks === undefined || chunks === null ? [] : [`keeps ${counted(chunks, "chunk")}`]),
    ...(servedBytes === 0 ? [] : [`served ${formatBytes(servedBytes)}`]),
  ];
  return words.join(" · ");
}

/** @param {EdgeStatus["domains"][number]} row */
function domainRow({ domain, bytes, pledgedBytes, supporters, ratio }) {
  const pledged = `${formatBytes(pledgedBytes)} pledged to it by ${counted(supporters, "node")}`;
  const share =
    ratio >= 1 ? "enough for all its copies" : `${formatPercent(ratio, 1)} of what its copies take`;
  return el(
    "li",
    link(hrefOf(`${domain}/`), el("bdi", domain)),
    el("span", `${formatBytes(bytes)} kept`),
    el("span", supporters === 0 ? "nothing pledged to it" : pledged),
    el("span", supporters === 0 ? "lives on pledges to all" : share),
  );
}

/** @param {EdgeStatus["peers"][number]} peer */
function peerRow({ url, reachable, waiting, exchangedAt }) {
  const word = reachable === null ? "not spoken to yet" : reachable ? "online" : "offline";
  return el(
    "li",
    el("span", linkOut(url)),
    classed(reachable === null ? "quiet" : word, el("span", word)),
    el("span", exchangedAt === null ? "nothing exchanged yet" : "last exchange ", ...timeOf(exchangedAt)),
    el("span", waiting === 0 ? "nothing waits for it" : `${counted(waiting, "statement")} wait for it`),
  );
}

/** @param {string | null} time */
const timeOf = (time) => (time === null ? [] : [timeElement(time)]);

/** @param {EdgeStatus} status */
function showLists({ recent, domains, members, nodes, peers }) {
  syncRows("peers", peers, peerRow);
  setText(at("peers-note"), peers.length === 0 ? "None: this edge answers by itself." : PEERS_NOTE);
  syncRows("domains", domains, domainRow);
  setText(at("domains-note"), domains.length === 0 ? "None yet." : DOMAINS_NOTE);
  syncRows("recent", recent, recentRow);
  syncRows("members", members, memberRow);
  const more = nodes.known - members.length;
  const nothing = "Nothing yet. Publish with: npx holdfast publish";
  const nobody = "None yet. Run one with: npx holdfast node run";
  setText(at("recent-note"), recent.length === 0 ? nothing : "Choose a name to look it up.");
  setText(at("members-note"), nodes.known === 0 ? nobody : more > 0 ? `And ${formatCount(more)} more.` : "");
}
