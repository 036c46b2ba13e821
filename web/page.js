// The page of an edge: the network in numbers, a map of the partitions, and a look-up of objects. It shows what this
// edge says and proves nothing, because the edge serves this script too. Names, authors and URLs are strangers' input:
// text nodes only, links only to http(s), commands quoted. One file, because the edge bundles it as one text.

/** @import { ClosestAnswer, DomainAnswer, EdgeStatus, LocateAnswer, NameAnswer, RecentObject } from "../lib/wire.ts" */
/** @import { Manifest } from "../lib/manifest.ts" */
/** @import { Version } from "../lib/version.ts" */

/** @typedef {NameAnswer["versions"][number]} SignedVersion */
/** @typedef {EdgeStatus["members"][number]} Member */
/** @typedef {Awaited<ReturnType<typeof readVersion>>} ShownVersion */
/** @typedef {Awaited<ReturnType<typeof identify>>} ObjectId */
/** @typedef {{ title: string, lines: string, note?: string }} Command */

const REFRESH_MS = 10_000;
const COPIED_MS = 2000;
const CHUNKS_PER_LOCATE = 256;
const MAP_SIDE = 32;
/** The smallest number of home nodes of each colour. */
const LEVELS = [0, 1, 2, 3, 4, 8, 16];
const SHORT_ID = 12;
const BYTE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];
// Controls and bidi formatting: an author's address may contain them, and they could reorder a command.
const INVISIBLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
/** What to do about a problem, by its code. */
const ADVICE = new Map([
  ["not-found", "Check the spelling and the case. It may also be private, or known to other edges only."],
  ["invalid-name", "Write <domain>/<name>, as in example.org/app.iso."],
  ["dns-failed", "The edge could not ask DNS; try again in a minute."],
  ["rate-limited", "Wait a minute and try again."],
  ["unreachable", "Check your connection, or ask another edge or a home node: holdfast get --from URL."],
]);

/** @param {number} value */
const formatCount = (value) => value.toLocaleString("en");

const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

/** A failure to show, with a code of the protocol. */
class Problem extends Error {
  /** @param {string} code @param {string} detail */
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}

// ---- the document

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`);
  return element;
}

/** @param {string} id */
const at = (id) => byId(id, HTMLElement);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {...(Node | string)} children
 */
function el(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

/** @template {Element} T @param {string} className @param {T} element */
function classed(className, element) {
  element.className = className;
  return element;
}

/** @param {string} href @param {...(Node | string)} children */
function link(href, ...children) {
  const anchor = el("a", ...children);
  anchor.href = href;
  return anchor;
}

/** A link where `url` is an http or https URL; text where it is anything else. @param {string} url */
function linkOut(url) {
  const protocol = URL.canParse(url) ? new URL(url).protocol : "";
  if (protocol !== "https:" && protocol !== "http:") return el("bdi", url);
  const anchor = link(url, url);
  anchor.rel = "noreferrer";
  return anchor;
}

/** @param {string} iso */
function timeElement(iso) {
  const time = el("time", dateFormat.format(new Date(iso)));
  time.dateTime = iso;
  time.title = iso;
  return time;
}

/** @param {string} text */
const hashElement = (text) => classed("hash", el("span", text));

/** @param {string} id */
function shortId(id) {
  const span = hashElement(`${id.slice(0, SHORT_ID)}…`);
  span.title = id;
  return span;
}

/** Changes text only where it differs, so that a refresh touches nothing else. @param {Element} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} value */
function formatBytes(value) {
  if (value < 1024) return counted(value, "byte");
  const power = Math.min(Math.floor(Math.log2(value) / 10), BYTE_UNITS.length);
  const scaled = (value / 1024 ** power).toLocaleString("en", { maximumSignificantDigits: 3 });
  return `${scaled} ${BYTE_UNITS[power - 1]}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
