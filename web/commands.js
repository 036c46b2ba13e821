// Commands to copy, each quoted for a POSIX shell whatever the names in it are.

import { button, classed, el, setText } from "./elements.js";
import { visible } from "./format.js";
import { encodePath } from "./names.js";

/** @import { Manifest } from "../lib/manifest.ts" */
/** @import { Address, ObjectId } from "./names.js" */
/** @import { ShownVersion } from "./versions.js" */
/** @typedef {{ title: string, lines: string, note?: string }} Command */

const COPIED_MS = 2000;

/** One word of a POSIX shell. @param {string} text */
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The last segment where it is a plain file name. @param {string} name */
const fileNameOf = (name) => /(?:^|\/)([A-Za-z0-9][\w.-]*)$/.exec(name)?.[1] ?? "object";

const edgeOption = () => `--edge ${quote(location.origin)}`;

/** @param {ObjectId} object @param {ShownVersion} version @param {Manifest | null} manifest @returns {Command[]} */
export function objectCommands(object, version, manifest) {
  const url = quote(`${location.origin}/obj/${encodePath(object.full)}`);
  const full = quote(object.full);
  const edge = edgeOption();
  const file = fileNameOf(object.name);
  const note = manifest === null ? "" : `expected: ${manifest.digest}`;
  return [
    { title: "Fetch it and verify every byte", lines: `npx holdfast get ${full} ${edge}` },
    { title: "Fetch it, trusting this edge", lines: `curl -fsS ${url} -o ${file}` },
    { title: "Verify the fetched file", lines: `npx holdfast verify ${full} ${file} ${edge}` },
    { title: "List its Versions, each verified", lines: `npx holdfast log ${full} ${edge}` },
    { title: "Hash what this edge serves", lines: `curl -fsS ${url} | sha256sum`, note },
    signatureCommand(object.domain, version),
  ];
}

/** @param {Address} folder @returns {Command[]} */
export function folderCommands({ full }) {
  const url = quote(`${location.origin}/obj/${encodePath(full)}/`);
  const tree = quote(full);
  return [
    { title: "List it, verified", lines: `npx holdfast ls ${tree} ${edgeOption()}` },
    { title: "Fetch all of it and verify every byte", lines: `npx holdfast get -r ${tree} ${edgeOption()}` },
    { title: "List it as JSON, trusting this edge", lines: `curl -fsS -H 'Accept: application/json' ${url}` },
  ];
}

/** Stock tools on raw files. The key is the domain's only if DNS says so: hence dig. @param {string} domain @param {ShownVersion} version @returns {Command} */
function signatureCommand(domain, version) {
  const author = visible(version.body.author);
  const url = `${location.origin}/version/${version.id}`;
  const lines = [
    `curl -fsS ${quote(url)} > v`,
    `curl -fsS ${quote(`${url}.sig`)} > s`,
    `dig +short TXT ${quote(`_holdfast.${domain}`)}`,
    `echo ${quote(`${author} ${version.keyText}`)} > allowed_signers`,
    `ssh-keygen -Y verify -f allowed_signers -I ${quote(author)} -n holdfast -s s < v`,
  ];
  return {
    title: "Check the newest Version’s signature with OpenSSH alone",
    lines: lines.join("\n"),
    note: "dig must print the key that the fourth line writes, as p=",
  };
}

/** @param {Command[]} commands */
export function commandSection(commands) {
  return [el("h3", "Commands"), ...commands.map(commandBlock)];
}

/** @param {Command} command */
function commandBlock({ title, lines, note = "" }) {
  const pre = el("pre", lines);
  const copy = button("Copy", () => copyText(copy, pre));
  copy.ariaLabel = `Copy: ${title}`;
  const parts = [
    classed("quiet", el("p", title)),
    el("div", pre, copy),
    classed("quiet hash", el("p", note)),
  ];
  return classed("command", el("div", ...parts));
}

/** Copies, or selects where the browser does not let pages copy. @param {HTMLButtonElement} copy @param {HTMLElement} source */
async function copyText(copy, source) {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    copy.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(source);
    copy.textContent = "Selected";
  }
  setTimeout(() => setText(copy, "Copy"), COPIED_MS);
}
