// A domain: what this edge keeps of it, how much is pledged to it, and thanks to those who keep it, by the names that they
// chose. Names are volunteers' own words, so a node's id stands beside each.

import { ask, explain } from "./edge.js";
import { classed, el, factList, shortId, table, tableRow, timeElement } from "./elements.js";
import { counted, formatBytes, formatPercent, formatSize, visible } from "./format.js";
import { lookUpFolder } from "./tree.js";

/** @import { DomainAnswer, Supporter } from "../lib/wire/status.ts" */
/** @import { Address } from "./names.js" */

const COLUMNS = ["Who", "Keeps", "Pledges to it", "Since", "Standing"];
const NOBODY = "a volunteer";
/** Below it a node is given chunks only where nobody else can take them. */
const GOOD_STANDING = 0.5;
/** How often a publisher asks by default that each byte is kept. */
const COPIES = 3;

/** The domain's own folder, where it has published one, and who keeps the domain. @param {Address} address @param {AbortSignal} signal @returns {Promise<Node[]>} */
export async function lookUpDomain(address, signal) {
  const [folder, domain] = await Promise.allSettled([
    lookUpFolder(address, signal),
    askDomain(address, signal),
  ]);
  if (domain.status === "fulfilled") {
    const head = el("h3", el("bdi", address.domain));
    return folder.status === "fulfilled"
      ? [...folder.value, ...supportSection(domain.value)]
      : [head, ...supportSection(domain.value)];
  }
  if (folder.status === "rejected") throw domain.reason;
  return [...folder.value, classed("trouble", el("p", explain(domain.reason)))];
}

/** @param {Address} address @param {AbortSignal} signal @returns {Promise<DomainAnswer>} */
function askDomain({ domain }, signal) {
  return ask(`/domain/${encodeURIComponent(domain)}`, { signal });
}

/** @param {DomainAnswer} answer @returns {HTMLElement[]} */
function supportSection({ usage, supporters, keys, policy }) {
  return [
    el("h3", "What this edge keeps of it"),
    factList([
      ["Bytes", `${formatSize(usage.bytes)} in ${counted(usage.chunks, "chunk")}`],
      ["Quota", quotaText(usage)],
      ["Pledged to it", pledgedText(usage)],
      ["Keys", `${counted(keys.length, "key")} in DNS, policy ${policy}`],
    ]),
    el("h3", "Thanks to those who keep it"),
    ...thanks(supporters),
  ];
}

/** @param {DomainAnswer["usage"]} usage */
function quotaText({ bytes, quotaBytes }) {
  if (quotaBytes === null) return "no limit";
  return quotaBytes === 0 ? "none" : `${formatPercent(bytes, quotaBytes)} of ${formatBytes(quotaBytes)}`;
}

/** @param {DomainAnswer["usage"]} usage */
function pledgedText({ bytes, pledgedBytes, supporters }) {
  if (supporters === 0) return "nothing: it lives on pledges to all domains";
  const by = `${formatBytes(pledgedBytes)} by ${counted(supporters, "node")} that chose it`;
  if (bytes === 0) return by;
  const copies = bytes * COPIES;
  return pledgedBytes >= copies
    ? `${by}: enough for all of it`
    : `${by}: ${formatPercent(pledgedBytes, copies)} of what its copies take`;
}

/** @param {Supporter[]} supporters @returns {HTMLElement[]} */
function thanks(supporters) {
  if (supporters.length === 0) return [classed("quiet", el("p", "Nobody that this edge knows of keeps it."))];
  const list = classed("listing supporters", table("Who keeps it", COLUMNS, supporters.map(supporterRow)));
  const note =
    "As this edge has counted, some minutes late; of many nodes only those that keep most. A name is what a volunteer chose to be called.";
  return [list, classed("quiet", el("p", note))];
}

/** @param {Supporter} supporter */
function supporterRow({ id, name, online, since, standing, chunks, bytes, pledgedBytes }) {
  const shown = name !== null ? classed("named", el("bdi", visible(name))) : NOBODY;
  const isGood = standing >= GOOD_STANDING;
  const state = chunks === 0 ? "ready" : "keeps it";
  return tableRow(COLUMNS, [
    el("span", shown, " ", classed("quiet", el("span", shortId(id)))),
    chunks === 0 ? "nothing yet" : `${formatBytes(bytes)}, ${counted(chunks, "chunk")}`,
    pledgedBytes === 0 ? "–" : formatBytes(pledgedBytes),
    since === null ? "–" : timeElement(since),
    isGood ? (online ? state : "offline now") : classed("trouble", el("span", "did not keep what it had")),
  ]);
}
