// An object as the edge knows it: what it is, whose key signed it, its Versions, and commands that read it.

import { commandSection, objectCommands } from "./commands.js";
import { ask, attempt, Problem } from "./edge.js";
import { classed, el, factList, hashElement, link, say } from "./elements.js";
import { counted, formatSize } from "./format.js";
import { encodePath, hrefOf, identify } from "./names.js";
import { askName, readManifest, readVersions, versionSection } from "./versions.js";

/** @import { DomainAnswer } from "../lib/wire/status.ts" */
/** @import { Manifest } from "../lib/manifest.ts" */
/** @import { Address, ObjectId } from "./names.js" */
/** @import { ShownVersion } from "./versions.js" */

/** @param {Address} address @param {AbortSignal} signal @returns {Promise<Node[]>} */
export async function lookUpObject(address, signal) {
  const object = await identify(address);
  const answer = await askName(object, null, signal);
  const versions = await readVersions(answer);
  const newest = versions.find(({ isRemoved }) => !isRemoved) ?? versions[0];
  if (newest?.body.nameHash !== object.nameHash) {
    throw new Problem("bad-answer", "The edge answered with another object’s Versions: do not trust it.");
  }
  // The answer brings the Manifest of the very newest, which may have been taken back.
  const isFirst = newest === versions[0];
  const manifest = answer.manifest === null || !isFirst ? null : await readManifest(answer.manifest, newest);
  signal.throwIfAborted();
  return [
    ...objectSection(object, newest, manifest, signal),
    ...versionSection(object, versions, answer.next, signal),
    ...commandSection(objectCommands(object, newest, manifest)),
  ];
}

/** @param {ObjectId} object @param {ShownVersion} newest @param {Manifest | null} manifest @param {AbortSignal} signal */
function objectSection(object, newest, manifest, signal) {
  const key = el("span", "asking the edge…");
  void attempt(key, signal, () => showDomainKey(key, object.domain, newest, signal));
  return [
    el("h3", link(`/obj/${encodePath(object.full)}`, el("bdi", object.full))),
    ...(newest.isRemoved ? [classed("trouble", el("p", "Everything of this object was taken back."))] : []),
    factList([
      ["Size", formatSize(newest.body.size)],
      ...manifestFacts(manifest),
      ["Manifest", hashElement(newest.body.manifest)],
      ["Name Hash", hashElement(object.nameHash)],
      ["Folder", folderLink(object)],
      ["Domain", key],
    ]),
  ];
}

/** @param {ObjectId} object */
function folderLink({ full }) {
  const folder = full.slice(0, full.lastIndexOf("/") + 1);
  return link(hrefOf(folder), el("bdi", folder));
}

/** @param {Manifest | null} manifest @returns {[string, Node | string][]} */
function manifestFacts(manifest) {
  if (manifest === null) return [];
  const chunks = "chunks" in manifest ? counted(manifest.chunks.length, "chunk") : null;
  const parts = "parts" in manifest ? `${counted(manifest.parts.length, "part")}, each a list of chunks` : "";
  return [
    ["Content type", manifest.contentType ?? "sealed"],
    ["SHA-256", hashElement(manifest.digest ?? "sealed")],
    ["Chunks", chunks ?? parts],
    ["Redundancy", redundancyText(manifest.redundancy)],
  ];
}

/** @param {Manifest["redundancy"]} redundancy */
function redundancyText(redundancy) {
  if ("replicas" in redundancy) return counted(redundancy.replicas, "replica");
  const { data, parity } = redundancy;
  return `${counted(parity, "parity chunk")} to each ${counted(data, "chunk")}: any ${parity} of them may be lost`;
}

/** Whether DNS, as the edge sees it, names the key that signed. @param {Element} place @param {string} domain @param {ShownVersion} newest @param {AbortSignal} signal */
async function showDomainKey(place, domain, newest, signal) {
  /** @type {DomainAnswer} */
  const { keys, policy, evidence } = await ask(`/domain/${encodeURIComponent(domain)}`, { signal });
  const isDomainKey = keys.some(({ fingerprint }) => fingerprint === newest.fingerprint);
  const whose = `the newest Version’s key is ${isDomainKey ? "one of them" : "not among them"}`;
  const dnssec = evidence.ad ? "with DNSSEC" : "without DNSSEC";
  const text = `${counted(keys.length, "key")} in DNS, ${dnssec}, policy ${policy}; ${whose}`;
  say(place, text, !isDomainKey && policy === "exclusive");
}