function counted(count, one, many = `${one}s`) {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** @param {unknown} error */
function explain(error) {
  const problem = error instanceof Problem ? error : new Problem("bad-answer", `${error}`);
  return `${problem.message} ${ADVICE.get(problem.code) ?? ""}`.trim();
}

/** @param {Element} element @param {string} text @param {boolean} [isTrouble] */
function say(element, text, isTrouble = false) {
  element.classList.toggle("trouble", isTrouble);
  setText(element, text);
}

/**
 * Makes `list` show `items`; rows of items that did not change stay as they are, with their focus.
 * @template T
 * @param {string} listId @param {T[]} items @param {(item: T) => HTMLElement} makeRow
 */
function syncRows(listId, items, makeRow) {
  const list = at(listId);
  const kept = new Map([...list.children].map((row) => [row.getAttribute("data-item"), row]));
  items.forEach((item, place) => {
    const key = JSON.stringify(item);
    const row = kept.get(key) ?? makeRow(item);
    row.setAttribute("data-item", key);
    const there = list.children[place] ?? null;
    if (there !== row) list.insertBefore(row, there);
  });
  while (list.children.length > items.length) list.lastElementChild?.remove();
}

// ---- the edge

/** Asks the edge for JSON. Throws a Problem. @param {string} path @param {RequestInit} [init] */
async function ask(path, init) {
  const response = await fetch(path, init).catch(() => {
    throw new Problem("unreachable", "This edge does not answer.");
  });
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const unread = `The edge answered with status ${response.status} and no reason`;
  throw new Problem(`${body?.code}`, `${body?.detail || unread}`.replace(/\.?$/, "."));
}

/** Does `work`, and says at `place` what went wrong with it. @param {Element} place @param {AbortSignal} signal @param {() => Promise<void>} work */
async function attempt(place, signal, work) {
  try {
    await work();
  } catch (error) {
    if (!signal.aborted) say(place, explain(error), true);
  }
}

// ---- bytes and hashes

/** @param {string} text */
const decodeBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** @param {Uint8Array} bytes */
const encodeBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** @param {Uint8Array<ArrayBuffer>} bytes */
const decodeJson = (bytes) => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function hexHash(bytes) {
  return [...(await sha256(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The public key blob inside an armored SSHSIG: after the magic and a version, a length and so many bytes. @param {string} armored */
function keyOfSignature(armored) {
  const bytes = decodeBase64(armored.replace(/-----[A-Z ]+-----|\s/g, ""));
  const view = new DataView(bytes.buffer);
  return bytes.slice(14, 14 + view.getUint32(10));
}

/** As `ssh-keygen -l` prints it. @param {Uint8Array<ArrayBuffer>} blob */
async function fingerprintOf(blob) {
  return `SHA256:${encodeBase64(await sha256(blob)).replace(/=+$/, "")}`;
}

// ---- names and commands

/** `example.org/app.iso`, or its URL on this edge. Throws `invalid-name`. @param {string} text */
function parseFullName(text) {
  const [, domain, name] = /^([^/]+)\/(.+)$/s.exec(stripOrigin(text.trim()).normalize("NFC")) ?? [];
  // The URL parser makes A-labels of a domain in any script.
  const url = URL.canParse(`http://${domain}`) ? new URL(`http://${domain}`) : null;
  if (url?.href !== `http://${url?.hostname}/` || name === undefined) {
    throw new Problem("invalid-name", "That is not a domain and a name.");
  }
  return { domain: url.hostname, name, full: `${url.hostname}/${name}` };
}

/** @param {string} text */
function stripOrigin(text) {
  const prefix = `${location.origin}/obj/`;
  return text.startsWith(prefix) ? decodePath(text.slice(prefix.length).replace(/[?#].*$/, "")) : text;
}

/** @param {string} path */
function decodePath(path) {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return path; // typed, with a plain % in it
    throw error;
  }
}

/** @param {string} full */
function encodePath(full) {
  return full.split("/").map(encodeURIComponent).join("/").replaceAll("'", "%27");
}

/** @param {string} text */
async function identify(text) {
  if (globalThis.crypto?.subtle === undefined) {
    throw new Problem(
      "insecure",
      "Browsers hash on secure pages only: open this edge by https://, or as http://localhost.",
    );
  }
  const parsed = parseFullName(text);
  return { ...parsed, nameHash: await hexHash(new TextEncoder().encode(parsed.full)) };
}

/** One word of a POSIX shell. @param {string} text */
const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** @param {string} text */
const visible = (text) => text.replace(INVISIBLE, "\ufffd");

/** @param {ObjectId} object @param {ShownVersion} version @param {Manifest | null} manifest @returns {Command[]} */
function commandsFor(object, version, manifest) {
  const url = quote(`${location.origin}/obj/${encodePath(object.full)}`);
  const full = quote(object.full);
  const edge = `--edge ${quote(location.origin)}`;
  const file = fileNameOf(object.name);
  const note = manifest === null ? "" : `expected: ${manifest.digest}`;
  return [
    { title: "Fetch it and verify every byte", lines: `npx holdfast get ${full} ${edge}` },
    { title: "Fetch it, trusting this edge", lines: `curl -fsS ${url} -o ${file}` },
    { title: "Verify the fetched file", lines: `npx holdfast verify ${full} ${file} ${edge}` },
    { title: "Hash what this edge serves", lines: `curl -fsS ${url} | sha256sum`, note },
    signatureCommand(object.domain, version),
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

/** The last segment where it is a plain file name. @param {string} name */
const fileNameOf = (name) => /(?:^|\/)([A-Za-z0-9][\w.-]*)$/.exec(name)?.[1] ?? "object";

// ---- the network in numbers

/** @param {EdgeStatus} status */
function showNumbers({ nodes, index }) {
  const numbers = {
    online: `${formatCount(nodes.online)} of ${formatCount(nodes.known)}`,
    pledged: formatBytes(nodes.pledgedBytes),
    free: formatBytes(nodes.freeBytes),
    names: formatCount(index.names),
    versions: formatCount(index.versions),
    chunks: formatCount(index.chunks),
    replicas: formatCount(index.replicas),
    bytes: formatBytes(index.chunkBytes),
  };
  for (const [id, text] of Object.entries(numbers)) setText(at(`n-${id}`), text);
}

/** @param {EdgeStatus} status */
function showEdge({ id, software, shardDepth }) {
  setText(at("edge-id"), id);
  setText(at("edge-software"), `${software}, ${counted(2 ** shardDepth, "shard")}`);
}

/** @param {string | null} reportedAt */
function freshness(reportedAt) {
  const report = reportedAt === null ? "none yet" : dateFormat.format(new Date(reportedAt));
  return `Asked at ${clockFormat.format(new Date())}; last report of a shard: ${report}.`;
}

/** @param {RecentObject} object */
function recentRow(object) {
  const full = `${object.domain}/${object.name}`;
  const open = link(`/obj/${encodePath(full)}`, "open");
  open.setAttribute("aria-label", `Open ${full}`);
  return el(
    "li",
    link(`#${encodePath(full)}`, el("bdi", full)),
    el("span", `Version ${formatCount(object.sequence)}, ${formatBytes(object.size)} · `, open),
    el("bdi", visible(object.author)),
    timeElement(object.time),
  );
}

/** @param {Member} member */
function memberRow(member) {
  const word = member.online ? "online" : "offline";
  const state = classed(word, el("span", `${word} since `, timeElement(member.since)));
  return el(
    "li",
    shortId(member.id),
    state,
    el("span", `${formatBytes(member.pledgedBytes)} pledged, ${formatBytes(member.freeBytes)} free`),
    el("span", member.url === null ? "through the relay" : linkOut(member.url)),
  );
}

/** @param {EdgeStatus} status */
function showLists({ recent, members, nodes }) {
  syncRows("recent", recent, recentRow);
  syncRows("members", members, memberRow);
  const more = nodes.known - members.length;
  const nothing = "Nothing yet. Publish with: npx holdfast publish";
  const nobody = "None yet. Run one with: npx holdfast node run";
  setText(at("recent-note"), recent.length === 0 ? nothing : "Choose a name to look it up.");
  setText(at("members-note"), nodes.known === 0 ? nobody : more > 0 ? `And ${formatCount(more)} more.` : "");
}

// ---- the map

/** @type {EdgeStatus | null} */
let latest = null;
/** @type {HTMLElement[]} */
const cells = [];

/** @param {number} holders */
const levelOf = (holders) => LEVELS.findLastIndex((least) => holders >= least);

/** @param {HTMLElement} element @param {number} level */
function paint(element, level) {
  element.style.background = `var(--level-${level})`;
}

/** The bounds of a partition's hashes in their first four hex digits. @param {number} partition */
function hashBounds(partition) {
  return [partition << 6, (partition << 6) | 63].map((bits) => bits.toString(16).padStart(4, "0"));
}

/** @param {number} partition */
function describePartition(partition) {
  const [first, last] = hashBounds(partition);
  const { chunks = [], holders = [] } = latest?.partitions ?? {};
  const kept = `${counted(chunks[partition] ?? 0, "chunk")} on ${counted(holders[partition] ?? 0, "home node")}`;
  return `Partition ${formatCount(partition)}, hashes ${first}… to ${last}…: ${kept}`;
}

function buildMap() {
  const map = at("map");
  map.role = "grid";
  map.setAttribute("aria-labelledby", "map-title");
  map.setAttribute("aria-describedby", "map-help");
  for (let row = 0; row < MAP_SIDE; row += 1) {
    const first = row * MAP_SIDE;
    const line = el("div", ...Array.from({ length: MAP_SIDE }, (_, column) => makeCell(first + column)));
    line.role = "row";
    map.append(line);
  }
  cells[0]?.setAttribute("tabindex", "0");
  map.addEventListener("click", ({ target }) => choose(partitionOf(target)));
  map.addEventListener("pointerover", ({ target }) => read(partitionOf(target)));
  map.addEventListener("pointerleave", () => read(chosen));
  map.addEventListener("focusin", ({ target }) => read(partitionOf(target)));
  map.addEventListener("keydown", onMapKey);
}

/** @param {number} partition */
function makeCell(partition) {
  const cell = el("div");
  cell.role = "gridcell";
  cell.tabIndex = -1;
  paint(cell, 0);
  cells[partition] = cell;
  return cell;
}

function buildLegend() {
  const entries = LEVELS.map((least, level) => {
    const swatch = el("i");
    paint(swatch, level);
    const next = LEVELS[level + 1];
    const range = next === undefined ? `${least} or more` : next - 1 > least ? `${least}–${next - 1}` : least;
    return el("li", swatch, `${range}`);
  });
  at("legend").append(...entries);
}

/** @param {EdgeStatus} status */
function paintMap({ partitions }) {
  cells.forEach((cell, partition) => {
    paint(cell, levelOf(partitions.holders[partition] ?? 0));
    const label = describePartition(partition);
    if (cell.ariaLabel !== label) cell.ariaLabel = label;
  });
  read(shown);
}

let chosen = -1;
let shown = -1;
let choices = new AbortController();

/** @param {EventTarget | null} target */
const partitionOf = (target) => (target instanceof HTMLElement ? cells.indexOf(target) : -1);

/** @param {number} partition */
function read(partition) {
  shown = partition;
  setText(at("map-readout"), partition < 0 ? "" : describePartition(partition));
}

/** @param {KeyboardEvent} event */
function onMapKey(event) {
  const from = partitionOf(event.target);
  if (from < 0) return;
  const to = neighbour(from, event.key);
  if (event.key === "Enter" || event.key === " ") void choose(from);
  else if (to !== undefined) moveTo(to);
  else return;
  event.preventDefault();
}

/** The cell that a key leads to, at the edges the same one; undefined for other keys. @param {number} from @param {string} key */
function neighbour(from, key) {
  const column = from % MAP_SIDE;
  const last = MAP_SIDE - 1;
  const steps = {
    ArrowLeft: column > 0 ? -1 : 0,
    ArrowRight: column < last ? 1 : 0,
    ArrowUp: from > last ? -MAP_SIDE : 0,
    ArrowDown: from < cells.length - MAP_SIDE ? MAP_SIDE : 0,
    Home: -column,
    End: last - column,
  };
  const step = new Map(Object.entries(steps)).get(key);
  return step === undefined ? undefined : from + step;
}

/** Only one cell is in the tab order: the last one used. @param {number} partition */
function moveTo(partition) {
  for (const other of cells) other.tabIndex = -1;
  const cell = cells[partition];
  if (cell === undefined) return;
  cell.tabIndex = 0;
  cell.focus();
}

/** @param {number} partition */
async function choose(partition) {
  if (partition < 0) return;
  cells[chosen]?.removeAttribute("aria-selected");
  chosen = partition;
  cells[partition]?.setAttribute("aria-selected", "true");
  moveTo(partition);
  read(partition);
  setText(at("detail-title"), `Partition ${formatCount(partition)}`);
  const state = at("detail-state");
  say(state, "Asking for the closest home nodes…");
  at("detail-nodes").replaceChildren();
  choices.abort();
  choices = new AbortController();
  const { signal } = choices;
  await attempt(state, signal, () => showClosest(partition, signal));
}

/** @param {number} partition @param {AbortSignal} signal */
async function showClosest(partition, signal) {
  const [first = ""] = hashBounds(partition);
  /** @type {ClosestAnswer} */
  const { nodes } = await ask(`/closest/${first.padEnd(64, "0")}`, { signal });
  const online = new Map(latest?.members.map((member) => [`${member.id}`, member.online]));
  const rows = nodes.map(({ id, url }) => {
    const state = online.get(id) === false ? "offline" : url === null ? "through the relay" : linkOut(url);
    return el("li", shortId(id), " ", state);
  });
  at("detail-nodes").replaceChildren(...rows);
  const closest = nodes.length === 0 ? "No home node is known." : "The closest home nodes, nearest first:";
  say(at("detail-state"), `${describePartition(partition)}. ${closest}`);
}

// ---- the look-up

const input = byId("lookup-name", HTMLInputElement);
let lookUps = new AbortController();

/** Shows the object that the address names after `#`, if any. */
function followAddress() {
  const text = decodePath(location.hash.slice(1));
  lookUps.abort();
  lookUps = new AbortController();
  at("lookup-result").replaceChildren();
  say(at("lookup-state"), "");
  document.title = text === "" ? "Holdfast edge" : `${text} · Holdfast edge`;
  if (text === "") return;
  input.value = text;
  at("lookup-title").focus();
  const { signal } = lookUps;
  say(at("lookup-state"), "Asking the edge…");
  void attempt(at("lookup-state"), signal, () => lookUp(text, signal));
}

/** @param {SubmitEvent} event */
function onSubmit(event) {
  event.preventDefault();
  const hash = `#${encodePath(stripOrigin(input.value.trim()))}`;
  if (location.hash === hash) followAddress();
  else location.hash = hash;
}

/** @param {string} text @param {AbortSignal} signal */
async function lookUp(text, signal) {
  const object = await identify(text);
  const answer = await askName(object, null, signal);
  const versions = await Promise.all(answer.versions.map(readVersion));
  const [newest] = versions;
  if (newest?.body.nameHash !== object.nameHash) {
    throw new Problem("bad-answer", "The edge answered with another object’s Versions: do not trust it.");
  }
  const manifest = await readManifest(answer, newest);
  signal.throwIfAborted();
  at("lookup-result").replaceChildren(
    ...objectParts(object, newest, manifest, signal),
    ...versionParts(object, versions, answer.next, signal),
    el("h3", "Commands"),
    ...commandsFor(object, newest, manifest).map(commandBlock),
  );
  say(at("lookup-state"), "What this edge says. Only a verifying client proves it.");
}

/** @param {ObjectId} object @param {string | null} before @param {AbortSignal} signal @returns {Promise<NameAnswer>} */
function askName({ nameHash, domain }, before, signal) {
  const query = new URLSearchParams({ domain, ...(before === null ? {} : { before }) });
  return ask(`/name/${nameHash}?${query}`, { signal });
}

/** A Version as it is shown: from its statement, its id; from its signature, the key. @param {SignedVersion} signed */
async function readVersion({ statement, signature, witnesses }) {
  const bytes = decodeBase64(statement);
  const blob = keyOfSignature(signature);
  const [id, fingerprint] = await Promise.all([hexHash(bytes), fingerprintOf(blob)]);
  /** @type {Version} */
  const body = decodeJson(bytes);
  return { id, body, fingerprint, keyText: `ssh-ed25519 ${encodeBase64(blob)}`, witnesses: witnesses.length };
}

/** @param {NameAnswer} answer @param {ShownVersion} newest @returns {Promise<Manifest | null>} */
async function readManifest({ manifest }, newest) {
  if (manifest === null) return null;
  const bytes = decodeBase64(manifest);
  if ((await hexHash(bytes)) !== newest.body.manifest) {
    throw new Problem("bad-answer", "The Manifest is not the one that the newest Version names.");
  }
  return decodeJson(bytes);
}

/** @param {ObjectId} object @param {ShownVersion} newest @param {Manifest | null} manifest @param {AbortSignal} signal */
function objectParts(object, newest, manifest, signal) {
  const key = el("span", "asking the edge…");
  const holders = el("span", "asking the edge…");
  void attempt(key, signal, () => showDomainKey(key, object.domain, newest, signal));
  void attempt(holders, signal, () => showHolders(holders, newest.body.manifest, manifest, signal));
  return [
    el("h3", link(`/obj/${encodePath(object.full)}`, el("bdi", object.full))),
    factList([
      ["Size", sizeText(newest.body.size)],
      ...manifestFacts(manifest),
      ["Manifest", hashElement(newest.body.manifest)],
      ["Holders", holders],
      ["Name Hash", hashElement(object.nameHash)],
      ["Domain", key],
    ]),
  ];
}

/** @param {ObjectId} object @param {ShownVersion[]} versions @param {string | null} next @param {AbortSignal} signal */
function versionParts(object, versions, next, signal) {
  const list = classed("versions", el("ol", ...versions.map(versionRow)));
  const older = next === null ? [] : [olderButton(object, list, next, signal)];
  return [el("h3", "Versions, newest first"), list, ...older];
}

/** @param {number} size */
const sizeText = (size) => formatBytes(size) + (size < 1024 ? "" : ` (${formatCount(size)} bytes)`);

/** @param {[string, Node | string][]} facts */
function factList(facts) {
  return classed("facts", el("dl", ...facts.flatMap(([term, value]) => [el("dt", term), el("dd", value)])));
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
    ["Redundancy", counted(manifest.redundancy.replicas, "replica")],
  ];
}

/** @param {ShownVersion} version */
function versionRow({ id, body, fingerprint, witnesses }) {
  const { sequence, time, size, author, expires } = body;
  const details = el("span", "signed by ", hashElement(fingerprint));
  details.append(` · ${counted(witnesses, "witness", "witnesses")} · `);
  if (expires === undefined) details.append("does not expire");
  else details.append("expires ", timeElement(expires));
  details.append(" · ", link(`/version/${id}`, "statement ", shortId(id)));
  details.append(" · ", link(`/version/${id}.sig`, "signature"));
  const head = el("strong", `Version ${formatCount(sequence)}`);
  const by = el("bdi", visible(author));
  const words = [head, " · ", timeElement(time), ` · ${formatBytes(size)} · by `, by];
  return el("li", ...words, el("br"), classed("quiet", details));
}

/** @param {ObjectId} object @param {Element} list @param {string} next @param {AbortSignal} signal */
function olderButton(object, list, next, signal) {
  const button = el("button", "Older Versions");
  button.type = "button";
  /** @type {string | null} */
  let before = next;
  const more = async () => {
    const page = await askName(object, before, signal);
    list.append(...(await Promise.all(page.versions.map(readVersion))).map(versionRow));
    before = page.next;
    button.hidden = before === null;
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    await attempt(at("lookup-state"), signal, more);
    button.disabled = false;
  });
  return button;
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

/** @param {Element} place @param {string} manifestHash @param {Manifest | null} manifest @param {AbortSignal} signal */
async function showHolders(place, manifestHash, manifest, signal) {
  const listed = manifest === null ? [] : "chunks" in manifest ? manifest.chunks : manifest.parts;
  const hashes = [...new Set([manifestHash, ...listed.map(({ hash }) => `${hash}`)])];
  const holders = await locate(hashes, signal);
  const nodes = counted(new Set(holders.flat()).size, "home node");
  const fewest = Math.min(...holders.map((of) => of.length));
  const wanted = manifest?.redundancy.replicas ?? 1;
  const text = `${nodes} in all; every chunk, the Manifest too, on at least ${fewest}`;
  if (fewest < wanted) say(place, `${text}, fewer than the ${wanted} asked for`, true);
  else say(place, text);
}

/** The holders of each chunk. @param {string[]} hashes @param {AbortSignal} signal @returns {Promise<string[][]>} */
async function locate(hashes, signal) {
  const found = new Map();
  for (let from = 0; from < hashes.length; from += CHUNKS_PER_LOCATE) {
    const body = JSON.stringify({ chunks: hashes.slice(from, from + CHUNKS_PER_LOCATE) });
    const headers = { "Content-Type": "application/json" };
    /** @type {LocateAnswer} */
    const { chunks } = await ask("/chunk/locate", { method: "POST", headers, body, signal });
    for (const { hash, holders } of chunks) found.set(hash, holders);
  }
  return hashes.map((hash) => found.get(hash) ?? []);
}

/** @param {Command} command */
function commandBlock({ title, lines, note = "" }) {
  const pre = el("pre", lines);
  const copy = el("button", "Copy");
  copy.type = "button";
  copy.ariaLabel = `Copy: ${title}`;
  copy.addEventListener("click", () => copyText(copy, pre));
  const parts = [
    classed("quiet", el("p", title)),
    el("div", pre, copy),
    classed("quiet hash", el("p", note)),
  ];
  return classed("command", el("div", ...parts));
}

/** Copies, or selects where the browser does not let pages copy. @param {HTMLButtonElement} button @param {HTMLElement} source */
async function copyText(button, source) {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => setText(button, "Copy"), COPIED_MS);
}

// ---- refreshing

async function refresh() {
  const note = at("freshness");
  try {
    /** @type {EdgeStatus} */
    const status = await ask("/status", { cache: "no-store", signal: AbortSignal.timeout(REFRESH_MS) });
    latest = status;
    showEdge(status);
    showNumbers(status);
    paintMap(status);
    showLists(status);
    note.removeAttribute("role");
    say(note, freshness(status.reportedAt));
  } catch (error) {
    note.role = "alert";
    say(note, `${explain(error)} The next attempt is in ${REFRESH_MS / 1000} seconds.`, true);
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Asks now and then again and again, as long as somebody can see it. */
async function keepFresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(keepFresh, REFRESH_MS);
}

buildMap();
buildLegend();
byId("lookup-form", HTMLFormElement).addEventListener("submit", onSubmit);
addEventListener("hashchange", followAddress);
document.addEventListener("visibilitychange", keepFresh);
followAddress();
void keepFresh();
